//! The state of an authorization under way: made when the athlete is sent to Oura, consumed when they come back.

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

/// A state to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewState {
    /// The SHA-256 of the state, so that reading the table is no way into somebody's authorization.
    pub hash: String,
    /// Who is authorising.
    pub athlete: AthleteId,
    /// Who that is at Smartabase: a UUID may pass to another user while its owner is at Oura.
    pub user_id: u64,
    /// The sealed PKCE verifier.
    pub verifier: Sealed,
    /// The hash of the cookie that binds the browser.
    pub browser: String,
    /// When the link by which the athlete came expires, by which it is told from later ones.
    pub link_expires: Timestamp,
    /// From then on the state is no good. Kept to the second, rounded down.
    pub expires: Timestamp,
}

/// A state that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Who is authorising.
    pub athlete: AthleteId,
    /// Who that is at Smartabase: a UUID may pass to another user while its owner is at Oura.
    pub user_id: u64,
    /// The sealed PKCE verifier.
    pub verifier: Sealed,
    /// The hash of the cookie that binds the browser.
    pub browser: String,
    /// When the link by which the athlete came expires; `None` of a state that an earlier release made.
    pub link_expires: Option<Timestamp>,
}

/// What came of taking a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeState {
    /// It is yours alone: nobody else has had it or will.
    Taken(State),
    /// It was never made, or somebody has taken it.
    Unknown,
    /// It came too late, and is gone now.
    Expired,
}

impl Store {
    /// Remembers a state. DynamoDB deletes it some time after it expires; that it is refused from then on does not
    /// depend on that.
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

    /// Takes a state out of the table, in one `DeleteItem` that returns what it deleted: of any number of callers one
    /// gets it.
    ///
    /// The one operation whose repetition cannot tell what the first attempt did. If its answer is lost the state is
    /// spent, a repetition says [`TakeState::Unknown`], and the athlete starts again: that is the safe side.
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
        // A release before this one did not say it: such a visit begins anew.
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
