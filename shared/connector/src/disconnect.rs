//! Disconnecting: erases the grant at once and revokes it at Oura. The records stay.
//!
//! A grant that is erased first could never be revoked if the process then stopped. So the order is: queue the
//! revocation with a delay of a minute, erase the grant, then try the revocation at once. Revoking twice is harmless.
//! If a queued revocation finds its grant still in use, the disconnect never happened, and the job does nothing.
//!
//! Oura does not document what happens to an account's other grants when one is revoked. So a revocation is not sent
//! while the Oura account has another grant in use: the athlete has connected again, or the ring now feeds another
//! athlete. Such a revocation is dropped, because no part of the connector can use its grant any more. While it is
//! unknown whether the athlete's new grant is of the same account, the revocation waits on the queue, for a week at
//! most. The same rule applies to a new grant that will not be used, and to a grant that another account's grant has
//! replaced.
//!
//! The table is read immediately before the revocation is sent, after the token and the credentials were read. One race
//! remains: the athlete consents before the revocation reaches Oura, and the new grant is stored after that read. If
//! Oura ends that consent, too, the next sync detects it and asks the athlete to connect again. If Oura never named the
//! account, other athletes' connections can't be searched for it. Then only the athlete's own connection shows whether
//! the grant is in use.

use std::time::Duration;

use oura::ApiError;
use runtime::Deadline;
use store::{AthleteId, Connection, Disconnect, Sealed, Status};
use url::Url;

use crate::authorize::{ATTEMPTS, page_of};
use crate::error::UNWELL;
use crate::http::pages::Page;
use crate::queue::message::{Job, SealedGrant};
use crate::{Connector, JobError, tokens};

/// The delay of a queued revocation: by then the disconnect has happened or failed.
pub(crate) const REVOCATION: Duration = Duration::from_mins(1);

/// The part of the deadline reserved for queueing a revocation that could not be sent at once.
pub(crate) const QUEUE_RESERVE: Duration = Duration::from_secs(3);

/// Whether Oura has revoked the erased grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Oura has revoked it, or there was no grant.
    Done,
    /// The revocation is not confirmed; a queued job repeats it until it is.
    Open,
    /// The grant belongs to Oura's other token server, and is never sent to this one. It ends when the athlete removes
    /// the access in their Oura account.
    Elsewhere,
    /// No revocation was sent: this grant, or another grant of the same Oura account, is in use and could end with it.
    InUse,
}

/// An erased grant.
pub(crate) struct Withdrawn {
    grant: SealedGrant,
    /// The Oura account of the grant, if known.
    oura_user: Option<String>,
    /// Whether the account feeds another athlete and Oura has not said which account it is.
    is_shared: bool,
}

impl Connector {
    /// Disconnects the athlete.
    pub(crate) async fn disconnect(&self, athlete: &AthleteId, deadline: Deadline) -> Page {
        let withdrawn = match self.erase_grant(athlete, deadline).await {
            Ok(withdrawn) => withdrawn,
            Err(setback) => return page_of(setback),
        };
        let Some(withdrawn) = withdrawn else { return Page::DisconnectedBefore };
        match self.revoke_at_once(athlete, &withdrawn, deadline).await {
            Revocation::Done => Page::Disconnected,
            Revocation::Open | Revocation::Elsewhere | Revocation::InUse => Page::DisconnectedUnrevoked,
        }
    }

    /// Erases the athlete's grant, stops the syncs and revokes the grant at Oura. The records stay. Repeating it is
    /// harmless.
    pub async fn end_connection(&self, athlete: &AthleteId, deadline: Deadline) -> Result<Revocation, JobError> {
        let Some(withdrawn) = self.erase_grant(athlete, deadline).await? else { return Ok(Revocation::Done) };
        Ok(self.revoke_at_once(athlete, &withdrawn, deadline).await)
    }

    /// Tries at once the revocation that is also queued.
    async fn revoke_at_once(&self, athlete: &AthleteId, withdrawn: &Withdrawn, deadline: Deadline) -> Revocation {
        if withdrawn.is_shared {
            tracing::warn!(%athlete, "the grant is not revoked: its Oura account feeds another athlete");
            return Revocation::InUse;
        }
        let Withdrawn { grant, oura_user, .. } = withdrawn;
        self.revoke(athlete, grant, oura_user.as_deref(), deadline).await.unwrap_or_else(|setback| {
            tracing::warn!(%athlete, %setback, "the revocation is left to the queue");
            Revocation::Open
        })
    }

