//! A client of the Oura Cloud API, version 2: authorisation, token grants, and the four collections that describe a
//! night and a day.
//!
//! This crate knows how Oura behaves, quirks included. It does not know what the caller does with the data: it has no
//! destination, storage or schedule. It keeps no state between calls; the caller passes tokens and credentials with
//! each call.
//!
//! Three promises shape the interface:
//!
//! - **One unreadable document loses only itself.** [`Client::documents`] returns what it could read, and names each
//!   unreadable document by id and field, never by value.
//! - **An error says what to do next.** [`ApiError`] has different variants for a refused token, a scope that was not
//!   granted and a service that fails. [`TokenError::Unwell`] means that the refresh token is not spent;
//!   [`TokenError::Uncertain`] means that it may be spent.
//! - **No secret can be printed.** No `Debug`, `Display` or error text holds a token, a code, or a measured value.
//!
//! Every network call takes a deadline and does not wait past it.
//!
//! ```
//! use oura::{Client, DailyReadiness, Days, Document as _, Endpoints, Quantity, Value};
//! use jiff::civil::date;
//!
//! let client = Client::new(Endpoints::default())?;
//!
//! // The consent page, to which the caller sends a person:
//! let redirect = "https://example.org/callback".parse()?;
//! let authorization = client.authorization("client-id", &redirect, "daily", "unguessable-state");
//! assert_eq!(authorization.url.host_str(), Some("cloud.ouraring.com"));
//!
//! // Later, with the grant from the code exchange:
//! async fn last_week(client: &Client, grant: &oura::Grant) -> Result<(), oura::ApiError> {
//!     let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
//!     let days = Days { first: date(2026, 3, 2), last: date(2026, 3, 8) };
//!     let readiness = client.documents::<DailyReadiness>(&grant.access_token, days, deadline).await?;
//!     println!("{} days, {} unreadable", readiness.documents.len(), readiness.unreadable.len());
//!     Ok(())
//! }
//!
//! // Each document type has a table of its fields:
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
