//! Simulated Oura and Smartabase on real sockets, and a wire that injects faults.
//!
//! Tests and the demonstration run the whole product against these simulators. They follow what is publicly known about
//! the two services and share no code with the product's clients. So a fact that a client gets wrong is not wrong here
//! in the same way. Where a service is strict, so is its simulator. Where it is known to behave oddly, the oddity is
//! the default or a switch. A request that a correct client never sends gets the service's answer, and is recorded as a
//! *violation* on which a test can assert.
//!
//! - [`oura::Oura`]: the two OAuth servers, a consent page and the collections, filled with people who sleep, nap, live
//!   through changes of clock, sync late and edit their nights;
//! - [`smartabase::Smartabase`]: the site's forms, roster and profiles, and a page that shows them;
//! - [`wire::Wire`]: a proxy in front of either service or of a database. It counts requests and can delay, fail, cut
//!   or lose them;
//! - [`Clock`]: the clock that they share.
//!
//! The crate knows nothing of the product: not its types, its forms or its storage.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sim::oura::{Config, Life, Oura, Person};
//! use sim::wire::{Fault, When, Wire};
//!
//! let clock = sim::Clock::at("2026-03-10T12:00:00Z".parse()?);
//! let ada = Person::new("ada", "Ada Sample", "Europe/Berlin").living(Life::Regular { since: "2026-03-01".parse()? });
//! let oura = Oura::start(Config { clock, people: vec![ada], ..Config::default() }).await?;
//! let wire = Wire::start(&oura.url()).await?;
//! wire.inject(When::every().path("/v2/usercollection/sleep").nth(2), Fault::DropAfter);
//! // ... point a client at `wire.url()` and see that it survives.
//! # Ok(())
//! # }
//! ```
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    reason = "test support: a test that sets up an impossible world should stop at once, and may ignore what it is told"
)]

mod clock;
mod draw;
mod listening;
pub mod oura;
mod server;
pub mod smartabase;
pub mod wire;

pub use clock::Clock;
pub use listening::listening;