    /// Queues the revocation and erases the grant. Returns the grant, if there was one, so that the caller can revoke
    /// it at once.
    pub(crate) async fn erase_grant(
        &self,
        athlete: &AthleteId,
        deadline: Deadline,
    ) -> Result<Option<Withdrawn>, JobError> {
        for _ in 0..ATTEMPTS {
            let Some(connection) = self.store.connection(athlete, deadline.instant()).await? else { return Ok(None) };
            let connection = self.with_working_token(connection, deadline).await;
            let withdrawn = self.to_withdraw(&connection, deadline).await;
            if let Some(Withdrawn { grant, oura_user, is_shared: false }) = &withdrawn {
                let (athlete, grant, oura_user) = (athlete.clone(), grant.clone(), oura_user.clone());
                let job = Job::Revoke { athlete, grant, oura_user, tries: 0 };
                let queued = self.queue.send(&[(job, REVOCATION)], deadline).await;
                queued.map_err(|error| JobError::retry(UNWELL, error.to_string()))?;
            }
            match self.store.disconnect(athlete, connection.generation, self.clock.now(), deadline.instant()).await? {
                Disconnect::Disconnected { .. } => {
                    tracing::info!(%athlete, "disconnected");
                    return Ok(withdrawn);
                }
                Disconnect::Already => return Ok(None),
                Disconnect::Raced => {}
            }
        }
        Err(JobError::retry(UNWELL, "the connection keeps changing"))
    }

    /// The connection with an access token that works, where its account is not known and Oura has to be asked for it. If
    /// the refresh fails, the connection as it was read: its grant is revoked without knowing the account.
    async fn with_working_token(&self, connection: Connection, deadline: Deadline) -> Connection {
        if connection.oura_user.is_some() || connection.grant.is_none() {
            return connection;
        }
        match self.session(connection.clone(), deadline.earlier(QUEUE_RESERVE)).await {
            Ok(authorized) => {
                self.release(&authorized.connection.athlete, authorized.lease, deadline).await;
                authorized.connection
            }
            Err(error) => {
                tracing::warn!(athlete = %connection.athlete, %error, "the account of a grant stays unknown");
                connection
            }
        }
    }

    /// The grant of a connection, and whose account it opens. Where the connection does not name the account, this asks Oura,
    /// while the access token still works: later tries of the revocation need the account to see whether another athlete
    /// uses it.
    async fn to_withdraw(&self, connection: &Connection, deadline: Deadline) -> Option<Withdrawn> {
        let grant = tokens::sealed(connection.grant.as_ref()?, &connection.scopes);
        let mut oura_user = connection.oura_user.clone();
        let is_taken = connection.status == Status::OuraAccountTaken && oura_user.is_none();
        if oura_user.is_none() {
            let asked = self.account_of(&connection.athlete, &grant, deadline.earlier(QUEUE_RESERVE)).await;
            oura_user = asked.unwrap_or_default();
        }
        Some(Withdrawn { is_shared: is_taken && oura_user.is_none(), grant, oura_user })
    }

    /// Revokes a new grant that will not be used. If Oura does not accept that now, the queued job repeats it.
    pub(crate) async fn discard(
        &self,
        athlete: &AthleteId,
        grant: SealedGrant,
        oura_user: Option<String>,
        deadline: Deadline,
    ) {
        let revoked = self.revoke(athlete, &grant, oura_user.as_deref(), deadline.earlier(QUEUE_RESERVE)).await;
        if let Err(setback) = revoked {
            tracing::warn!(%athlete, %setback, "could not revoke the unused grant now; queueing the revocation");
            self.revoke_later(athlete, grant, oura_user, REVOCATION, deadline).await;
        }
    }

    /// Queues the revocation of a grant that is probably unused; the job checks again before it revokes.
    pub(crate) async fn revoke_later(
        &self,
        athlete: &AthleteId,
        grant: SealedGrant,
        oura_user: Option<String>,
        delay: Duration,
        deadline: Deadline,
    ) {
        let job = Job::Revoke { athlete: athlete.clone(), grant, oura_user, tries: 0 };
        if let Err(error) = self.queue.send(&[(job, delay)], deadline.handover()).await {
            tracing::error!(%athlete, %error, "could not queue a revocation; the grant stays alive at Oura");
        }
    }

