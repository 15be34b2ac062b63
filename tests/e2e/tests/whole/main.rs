//! One binary for all whole-product tests: the AWS SDK is linked once.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the lints know test functions, but not what those share"
)]

mod addresses;
mod callbacks;
mod connecting;
mod consent;
mod costs;
mod credentials;
mod debts;
mod disconnecting;
mod enrolment;
mod forms;
mod isolation;
mod keep;
mod lies;
mod links;
mod membership;
mod metrics;
mod nights;
mod oura_unwell;
mod ownership;
mod password;
mod queue;
mod reconnecting;
mod revisions;
mod roster;
mod scopes;
mod secrecy;
mod smartabase_unwell;
mod staff;
mod strangers;
mod throttling;
mod ticks;
mod tokens;
mod volume;
mod zones;
