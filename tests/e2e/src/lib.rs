//! Whole-product tests. The connector runs in this process, against simulated Oura and Smartabase on real sockets and a
//! real table. A wire in front of each counts the requests and injects faults.
//!
//! This library holds what the tests share: who takes part ([`ada`]), how a test starts ([`connected`]), how many
//! requests a step cost ([`Spent`]), whether the forms equal what Oura shows ([`faithful`]), and what must be true at
//! every end ([`curtain`]). The tests are in `tests/whole`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use e2e::{ADA, NIGHTS, ada, connected, curtain};
//!
//! let stage = connected(ada()).await;
//! assert_eq!(stage.smartabase.events_of(ADA, NIGHTS).len(), 30);
//! curtain(&stage).await;
//! # }
//! ```
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "vocabulary of tests: what can't be set up ends the test at once"
)]

mod audit;
mod beside;
mod cast;
mod faithful;
mod late;
pub mod log;
mod opening;
mod order;
pub mod simulation;
mod spent;

pub use audit::{audit, curtain, gives_nothing_away, keeps_secrets};
pub use beside::{beside, beside_with};
pub use cast::{ADA, BEN, ada, ada_and_ben, athlete, living, squad};
pub use faithful::{faithful, told_truly};
pub use late::LateRequest;
pub use opening::{connected, connection, deadline, enrolled, opening};
pub use order::Order;
pub use spent::Spent;

/// The event form for nights.
pub const NIGHTS: &str = "Oura Readiness and Sleep Summary";

/// The event form for days.
pub const DAYS: &str = "Oura Activity Summary";

/// The profile form for the personal link.
pub const LINKS: &str = "Authorise Oura Data";

/// The profile form that shows staff the status of an athlete's connection.
pub const STANDINGS: &str = "Oura Refresh Token";

/// The profile form that shows staff when the tokens were last exchanged.
pub const ROTATIONS: &str = "Current Refresh Token";
