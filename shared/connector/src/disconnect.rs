//! Disconnecting: the grant is erased here at once and revoked at Oura, the records stay.
//!
//! A grant we no longer know could never be revoked. So the revocation is queued first, to be done in a minute, then the
//! grant is erased, then the revocation is tried at once; doing it twice does no harm. A queued revocation that finds its
//! grant still in use belongs to a disconnect that never happened, and does nothing.

use std::time::Duration;

use runtime::Deadline;
use store::{AthleteId, Disconnect, Sealed};
use url::Url;

use crate::authorize::{ATTEMPTS, page_of};
use crate::job::{Job, SealedGrant};
use crate::pages::Page;
use crate::setback::UNWELL;
use crate::{Connector, Setback, grant};

/// When a queued revocation is done: by then the disconnect has happened, or failed.
const REVOCATION: Duration = Duration::from_mins(1);

/// Whether Oura has revoked what was erased here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// It has, or there was nothing to revoke.
    Done,
    /// Not as far as we know; a job on the queue tries until it has.
    Open,
    /// The grant is of Oura's other token server, to which it is never sent: it ends when the athlete removes the access in
    /// their Oura account.
    Elsewhere,
}

impl Connector {
    /// Disconnects the athlete.
    pub(crate) async fn disconnect(&self, athlete: &AthleteId, deadline: Deadline) -> Page {
        let withdrawn = match self.withdraw(athlete, deadline).await {
            Ok(withdrawn) => withdrawn,
            Err(setback) => return page_of(setback),
        };
        let Some(grant) = withdrawn else { return Page::DisconnectedBefore };
        match self.revoke_at_once(athlete, &grant, deadline).await {
            Revocation::Done => Page::Disconnected,
            Revocation::Open | Revocation::Elsewhere => Page::DisconnectedUnrevoked,
        }
    }

    /// Erases the athlete's grant, stops the syncs and has the grant revoked at Oura. The records stay. Repeating it does
    /// no harm.
    pub async fn end_connection(&self, athlete: &AthleteId, deadline: Deadline) -> Result<Revocation, Setback> {
        let Some(grant) = self.withdraw(athlete, deadline).await? else { return Ok(Revocation::Done) };
        Ok(self.revoke_at_once(athlete, &grant, deadline).await)
    }

    /// Tries the revocation that is queued as well.
    async fn revoke_at_once(&self, athlete: &AthleteId, grant: &SealedGrant, deadline: Deadline) -> Revocation {
        self.revoke(athlete, grant, deadline).await.unwrap_or_else(|setback| {
            tracing::warn!(%athlete, %setback, "the revocation is left to the queue");
            Revocation::Open
        })
    }

    /// Queues the revocation and erases the grant. Answers with the grant, if there was one, for whoever does not want to
    /// wait for the queue.
    pub(crate) async fn withdraw(
        &self,
        athlete: &AthleteId,
        deadline: Deadline,
    ) -> Result<Option<SealedGrant>, Setback> {
        for _ in 0..ATTEMPTS {
            let Some(connection) = self.store.connection(athlete, deadline.instant()).await? else { return Ok(None) };
            let grant = connection.grant.as_ref().map(|stored| grant::sealed(stored, &connection.scopes));
            if let Some(grant) = grant.clone() {
                let job = Job::Revoke { athlete: athlete.clone(), grant, tries: 0 };
                let queued = self.queue.send(&[(job, REVOCATION)], deadline).await;
                queued.map_err(|error| Setback::retry(UNWELL, error.to_string()))?;
            }
            match self.store.disconnect(athlete, connection.generation, self.clock.now(), deadline.instant()).await? {
                Disconnect::Disconnected { .. } => {
                    tracing::info!(%athlete, "disconnected");
                    return Ok(grant);
                }
                Disconnect::Already => return Ok(None),
                Disconnect::Raced => {}
            }
        }
        Err(Setback::retry(UNWELL, "the connection keeps changing"))
    }

    /// A revocation from the queue; `None` if the grant is still in use.
    pub(crate) async fn revoke_queued(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Option<Revocation>, Setback> {
        let connection = self.store.connection(athlete, deadline.instant()).await?;
        let in_use = connection.and_then(|connection| connection.grant).map(|stored| stored.sealed.to_base64());
        if in_use.as_ref() == Some(&grant.sealed) {
            return Ok(None);
        }
        self.revoke(athlete, grant, deadline).await.map(Some)
    }

    /// Tells Oura that this grant is no longer wanted. One that Oura no longer knows counts as revoked.
    async fn revoke(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Revocation, Setback> {
        let sealed = Sealed::from_base64(&grant.sealed)
            .map_err(|_| Setback::NeedsOperator("the grant in a revoke message is damaged".to_owned()))?;
        let issued_at = self.issuing_endpoint(athlete, &sealed, &grant.token_url, deadline).await?;
        if self.is_of_another_server(&issued_at) {
            tracing::error!(
                %athlete,
                "the grant is of Oura's other token server, to which it can't be sent; it ends when the athlete removes \
                 the access in their Oura account"
            );
            return Ok(Revocation::Elsewhere);
        }
        let token = self.refresh_token(athlete, &sealed, deadline).await?;
        let credentials = self.secrets.oura(deadline).await?;
        self.oura
            .revoke(&credentials, &token, deadline.instant())
            .await
            .map(|()| Revocation::Done)
            .map_err(|error| Setback::retry(UNWELL, format!("the grant could not be revoked: {error}")))
    }

    /// Oura has two token servers, on two hosts of its domain; a token of one is never sent to the other.
    fn is_of_another_server(&self, token_url: &Url) -> bool {
        let (issued, revoke) = (token_url.domain(), self.oura.endpoints().revoke.domain());
        let at_oura = |domain: Option<&str>| domain.is_some_and(|domain| domain.ends_with(oura::DOMAIN));
        at_oura(issued) && at_oura(revoke) && issued != revoke
    }
}
