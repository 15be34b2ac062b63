use std::sync::{Arc, Mutex};

use local::Stage;

/// The order in which requests reach the services, over all three wires.
#[derive(Clone, Default)]
pub struct Order(Arc<Mutex<Vec<String>>>);

impl Order {
    /// Starts recording. Names requests to Oura and Smartabase by method and path, and those to the table by operation.
    #[must_use]
    pub fn watch(stage: &Stage) -> Self {
        let order = Self::default();
        for wire in [&stage.oura_wire, &stage.smartabase_wire, &stage.table_wire] {
            let order = order.clone();
            wire.decide(move |seen| {
                let table = !seen.operation.is_empty();
                let name = if table { seen.operation.clone() } else { format!("{} {}", seen.method, seen.path) };
                order.0.lock().unwrap().push(name);
                None
            });
        }
        order
    }

    /// The positions of all requests whose name contains `part`.
    #[must_use]
    pub fn of(&self, part: &str) -> Vec<usize> {
        let seen = self.0.lock().unwrap();
        seen.iter().enumerate().filter(|(_, name)| name.contains(part)).map(|(position, _)| position).collect()
    }
}
