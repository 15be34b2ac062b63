//! Checks the simulators against what is documented of the services, with a plain HTTP client. Every quirk has a test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop where the world is not as expected")]

mod browser;
mod coach;
mod oura_consent;
mod oura_documents;
mod oura_lives;
mod oura_refusals;
mod oura_revocations;
mod oura_tokens;
mod oura_windows;
mod smartabase_door;
mod smartabase_import;
mod smartabase_profiles;
mod smartabase_reading;
mod smartabase_roster;
mod smartabase_schema;
mod wire;
