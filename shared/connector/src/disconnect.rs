//! Disconnecting: the grant is erased here at once and revoked at Oura, the records stay.

use std::time::Duration;

use runtime::Deadline;
use store::{AthleteId, Disconnect, Sealed};

use crate::authorize::{ATTEMPTS, page_of};
use crate::job::{Job, SealedGrant};
use crate::pages::Page;
use crate::setback::UNWELL;
use crate::{Connector, Setback, grant};

impl Connector {
    /// Disconnects the athlete. The revocation is queued before the grant is erased: a grant we no longer know could
    /// never be revoked.
    pub(crate) async fn disconnect(&self, athlete: &AthleteId, deadline: Deadline) -> Page {
        match self.try_disconnect(athlete, deadline).await {
            Ok(()) => Page::Disconnected,
            Err(setback) => page_of(setback),
        }
    }

    async fn try_disconnect(&self, athlete: &AthleteId, deadline: Deadline) -> Result<(), Setback> {
        for _ in 0..ATTEMPTS {
            let Some(connection) = self.store.connection(athlete, deadline.instant()).await? else { return Ok(()) };
            match self.store.disconnect(athlete, connection.generation, self.clock.now(), deadline.instant()).await? {
                Disconnect::Disconnected { connection_before: before } => {
                    tracing::info!(%athlete, "disconnected");
                    if let Some(stored) = before.grant {
                        self.revoke(athlete, &grant::sealed(&stored, &before.scopes), deadline).await?;
                    }
                    return Ok(());
                }
                Disconnect::Already => return Ok(()),
                Disconnect::Raced => {}
            }
        }
        Err(Setback::retry(Duration::from_secs(1), "the connection keeps changing"))
    }

    /// Revokes now, or leaves it to the queue when Oura does not answer.
    async fn revoke(&self, athlete: &AthleteId, grant: &SealedGrant, deadline: Deadline) -> Result<(), Setback> {
        let now = deadline.earlier(deadline.remaining() / 2);
        if let Err(setback) = self.revoke_sealed(athlete, grant, now).await {
            tracing::warn!(%athlete, %setback, "the revocation goes to the queue");
            let job = Job::Revoke { athlete: athlete.clone(), grant: grant.clone() };
            let queued = self.queue.send(&[(job, Duration::ZERO)], deadline).await;
            queued.map_err(|error| Setback::retry(Duration::from_secs(1), error.to_string()))?;
        }
        Ok(())
    }

    /// Tells Oura that this grant is no longer wanted. One that Oura no longer knows counts as revoked.
    pub(crate) async fn revoke_sealed(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<(), Setback> {
        let sealed = Sealed::from_base64(&grant.sealed)
            .map_err(|_| Setback::NeedsOperator("the grant in a revoke message is damaged".to_owned()))?;
        let token = self.refresh_token(athlete, &sealed, deadline).await?;
        let credentials = self.secrets.oura(deadline).await?;
        self.oura
            .revoke(&credentials, &token, deadline.instant())
            .await
            .map_err(|error| Setback::retry(UNWELL, format!("the grant could not be revoked: {error}")))
    }
}
