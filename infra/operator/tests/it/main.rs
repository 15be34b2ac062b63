//! The program as an operator starts it: a child process with arguments and environment, its output and its exit code.
//! AWS is a fake server on a socket, backed by the embedded database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the lints know test functions, but not what those share"
)]

mod aws;
mod bad_input;
mod consoles;
mod dead_letters;
mod disconnecting;
mod doctor;
mod forms;
mod linking;
mod pilot;
mod program;
mod queues;
mod resyncing;
mod secrets;
mod showing;
mod squad;
mod statuses;
mod terminals;
mod world;
