//! The OAuth state of an authorization in progress. It is stored when the athlete is sent to Oura, and taken when they
//! come back.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Item, Reader, instant, number, sealed, text};
use crate::client::{Store, bounded};
use crate::connection::USER_ID;
use crate::error::{StoreError, classify};
use crate::keys::Key;
use crate::lifecycle::ATHLETE_ID;
use crate::schema::EXPIRES;
use crate::sealed::Sealed;
use crate::update_expression::ItemUpdate;

const VERIFIER: &str = "verifier";
const BROWSER: &str = "browser";
const LINK_EXPIRES: &str = "link_expires";

/// A state to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewState {
    /// The SHA-256 of the state. A reader of the table learns only the hash, so it cannot take over an authorization.
    pub hash: String,
    /// The athlete who is authorising.
    pub athlete: AthleteId,
    /// The athlete's user id at Smartabase. While the athlete is at Oura, the UUID may move to another user.
    pub user_id: u64,
    /// The sealed PKCE verifier.
    pub verifier: Sealed,
    /// The hash of the cookie that binds the state to the browser.
    pub browser: String,
    /// When the link that the athlete used expires. This distinguishes it from later links.
    pub link_expires: Timestamp,
    /// From this instant on the state is invalid. Stored in whole seconds, rounded down.
    pub expires: Timestamp,
}

/// A state that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The athlete who is authorising.
    pub athlete: AthleteId,
    /// The athlete's user id at Smartabase. While the athlete is at Oura, the UUID may move to another user.
    pub user_id: u64,
    /// The sealed PKCE verifier.
    pub verifier: Sealed,
    /// The hash of the cookie that binds the state to the browser.
    pub browser: String,
    /// When the link that the athlete used expires; `None` if an earlier release stored the state.
    pub link_expires: Option<Timestamp>,
}

/// The outcome of taking a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeState {
    /// Only this caller has received the state, and no other caller will.
    Taken(State),
    /// It was never stored, or it was already taken.
    Unknown,
    /// It has expired, and is deleted now.
    Expired,
}

impl Store {
    /// Stores a state. DynamoDB deletes it some time after it expires. An expired state is refused even before that.
    pub async fn put_state(&self, state: &NewState, deadline: Instant) -> Result<(), StoreError> {
        ItemUpdate::of(Key::state(&state.hash))
            .set(ATHLETE_ID, text(state.athlete.as_str()))
            .set(USER_ID, number(state.user_id))
            .set(VERIFIER, sealed(&state.verifier))
            .set(BROWSER, text(&state.browser))
            .set(LINK_EXPIRES, instant(state.link_expires))
            .set(EXPIRES, AttributeValue::N(state.expires.as_second().to_string()))
            .send(self, "remembering a state", deadline)
            .await?;
        Ok(())
    }

    /// Takes a state out of the table, in one `DeleteItem` that returns what it deleted. Of any number of callers, only
    /// one gets it.
    ///
    /// This is the only operation whose repetition cannot return the result of the first attempt. If the answer is
    /// lost, the state is spent. A repetition returns [`TakeState::Unknown`], and the athlete must start again, which
    /// is the safe outcome.
    pub async fn take_state(&self, hash: &str, now: Timestamp, deadline: Instant) -> Result<TakeState, StoreError> {
        let operation = "taking a state";
        let key = Key::state(hash);
        let request = self
            .client()
            .delete_item()
            .table_name(self.table())
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllOld);
        let answer = bounded(operation, deadline, request.send()).await?;
        let item = answer.map_err(|error| classify(operation, &error))?.attributes;
        item.filter(|item| !item.is_empty()).map_or(Ok(TakeState::Unknown), |item| TakeState::read(&key, &item, now))
    }
}

impl TakeState {
    fn read(key: &Key, item: &Item, now: Timestamp) -> Result<Self, StoreError> {
        let reader = Reader::new(key, item);
        let expires = reader.required(EXPIRES, Reader::number)?;
        if i64::try_from(expires).is_ok_and(|expires| expires <= now.as_second()) {
            return Ok(Self::Expired);
        }
        let athlete = reader.required(ATHLETE_ID, |reader, name| reader.parsed(name, "is not a UUID"))?;
        // An earlier release did not store the user id. Such an athlete must start again.
        let Some(user_id) = reader.number(USER_ID)? else { return Ok(Self::Unknown) };
        Ok(Self::Taken(State {
            athlete,
            user_id,
            verifier: reader.required(VERIFIER, Reader::sealed)?,
            browser: reader.required(BROWSER, Reader::text)?,
            link_expires: reader.instant(LINK_EXPIRES)?,
        }))
    }
}
