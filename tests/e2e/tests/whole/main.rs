//! All tests of the whole product, in one binary, so that the AWS SDK is linked once.

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
mod import_in_doubt;
mod isolation;
mod keep;
mod lies;
mod links;
mod membership;
mod metrics;
mod nights;
mod oura_answers;
mod oura_unwell;
mod outages;
mod own_page;
mod ownership;
mod password;
mod planning;
mod queue;
mod races;
mod reconnecting;
mod refused_consent;
mod renewed_links;
mod revisions;
mod revocations;
mod roster;
mod scopes;
mod secrecy;
mod site_answers;
mod smartabase_unwell;
mod staff;
mod strangers;
mod throttling;
mod ticks;
mod token_answers;
mod tokens;
mod volume;
mod zones;
