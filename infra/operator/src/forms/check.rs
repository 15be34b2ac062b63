//! `connector forms check`: the site's forms against forms.toml.

use std::fmt::Write;

use connector::forms::Forms;
use connector::forms::check::{Finding, compare, locate};
use jiff::Timestamp;
use runtime::visible_on_one_line;
use serde::Serialize;
use smartabase::{Client, Credentials, Error};
use store::Service;

use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::progress::Progress;
use crate::remote_errors::{self, Keeper};
use crate::report::{Ending, Report};
use crate::table::{BAD, GOOD, QUIET, styled};
use crate::time_format;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    /// How many forms were compared.
    forms: usize,
    /// Everything that is wrong.
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    /// The name of the finding, for scripts; docs/reference.md lists them.
    finding: &'static str,
    form: &'a str,
    /// The field's label, if it is about one.
    field: Option<&'a str>,
    says: String,
    remedy: String,
}

pub(super) async fn run(forms: &Forms, installation: &Installation, json: bool) -> Result<Report, Failure> {
    let connector = installation.connector()?;
    let (site, secrets) = (&connector.smartabase, &connector.secrets);
    let credentials = secrets.smartabase(soon()).await.map_err(|error| crate::secrets::unusable(&error))?;
    // A refused password is not tried again while everybody waits because of it.
    let (hold, now) = (installation.store.hold(Service::Smartabase, soon().instant()).await?, Timestamp::now());
    if let Some(hold) = hold.filter(|hold| hold.until > now) {
        let until = time_format::time(hold.until, now, &installation.zone());
        return Err(Failure::Failed(format!(
            "nobody calls Smartabase until {until}: {}: mend what it says, and ask again then",
            hold.why
        )));
    }
    let failed = |error: &Error| remote_errors::site(site.site(), Keeper::of(secrets), error);
    let progress = Progress::of(json);
    progress.now("signing in to Smartabase");
    // First by one request that can't be misunderstood: a wrong password is tried once and no more.
    site.sign_in(&credentials, soon().instant()).await.map_err(|error| failed(&error))?;
    progress.now("reading the forms");
    match survey(site, &credentials, forms).await {
        Ok(findings) => Ok(report(forms.wanted().len(), &findings)),
        Err(error) if unoffered(&error) => Err(Failure::Failed(format!(
            "{} does not show its forms to this account ({error}): compare them by eye with `connector forms spec`, or ask \
             Teamworks support for the v3 interface",
            site.site()
        ))),
        Err(error) => Err(failed(&error).into()),
    }
}

/// Reads the forms of the site that are written to, and compares them. Changes nothing there.
pub(crate) async fn survey(site: &Client, credentials: &Credentials, forms: &Forms) -> Result<Vec<Finding>, Error> {
    let deadline = soon().instant();
    let session = site.open_session(credentials, deadline).await?;
    let there = session.forms(deadline).await?;
    let mut findings = Vec::new();
    for wanted in forms.wanted() {
        let (form, wrong) = locate(&wanted, &there);
        findings.extend(wrong);
        if let Some(form) = form {
            findings.extend(compare(&wanted, &session.schema(form, deadline).await?));
        }
    }
    Ok(findings)
}

/// Whether an error of a survey, by an account that could sign in, says that the site does not offer the interface for
/// it, or not to this account: it says no in as many ways as there are versions.
pub(crate) fn unoffered(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound
            | Error::Forbidden
            | Error::WrongCredentials
            | Error::NotJson { .. }
            | Error::Rejected { .. }
            | Error::Refused { .. }
            | Error::Unexpected { .. }
    )
}

fn report(forms: usize, findings: &[Finding]) -> Report {
    let mut text = String::new();
    for finding in findings {
        let name = format!("  [{}]", finding.name());
        let (says, remedy) = (finding.to_string(), finding.remedy());
        let (says, remedy) = (visible_on_one_line(&says), visible_on_one_line(&remedy));
        let _ = writeln!(text, "{} {says}{}\n  → {remedy}", styled("✗", BAD), styled(&name, QUIET));
    }
    match findings.len() {
        0 => text += &styled(&format!("{forms} forms are as forms.toml has them"), GOOD),
        1 => text += "\n1 finding",
        several => {
            let _ = write!(text, "\n{several} findings");
        }
    }
    let entries = findings.iter().map(|finding| Entry {
        finding: finding.name(),
        form: finding.form.as_str(),
        field: finding.field(),
        says: finding.to_string(),
        remedy: finding.remedy(),
    });
    let ending = if findings.is_empty() { Ending::Fine } else { Ending::Attention };
    Report::new(ending, &Printed { forms, findings: entries.collect() }, text)
}
