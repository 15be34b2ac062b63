//! The connector in one process: the same use cases, an embedded DynamoDB, a queue in memory, the pages on a port of
//! 127.0.0.1.
//!
//! Three things use it: the demonstration (`cargo demo`), a pilot for a small club without an AWS account (`cargo run
//! -p local -- serve`), and the whole-product tests. It only wires the parts together.

mod process;
mod stage;

pub use process::{Parts, Process};
pub use stage::{Cast, Cost, Stage, Visit, site_forms};
