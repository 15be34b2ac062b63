//! Tests the client against small local sites. They send the answers that the vendor documents or that real sites were
//! seen to send.

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
