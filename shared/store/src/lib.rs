//! Everything the connector stores, in one DynamoDB table: connections and their grants, the ledger of records, leases,
//! holds, authorizations in progress, and enrolments. Also the keys that seal the values which must not be readable
//! there.
//!
//! Of Oura and Smartabase it knows only the names of their ids. It does not know what a sealed grant contains. It reads
//! no clock except to check a deadline: the caller passes every instant that is stored or compared.
//!
//! Three rules hold for every operation of [`Store`]:
//!
//! - It never waits past its `deadline`.
//! - When a condition decides the result, it returns an outcome, an enum of its own. When the table fails, it returns a
//!   [`StoreError`].
//! - It is safe to repeat. After an error the caller may not know whether a write was made. The same call again does no
//!   harm, and its outcome says what is true now.
//!
//! ```
//! use std::time::Duration;
//! use store::{AthleteId, Claim, KeyVersion, Keyring, NewConnection, SealPurpose, Status, Store, StoredGrant, schema};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dynamo = dynamo::Dynamo::in_memory().await?;
//! schema::create_table(&dynamo.client(), "connector").await?;
//! let store = Store::new(dynamo.client(), "connector");
//! let keyring = Keyring::new(KeyVersion { id: "v1".into(), secret: "the root secret".into() });
//!
//! let athlete = AthleteId::parse("ada")?;
//! let now: jiff::Timestamp = "2026-03-02T08:00:00Z".parse()?;
//! let deadline = Instant::now() + Duration::from_secs(10);
//! let grant = StoredGrant {
//!     sealed: keyring.seal(SealPurpose::Grant, &athlete, b"the token pair")?,
//!     token_url: "https://oura.test/token".parse()?,
//!     expires_at: "2026-03-03T08:00:00Z".parse()?,
//! };
//! let new = NewConnection {
//!     athlete: athlete.clone(),
//!     status: Status::Active,
//!     note: None,
//!     user_id: 17,
//!     oura_user: Some("oura-1".into()),
//!     scopes: "daily".into(),
//!     grant,
//!     held_until: None,
//!     backfill_from: None,
//!     now,
//! };
//! store.connect(&new, deadline).await?;
//!
//! let until = "2026-03-02T08:01:00Z".parse()?;
//! assert!(matches!(store.claim(&athlete, "job 1", now, until, None, deadline).await?, Claim::Won(_)));
//! assert_eq!(store.claim(&athlete, "job 2", now, until, None, deadline).await?, Claim::Held { until });
//! # Ok(())
//! # }
//! ```

mod athlete;
mod attributes;
mod client;
mod connection;
mod credential_probe;
mod enrolment;
mod error;
mod grant;
mod hold;
mod index;
mod keyring;
mod keys;
mod last_planned;
mod lease;
mod ledger;
mod lifecycle;
mod oauth_state;
mod outage;
pub mod schema;
mod sealed;
mod snapshot;
mod update_expression;

pub use athlete::{AthleteId, InvalidAthleteId};
pub use client::Store;
pub use connection::{Brought, Connection, ConnectionUpdate, Lease, Refusals, Status, StoredGrant};
pub use credential_probe::ProbeClaim;
pub use enrolment::{Enrolment, StaffForm, Telling, Told};
pub use error::StoreError;
pub use grant::Save;
pub use hold::{Hold, Holds, Service};
pub use keyring::{KeyVersion, Keyring, OpenError, SealError, SealPurpose, SignatureCheck};
pub use keys::RecordKey;
pub use last_planned::LastPlan;
pub use lease::{Claim, Release};
pub use ledger::{BackfillDebt, Entry, Fenced, Finish, Record, WindowDigest, Written};
pub use lifecycle::{Connect, Disconnect, NewConnection, Replaced, Settle};
pub use oauth_state::{NewState, State, TakeState};
pub use outage::{Outage, OutageWrite};
pub use sealed::{NotSealed, Sealed};
pub use snapshot::Snapshot;
