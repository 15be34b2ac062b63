//! A client of the Oura Cloud API, version 2: authorisation, token grants, and the four collections that describe a
//! night and a day.
//!
//! It knows how Oura behaves, quirks included, and nothing of what is done with the data: no destination, no storage,
//! no schedule. Nothing is remembered between calls; tokens and credentials are passed with each call.
//!
//! Three promises shape the interface:
//!
//! - **One unreadable document loses only itself.** [`Client::documents`] returns what it could read, and names the rest
//!   by id and field, never by value.
//! - **An error says what to do next.** A token that is refused, a scope that was never granted and a service that is
//!   unwell are different variants of [`ApiError`]; whether a refresh token may have been spent is the difference
//!   between [`TokenError::Unwell`] and [`TokenError::Uncertain`].
//! - **Nothing secret is printable.** No `Debug`, `Display` or error text holds a token, a code, or a measured value.
//!
//! Every network call takes a deadline and does not wait past it.
//!
//! ```
//! use oura::{Client, DailyReadiness, Days, Document as _, Endpoints, Quantity, Value};
//! use jiff::civil::date;
//!
//! let client = Client::new(Endpoints::default())?;
//!
//! // Where to send a person who is to share their data:
//! let redirect = "https://example.org/callback".parse()?;
//! let authorization = client.authorization("client-id", &redirect, "daily", "unguessable-state");
//! assert_eq!(authorization.url.host_str(), Some("cloud.ouraring.com"));
//!
//! // Later, with the grant that came of it:
//! async fn last_week(client: &Client, grant: &oura::Grant) -> Result<(), oura::ApiError> {
//!     let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
//!     let days = Days { first: date(2026, 3, 2), last: date(2026, 3, 8) };
//!     let readiness = client.documents::<DailyReadiness>(&grant.access_token, days, deadline).await?;
//!     println!("{} days, {} unreadable", readiness.documents.len(), readiness.unreadable.len());
//!     Ok(())
//! }
//!
//! // What a document offers is a table:
//! let score = DailyReadiness::FIELDS.iter().find(|field| field.name == "score").unwrap();
//! assert_eq!(score.quantity, Quantity::Score);
//! let document: DailyReadiness = serde_json::from_str(r#"{"id": "a", "day": "2026-03-02", "score": 81}"#)?;
//! assert_eq!((score.get)(&document), Some(Value::Number(81.0)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod application;
mod client;
mod collection;
mod document;
mod error;
mod grant;
mod oauth;
mod page;
mod person;

pub use application::Callback;
pub use client::{Client, ClientCredentials, DOMAIN, Endpoints, ISSUER};
pub use collection::{Days, Documents, Unreadable};
pub use document::{
    ActivityContributors, DailyActivity, DailyReadiness, DailySleep, Document, Field, LocalTime, Quantity, Readiness,
    ReadinessContributors, Sleep, SleepContributors, SleepType, Value,
};
pub use error::{ApiError, BuildError, Forbidden, Throttle, Tier, TokenError};
pub use grant::{Grant, Scopes};
pub use oauth::Authorization;
pub use person::{OuraUserId, PersonalInfo};
