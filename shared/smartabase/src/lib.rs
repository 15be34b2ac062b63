//! A client of the Smartabase (Teamworks AMS) HTTP API: who is on a site, and the records in its event and profile forms
//! (generation v1); what forms there are and what fields stand on them (v3, in a [`Session`]).
//!
//! The API answers HTTP 200 to an import that failed, drops fields it does not know without a word, may store an update as
//! a second event, and now and then answers with a web page or with nothing. This crate's work is to tell those apart:
//! [`Import`] and [`ProfileImport`] say what the site did with records it answered about, [`Error`] says why there is no
//! such answer and what that means for sending again.
//!
//! It knows nothing about where the records come from, what is in them, or what their forms are called. It keeps no state
//! but a pool of connections, never retries an import, and needs a deadline for every call.
//!
//! ```no_run
//! use smartabase::{Client, Credentials, Event, FormName, Import, Site, TimeOfDay, UserId};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Site::parse("example.smartabase.com/site")?)?;
//! let credentials = Credentials { username: "api.account".into(), password: "secret".into() };
//! let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
//!
//! let event = Event {
//!     user: UserId(1009),
//!     date: jiff::civil::date(2026, 4, 30),
//!     start: TimeOfDay::new(21, 0).ok_or("not a time")?,
//!     finish: TimeOfDay::new(22, 0).ok_or("not a time")?,
//!     existing: None,
//!     fields: vec![("Sleep Score".into(), "82".into())],
//! };
//! match client.import(&credentials, &FormName::from("Sleep"), &[event], deadline).await? {
//!     Import::Imported { ids, unknown_fields } if unknown_fields.is_empty() => println!("stored as {ids:?}"),
//!     Import::Imported { unknown_fields, .. } => println!("the form has no {unknown_fields:?}"),
//!     other => println!("look the records up before sending again: {other:?}"),
//! }
//! # Ok(()) }
//! ```

mod body;
mod calendar;
mod client;
mod error;
mod event;
mod ids;
mod import;
#[cfg(test)]
mod json;
mod message;
mod paging;
mod profile;
mod refusal;
mod roster;
mod rows;
mod schema;
mod session;
mod site;
mod transport;

pub use calendar::{NotATimeOfDay, TimeOfDay};
pub use client::{Client, MAX_EVENTS};
pub use error::{BuildError, Error};
pub use event::{Event, StoredEvent};
pub use ids::{EventId, FormName, UserId};
pub use import::{Import, ProfileImport};
pub use profile::Profile;
pub use roster::{Roster, Unreadable, User};
pub use schema::{FieldKind, FormKind, FormSchema, FormSummary, SchemaField};
pub use session::Session;
pub use site::{Credentials, Site, SiteError};
