//! Storing a refreshed grant. The old refresh token is spent by then, so this must not fail for a reason that can pass,
//! and must never put an older pair over a newer one.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::athlete::AthleteId;
use crate::attributes::{Item, Reader, instant, number, sealed, text};
use crate::client::Store;
use crate::connection::{
    EXPIRES_AT, FENCE, GENERATION, GRANT, REFRESH_BEGUN, REFRESH_REFUSED, REFRESH_REFUSED_LAST, REFRESH_SUSPECT_AT,
    ROTATED_AT, SCOPES, STATUS, STATUS_AT, Status, StoredGrant, TOKEN_URL,
};
use crate::error::StoreError;
use crate::keys::Key;
use crate::update_expression::{ItemUpdate, UpdateOutcome};

/// What came of saving a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// It is stored, by this call or by an earlier one that seemed to fail.
    Saved {
        /// The generation it has.
        generation: u64,
    },
    /// The connection has a newer grant, or none since the athlete disconnected; or the lease is another's.
    Superseded,
    /// There is no such connection.
    Gone,
}

impl Store {
    /// Stores the grant that a refresh of generation `from_generation` gave, under the lease won with `fence`, which is
    /// kept. Safe to repeat: if this very grant is stored already, that is [`Save::Saved`]. One `UpdateItem`.
    #[expect(clippy::too_many_arguments, reason = "one value per attribute and condition")]
    pub async fn save_grant(
        &self,
        athlete: &AthleteId,
        fence: u64,
        from_generation: u64,
        grant: &StoredGrant,
        scopes: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Save, StoreError> {
        let edit = replace(athlete, from_generation, grant, scopes, now).if_equal(FENCE, number(fence));
        let key = edit.key().clone();
        let edited = edit.send(self, "saving a grant", deadline).await?;
        Ok(outcome(&key, edited, grant)?.0)
    }

    /// Stores such a grant later, when its lease has long gone: from the queue, after the table did not answer
    /// [`save_grant`](Self::save_grant). Only the generation decides, and repeating it changes nothing.
    ///
    /// If meanwhile somebody tried the spent refresh token and concluded [`Status::NeedsConsent`], the connection is
    /// [`Status::Active`] again, which costs a second request.
    pub async fn rescue_grant(
        &self,
        athlete: &AthleteId,
        from_generation: u64,
        grant: &StoredGrant,
        scopes: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Save, StoreError> {
        let operation = "rescuing a grant";
        let edit = replace(athlete, from_generation, grant, scopes, now);
        let key = edit.key().clone();
        let edited = edit.send(self, operation, deadline).await?;
        let (save, item) = outcome(&key, edited, grant)?;
        if let (Save::Saved { generation }, Some(item)) = (save, item)
            && Status::read(&Reader::new(&key, &item))? == Status::NeedsConsent
        {
            // Refused if somebody has moved the status or the grant since: theirs is the fresher knowledge.
            ItemUpdate::of(key)
                .if_equal(GENERATION, number(generation))
                .if_equal(STATUS, text(Status::NeedsConsent.name()))
                .set(STATUS, text(Status::Active.name()))
                .set(STATUS_AT, instant(now))
                .send(self, operation, deadline)
                .await?;
        }
        Ok(save)
    }
}

/// The next generation in place of `from_generation`.
fn replace(athlete: &AthleteId, from_generation: u64, grant: &StoredGrant, scopes: &str, now: Timestamp) -> ItemUpdate {
    ItemUpdate::of(Key::connection(athlete))
        .if_equal(GENERATION, number(from_generation))
        .set(GRANT, sealed(&grant.sealed))
        .set(TOKEN_URL, text(grant.token_url.as_str()))
        .set(EXPIRES_AT, instant(grant.expires_at))
        .set(SCOPES, text(scopes))
        .set(ROTATED_AT, instant(now))
        .remove(REFRESH_BEGUN)
        .remove(REFRESH_SUSPECT_AT)
        .remove(REFRESH_REFUSED)
        .remove(REFRESH_REFUSED_LAST)
        .set(GENERATION, number(from_generation.saturating_add(1)))
}

/// What an edit came to, and the connection after it. Sealing is randomised, so equal bytes can only be this very grant.
fn outcome(key: &Key, edited: UpdateOutcome, grant: &StoredGrant) -> Result<(Save, Option<Item>), StoreError> {
    let item = match edited {
        UpdateOutcome::Applied(item) | UpdateOutcome::Refused(Some(item)) => item,
        UpdateOutcome::Refused(None) => return Ok((Save::Gone, None)),
    };
    let reader = Reader::new(key, &item);
    let save = if reader.sealed(GRANT)?.as_ref() == Some(&grant.sealed) {
        Save::Saved { generation: reader.required(GENERATION, Reader::number)? }
    } else {
        Save::Superseded
    };
    Ok((save, Some(item)))
}
