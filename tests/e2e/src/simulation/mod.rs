//! Simulates a club over weeks, drawn from a seed, and checks that the connector keeps its promises.
//!
//! A *story* is one simulated run; a *promise* is an invariant that it checks. Hundreds of athletes sleep, edit their
//! nights, withdraw consent and connect again. Several workers, each with its own clock, process one queue over one
//! table. Messages come twice, late and out of order. Both services fail or give wrong answers. Workers die or pause.
//! Operators replace the secrets. The site is down for a day, a CDN refuses everything for an hour, the token server
//! answers in odd forms, and athletes connect again before a revocation is sent. After every tick the story checks the
//! promises. When the faults stop, every record must become right.
//!
//! Each event is drawn from the seed by its place in the story (`story`), so a story can be repeated, and repeated in a
//! shorter form ([`shortest`]). Some jobs are *scenes* (`scene`): 7 % of the jobs, and 60 % of the backfills. A scene
//! runs alone, so the story also decides at which request it is disturbed. All other jobs run concurrently. The machine
//! decides how their requests interleave, and nonces and parts of the tokens are random. A failure that depends on
//! those may not occur again.

#![expect(clippy::indexing_slicing, reason = "athletes, workers and choices are named by their place")]

mod check;
mod conditions;
mod play;
mod reconnect;
mod scene;
mod shrink;
mod story;
mod truth;
mod visit;
mod world;

pub use play::{Failure, Tally, simulate};
pub use shrink::shortest;
pub use story::{Kind, Scale};
