//! The name of a request. It is the same in every run of a scenario, in whatever order the requests come.

use std::fmt;

use e2e::{ADA, BEN, DAYS, NIGHTS};
use serde_json::Value;
use sim::wire::Seen;

/// The service that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Remote {
    Oura,
    Smartabase,
    Table,
}

/// One request of a scenario, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) remote: Remote,
    /// What the request asks for, without anything random.
    pub(crate) what: String,
    /// Its number among the requests that ask for the same, from 1.
    pub(crate) nth: usize,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = match self.remote {
            Remote::Oura => "oura",
            Remote::Smartabase => "smartabase",
            Remote::Table => "table",
        };
        write!(f, "{remote} {} #{}", self.what, self.nth)
    }
}

impl Target {
    /// Whether it sends a refresh token to Oura. The exchange of a code has the same path.
    pub(crate) fn is_refresh(&self) -> bool {
        self.what == "refresh"
    }

    /// Whether it writes a profile form.
    pub(crate) fn is_telling(&self) -> bool {
        self.remote == Remote::Smartabase && self.what.starts_with("profileimport")
    }

    /// Whether it changes the table.
    pub(crate) fn is_write(&self) -> bool {
        let reads = ["Query", "GetItem", "BatchGetItem"];
        self.remote == Remote::Table && !reads.iter().any(|read| self.what.starts_with(read))
    }
}

/// Describes what a request asks for.
pub(crate) fn what(remote: Remote, seen: &Seen) -> String {
    let last = seen.path.rsplit('/').next().unwrap_or_default();
    let text = String::from_utf8_lossy(&seen.body);
    match remote {
        Remote::Oura if text.contains("grant_type=refresh_token") => "refresh".to_owned(),
        Remote::Oura if text.contains("grant_type=authorization_code") => "exchange".to_owned(),
        Remote::Oura => last.to_owned(),
        Remote::Smartabase => {
            let form = [(NIGHTS, " nights"), (DAYS, " days")].into_iter().find(|(form, _)| text.contains(form));
            let user = [(ADA, " of ada"), (BEN, " of ben")].into_iter().find(|(id, _)| text.contains(&id.to_string()));
            format!("{last}{}{}", form.map_or("", |(_, name)| name), user.map_or("", |(_, name)| name))
        }
        Remote::Table => in_table(&seen.operation, &serde_json::from_slice(&seen.body).unwrap_or_default()),
    }
}

fn in_table(operation: &str, body: &Value) -> String {
    let row = |item: &Value| {
        let part = |name: &str| item["Key"][name]["S"].as_str().unwrap_or_default();
        let (pk, sk) = (part("pk"), part("sk"));
        // The hash of a state is random, so the name leaves it out.
        if pk.starts_with("STATE#") { "STATE".to_owned() } else { format!("{pk}/{sk}") }
    };
    match operation {
        "Query" => format!("{operation} {}", body["ExpressionAttributeValues"]),
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object();
            let keys = tables.into_iter().flatten().filter_map(|(_, asked)| asked["Keys"].as_array()).flatten();
            let keys: Vec<_> = keys.collect();
            let first = keys.iter().filter_map(|key| key["pk"]["S"].as_str()).min().unwrap_or_default();
            format!("{operation} of {} from {first}", keys.len())
        }
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array().cloned().unwrap_or_default();
            let part =
                |part: &Value| part.as_object().and_then(|part| part.values().next().cloned()).unwrap_or_default();
            let first = parts.first().map(part).unwrap_or_default();
            format!("{operation} of {}, {} {}", parts.len(), row(&first), written(&first))
        }
        _ => format!("{operation} {} {}", row(body), written(body)),
    }
    .trim_end()
    .to_owned()
}

/// The attributes that an update sets.
fn written(update: &Value) -> String {
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let mut names: Vec<_> = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#')).collect();
    names.retain(|name| name.starts_with('#'));
    names.dedup();
    let names = names.iter().map(|name| name.trim_start_matches('#'));
    names.take(4).collect::<Vec<_>>().join("+")
}
