//! The client against small sites of its own, which answer with what the vendor documents and what real sites were seen
//! to answer.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod deletions;
mod forms;
mod imports;
mod lookups;
mod people;
mod signing_in;
mod site;
mod specification;
mod wire;
