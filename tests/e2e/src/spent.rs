use local::{Cost, Stage};

/// What a step cost, in requests by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Oura's collections.
    pub collections: usize,
    /// Who somebody is at Oura.
    pub personal: usize,
    /// Oura's token endpoint.
    pub tokens: usize,
    /// Oura's revocation endpoint.
    pub revocations: usize,
    /// Events sent to Smartabase, in batches.
    pub imports: usize,
    /// Whether Smartabase lets the account in.
    pub sign_ins: usize,
    /// Profile forms written: links, and what staff are told.
    pub profiles: usize,
    /// Everything else asked of Smartabase.
    pub lookups: usize,
    /// Connections and holds of a batch of jobs, read together.
    pub snapshots: usize,
    /// Other reads of the table: the tick's list of athletes, single items.
    pub reads: usize,
    /// Whatever changes the table.
    pub writes: usize,
}

impl Spent {
    /// What was spent since the last time anybody asked.
    #[must_use]
    pub fn since(stage: &Stage) -> Self {
        Self::of(&stage.cost())
    }

    /// Sorts the requests of a cost.
    #[must_use]
    pub fn of(cost: &Cost) -> Self {
        let mut spent = Self::default();
        for entry in &cost.oura.entries {
            let kind = match entry.path.as_str() {
                "/v2/usercollection/personal_info" => &mut spent.personal,
                path if path.starts_with("/v2/usercollection/") => &mut spent.collections,
                path if path.contains("revoke") => &mut spent.revocations,
                path if path.contains("token") => &mut spent.tokens,
                path => unreachable!("the connector has no business at {path}"),
            };
            *kind += 1;
        }
        for entry in &cost.smartabase.entries {
            let kind = match entry.path.rsplit('/').next() {
                Some("eventsimport") => &mut spent.imports,
                Some("listgroups") => &mut spent.sign_ins,
                Some("profileimport") => &mut spent.profiles,
                _ => &mut spent.lookups,
            };
            *kind += 1;
        }
        for entry in &cost.table.entries {
            let kind = match entry.operation.as_str() {
                "BatchGetItem" => &mut spent.snapshots,
                "GetItem" | "Query" => &mut spent.reads,
                "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "BatchWriteItem" => &mut spent.writes,
                operation => unreachable!("the connector has no use for {operation}"),
            };
            *kind += 1;
        }
        spent
    }
}
