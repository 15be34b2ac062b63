use super::Seen;

/// Selects the requests that get a fault.
///
/// Conditions narrow the selection. [`When::nth`] and [`When::first`] then select among the requests that satisfy all
/// conditions, counted from when the rule was injected.
///
/// ```
/// use sim::wire::When;
///
/// let second_import = When::every().method("POST").path("/site/api/v1/eventsimport").nth(2);
/// let ada = When::every().body("\"userId\":1001");
/// let writes = When::every().operation("PutItem").first(3);
/// ```
#[must_use]
pub struct When {
    conditions: Vec<Condition>,
    turns: Turns,
}

type Condition = Box<dyn FnMut(&Seen) -> bool + Send>;

#[derive(Clone, Copy)]
enum Turns {
    Every,
    Only(u64),
    UpTo(u64),
}

impl When {
    /// Every request.
    pub fn every() -> Self {
        Self { conditions: Vec::new(), turns: Turns::Every }
    }

    /// Only requests with this method.
    pub fn method(self, method: &'static str) -> Self {
        self.matching(move |seen| seen.method == method)
    }

    /// Only requests whose path begins with `prefix`.
    pub fn path(self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        self.matching(move |seen| seen.path.starts_with(&prefix))
    }

    /// Only requests whose body contains `part`.
    pub fn body(self, part: impl Into<String>) -> Self {
        let part = part.into();
        self.matching(move |seen| String::from_utf8_lossy(&seen.body).contains(&part))
    }

    /// Only requests for this operation of an AWS JSON service, such as `PutItem`.
    pub fn operation(self, operation: &'static str) -> Self {
        self.matching(move |seen| seen.operation == operation)
    }

    /// Only requests for which `condition` holds.
    pub fn matching(mut self, condition: impl FnMut(&Seen) -> bool + Send + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Of those, only the one with number `turn`, from 1.
    pub fn nth(mut self, turn: u64) -> Self {
        self.turns = Turns::Only(turn);
        self
    }

    /// Of those, only the first `turns`.
    pub fn first(mut self, turns: u64) -> Self {
        self.turns = Turns::UpTo(turns);
        self
    }

    pub(super) fn into_selector(mut self) -> impl FnMut(&Seen) -> bool + Send {
        let mut count = 0;
        move |seen| {
            if !self.conditions.iter_mut().all(|condition| condition(seen)) {
                return false;
            }
            count += 1;
            match self.turns {
                Turns::Every => true,
                Turns::Only(turn) => count == turn,
                Turns::UpTo(turns) => count <= turns,
            }
        }
    }
}

impl std::fmt::Debug for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("When").field("conditions", &self.conditions.len()).finish_non_exhaustive()
    }
}