    /// Revokes the grant at Oura, unless it is in use or its revocation could end another grant in use. A grant that
    /// Oura no longer knows counts as revoked.
    pub(crate) async fn revoke(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        oura_user: Option<&str>,
        deadline: Deadline,
    ) -> Result<Revocation, JobError> {
        let sealed = opened(grant)?;
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
        if self.is_in_use(athlete, grant, oura_user, deadline).await? {
            tracing::info!(%athlete, "the grant is not revoked: it is in use, or its Oura account has another that is");
            return Ok(Revocation::InUse);
        }
        self.oura
            .revoke(&credentials, &token, deadline.instant())
            .await
            .map(|()| Revocation::Done)
            .map_err(|error| JobError::retry(UNWELL, format!("the grant could not be revoked: {error}")))
    }

    /// Whether this grant or another grant of the same Oura account is in use, as far as the table shows. Returns an
    /// error while the athlete has another grant in use and the account of one of the two is unknown: the revocation is
    /// tried again later.
    async fn is_in_use(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        oura_user: Option<&str>,
        deadline: Deadline,
    ) -> Result<bool, JobError> {
        let oura_user = match oura_user {
            Some(named) => Some(named.to_owned()),
            None => self.account_of(athlete, grant, deadline).await?,
        };
        if let Some(own) = self.store.connection(athlete, deadline.instant()).await? {
            if own.grant.as_ref().is_some_and(|stored| stored.sealed.to_base64() == grant.sealed) {
                return Ok(true);
            }
            if Self::is_valid_at_oura(&own) {
                if oura_user.is_none() || own.oura_user.is_none() {
                    return Err(JobError::retry(
                        UNWELL,
                        "the athlete has another grant, perhaps of the same Oura account",
                    ));
                }
                if own.oura_user == oura_user {
                    return Ok(true);
                }
            }
        }
        let Some(oura_user) = oura_user else { return Ok(false) };
        match self.store.owner(&oura_user, deadline.instant()).await? {
            Some(owner) if owner != *athlete => {
                let other = self.store.connection(&owner, deadline.instant()).await?;
                Ok(other.is_some_and(|other| Self::is_valid_at_oura(&other) && other.oura_user == Some(oura_user)))
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Asks Oura for a grant's account, while the access token works.
    async fn account_of(
        &self,
        athlete: &AthleteId,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Option<String>, JobError> {
        if grant.expires_at <= self.clock.now() {
            return Ok(None);
        }
        let token = self.access_token(athlete, &opened(grant)?, deadline).await?;
        match self.oura.personal_info(&token, deadline.instant()).await {
            Ok(person) => Ok(Some(person.id.as_str().to_owned())),
            Err(ApiError::TokenRefused | ApiError::Forbidden { .. } | ApiError::Rejected { .. }) => Ok(None),
            Err(error) => {
                Err(JobError::retry(UNWELL, format!("Oura does not say whose grant is to be revoked: {error}")))
            }
        }
    }

    /// Whether the connection has a grant that Oura still accepts, or may accept again.
    fn is_valid_at_oura(connection: &Connection) -> bool {
        match connection.status {
            Status::Disconnected => false,
            Status::NeedsConsent => Self::may_be_accepted_again(connection),
            Status::Active | Status::MembershipLapsed | Status::ScopeMissing | Status::OuraAccountTaken => {
                connection.grant.is_some()
            }
        }
    }

    /// Whether both addresses are of the same token server. Oura has two, on two hosts of its domain; a token of one is
    /// never sent to the other.
    fn is_of_another_server(&self, token_url: &Url) -> bool {
        let (issued, revoke) = (token_url.domain(), self.oura.endpoints().revoke.domain());
        let at_oura = |domain: Option<&str>| domain.is_some_and(|domain| domain.ends_with(oura::DOMAIN));
        at_oura(issued) && at_oura(revoke) && issued != revoke
    }
}

fn opened(grant: &SealedGrant) -> Result<Sealed, JobError> {
    Sealed::from_base64(&grant.sealed)
        .map_err(|_| JobError::NeedsOperator("the grant in a revoke message is damaged".to_owned()))
}
