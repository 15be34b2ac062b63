//! A client of the Smartabase (Teamworks AMS) HTTP API. API v1 gives the users of a site and the records in its event
//! and profile forms. API v3 gives the forms and their fields (in a [`Session`]).
//!
//! The API answers HTTP 200 to a failed import and silently drops unknown fields. It may store an update as a second
//! event, and sometimes answers with a web page or an empty body. This crate distinguishes these cases. [`Import`] and
//! [`ProfileImport`] say what the site did with the records. [`Error`] says why there is no such result, and whether
//! sending again is safe.
//!
//! The crate does not know where the records come from, what they contain, or what their forms are called. Its only
//! state is a connection pool. It never retries an import, and needs a deadline for every call.
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
