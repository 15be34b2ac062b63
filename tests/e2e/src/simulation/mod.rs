//! A simulation of a club over weeks, drawn from a seed: whatever happens, happens to somebody, and the promises hold.
//!
//! Hundreds of athletes sleep, edit their nights, withdraw and come back; several workers with clocks of their own work
//! off one queue over one table; messages come twice, late and out of order; both services fail, and say things that are
//! not so; workers die and stand still; operators replace the secrets. The site is down for a day, a CDN refuses everything for an
//! hour, the token server answers in odd forms, and athletes connect again before a revocation is sent. After every tick the promises are checked, and
//! when the faults stop everything has to come right.
//!
//! What happens is drawn from the seed by its place in the story (`story`), so a story can be told again, and told
//! shorter ([`shortest`]). One job in fourteen is a *scene* (`scene`), which is played alone, so that the place at which
//! it is disturbed is the story's choice too. All the others run at once; how their requests interleave is the machine's
//! choice, as are the nonces and the tokens' random parts. A failure that depends on those may not come again.

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
