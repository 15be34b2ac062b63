use local::{Cost, Stage};

/// What a step cost, in requests by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests for Oura's collections.
    pub collections: usize,
    /// Requests for `personal_info` at Oura.
    pub personal: usize,
    /// Requests to Oura's token endpoint.
    pub tokens: usize,
    /// Requests to Oura's revocation endpoint.
    pub revocations: usize,
    /// Batches of events sent to Smartabase.
    pub imports: usize,
    /// Checks whether Smartabase accepts the account (`listgroups`).
    pub sign_ins: usize,
    /// Profile forms written: links, and the two forms for staff.
    pub profiles: usize,
    /// All other requests to Smartabase.
    pub lookups: usize,
    /// Reads of the connections and holds of a whole batch (`BatchGetItem`).
    pub snapshots: usize,
    /// Other reads of the table: the list of athletes for a tick, single items.
    pub reads: usize,
    /// Writes to the table.
    pub writes: usize,
}

impl Spent {
    /// What was spent since the last call.
    #[must_use]
    pub fn since(stage: &Stage) -> Self {
        Self::of(&stage.cost())
    }

    /// Counts the requests of a cost by kind.
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
