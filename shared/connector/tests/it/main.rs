//! Tests of the parts that communicate: queue, pages, worker. They talk to a small server on a socket, or to a table in
//! this process.

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
