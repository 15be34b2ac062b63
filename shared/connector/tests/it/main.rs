//! The parts of the connector that talk to something: queue, pages, worker. What they talk to is a small server on a
//! socket, or a table in this process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the lints know test functions, but not what those share"
)]

mod batch;
mod installation;
mod key;
mod own_page;
mod queue;
mod sqs;
mod waiting;
mod web;
