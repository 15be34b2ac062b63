//! Stores a refreshed grant. By then the old refresh token is spent. So storing must not fail for a temporary reason,
//! and must never replace a newer token pair by an older one.

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

/// The outcome of saving a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// The grant is stored, by this call or by an earlier one that seemed to fail.
    Saved {
        /// The generation of the stored grant.
        generation: u64,
    },
    /// The connection has a newer grant, or none because the athlete disconnected, or another attempt holds the lease.
    Superseded,
    /// There is no such connection.
    Gone,
}

impl Store {
    /// Stores the grant that a refresh of generation `from_generation` gave, under the lease won with `fence`. Keeps
    /// the lease. Safe to repeat: if exactly this grant is stored already, the outcome is [`Save::Saved`]. One
    /// `UpdateItem`.
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

    /// Stores such a grant later, when its lease has long ended: from the queue, after the table did not answer
    /// [`save_grant`](Self::save_grant). Only the generation decides. Repeating the call changes nothing.
    ///
    /// Meanwhile another attempt may have sent the spent refresh token and set [`Status::NeedsConsent`]. Then this
    /// function sets [`Status::Active`] again, with a second request.
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
            // The condition fails if another attempt has changed the status or the grant since. That attempt knows more
            // recent facts.
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

/// Replaces generation `from_generation` of the grant by the next one.
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

/// Turns the result of the update into an outcome, with the connection after it. Sealing is randomised, so equal bytes
/// mean exactly this grant.
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
