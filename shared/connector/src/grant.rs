//! The athlete's grant: opening it, refreshing it, and never losing it.
//!
//! A refresh token works once. Whoever refreshes therefore
//! 1. holds the athlete's lease, taken with the generation that was read, so nobody else refreshes at the same time;
//! 2. sends the refresh token once, to the endpoint that issued it, and keeps time in hand to store the answer;
//! 3. stores the new pair before using it, until when the connection says that a refresh has begun; while that stands,
//!    nobody sends the refresh token again. When the table does not take it, the sealed pair goes onto the queue, and the
//!    job that carries it applies it if the generation is still the one the refresh began from.
//!
//! **Invariant**: no access token is used whose refresh token is not in the table.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::{SignedDuration, Timestamp};
use oura::{Grant, TokenError};
use runtime::{Deadline, SecretName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use store::{AthleteId, Claim, Connection, OpenError, Purpose, Save, Sealed, Service, Status, StoredGrant};

use crate::job::{Job, SealedGrant};
use crate::meter::Happening;
use crate::setback::{UNWELL, until};
use crate::{Connector, Setback};

/// A grant is refreshed when its access token has less than this to live: longer than any invocation.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// Kept back from the deadline to store what a refresh brought, or to send it to the queue.
pub(crate) const TO_STORE: Duration = Duration::from_secs(8);

/// Of that, for the queue alone.
const TO_QUEUE: Duration = Duration::from_secs(3);

/// A refresh is not begun with less than this left.
const TO_REFRESH: Duration = Duration::from_secs(15);

/// How long a worker waits for the one that is refreshing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// A refresh whose end nobody knows keeps others from trying for this long, and for as long again from when the table is
/// next seen to answer: the answer may be on its way through the queue, which tries every few minutes, and the refresh
/// token spent.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// A lease outlives the invocation that holds it by this much, for clocks that disagree.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How long everybody leaves Oura alone after it refused our own credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// A connection with an access token that can be used now, and the lease when it was needed.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) access_token: SecretString,
    /// The fence of the lease this process holds, until it is released.
    pub(crate) fence: Option<u64>,
    /// A refresh happened already; another would not help.
    pub(crate) refreshed: bool,
}

/// A refresh that brought no grant to use.
struct Failed {
    setback: Setback,
    token: RefreshToken,
}

/// What became of the refresh token.
enum RefreshToken {
    /// It is certainly as good as before.
    Unspent,
    /// Oura may have taken it for one that we never heard of: nothing is on its way through the queue.
    Doubtful,
    /// Oura has given another for it, which may be on its way through the queue.
    Spent,
}

/// Whatever fails on our own side before the token is sent leaves it as it was.
impl<E: Into<Setback>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { setback: error.into(), token: RefreshToken::Unspent }
    }
}

/// The token pair, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Tokens<'a> {
    access: &'a str,
    refresh: &'a str,
}

#[derive(Deserialize)]
struct OpenedTokens {
    access: SecretString,
    refresh: SecretString,
}

impl Connector {
    /// A session on the connection as it was read, refreshed first if its access token is about to expire.
    pub(crate) async fn session(&self, connection: Connection, deadline: Deadline) -> Result<Session, Setback> {
        let Some(grant) = &connection.grant else { return Err(Setback::NeedsAthlete(Status::NeedsConsent)) };
        if grant.expires_at <= self.clock.now() + FRESH {
            return self.refresh(connection, deadline).await;
        }
        let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await?;
        Ok(Session { access_token: tokens.access, connection, fence: None, refreshed: false })
    }

    /// Refreshes the grant of the connection as it was read, or takes over the grant that somebody else has refreshed
    /// meanwhile.
    pub(crate) async fn refresh(&self, connection: Connection, deadline: Deadline) -> Result<Session, Setback> {
        if deadline.remaining() < TO_REFRESH {
            return Err(Setback::retry(Duration::ZERO, "too little time is left to refresh the grant"));
        }
        let patience = deadline.at_most(PATIENCE);
        loop {
            match self.claim_to_refresh(&connection, deadline).await? {
                Claim::Won(claimed) => {
                    let (athlete, fence) = (claimed.athlete.clone(), claimed.fence);
                    let begun = claimed.refresh_begun;
                    let Failed { setback, token } = match self.refresh_under_lease(claimed, deadline).await {
                        Ok(session) => return Ok(session),
                        Err(failed) => failed,
                    };
                    match token {
                        RefreshToken::Unspent => self.settle(&athlete, fence, deadline).await,
                        RefreshToken::Doubtful => {
                            self.doubt(&athlete, begun, deadline).await;
                            self.release(&athlete, fence, deadline).await;
                        }
                        RefreshToken::Spent => self.release(&athlete, fence, deadline).await,
                    }
                    return Err(setback);
                }
                Claim::Unsettled { since } => return Err(self.unsettled(&connection.athlete, since, deadline).await),
                Claim::Moved => return self.take_over(&connection, deadline).await,
                Claim::Gone => return Err(Setback::Overtaken),
                Claim::Held { .. } if patience.remaining().is_zero() => {
                    return Err(Setback::retry(PATIENCE, "another worker is refreshing the grant"));
                }
                Claim::Held { .. } => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// How long nobody sends the refresh token that a refresh begun at `since` may have spent.
    async fn unsettled(&self, athlete: &AthleteId, since: Timestamp, deadline: Deadline) -> Setback {
        let now = self.clock.now();
        let settled = if now < since + SETTLED {
            since + SETTLED
        } else {
            match self.store.doubt_refresh(athlete, since, now, deadline.instant()).await {
                Ok(Some(doubted)) => doubted + SETTLED,
                Ok(None) => return Setback::Overtaken,
                Err(error) => return error.into(),
            }
        };
        Setback::retry(until(settled, now), "a refresh was begun, and nobody knows yet how it ended")
    }

    /// Uses the grant that replaced the one read.
    async fn take_over(&self, seen: &Connection, deadline: Deadline) -> Result<Session, Setback> {
        let connection = self.store.connection(&seen.athlete, deadline.instant()).await?.ok_or(Setback::Overtaken)?;
        match &connection.grant {
            Some(grant) if connection.generation > seen.generation && connection.status == Status::Active => {
                let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await?;
                Ok(Session { access_token: tokens.access, connection, fence: None, refreshed: true })
            }
            _ => Err(Setback::Overtaken),
        }
    }

    async fn refresh_under_lease(&self, connection: Connection, deadline: Deadline) -> Result<Session, Failed> {
        let Some(grant) = &connection.grant else {
            return Err(Failed { setback: Setback::NeedsAthlete(Status::NeedsConsent), token: RefreshToken::Unspent });
        };
        let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await?;
        let credentials = self.secrets.oura(deadline).await?;
        // The keyring is at hand before the answer is: nothing may stand between the new pair and the table.
        let keyring = self.secrets.keyring(deadline).await?;
        let until = deadline.earlier(TO_STORE).instant();
        let answer = self.oura.refresh(&credentials, &grant.token_url, &tokens.refresh, until).await;
        let issued = match answer {
            Ok(issued) => issued,
            Err(error) => {
                let token = match error {
                    TokenError::Uncertain { .. } | TokenError::Unusable { .. } => RefreshToken::Doubtful,
                    _ => RefreshToken::Unspent,
                };
                let setback = self.refresh_refused(&connection, error, deadline).await;
                match &setback {
                    Setback::NeedsAthlete(_) => self.meter.count(Happening::ConsentLost),
                    Setback::RetryAfter { .. } | Setback::NeedsOperator(_) => {
                        self.meter.count(Happening::RefreshFailed);
                    }
                    Setback::OutdatedApp | Setback::Overtaken => {}
                }
                return Err(Failed { setback, token });
            }
        };
        let scopes = if issued.scopes.is_unknown() { connection.scopes.clone() } else { issued.scopes.to_string() };
        let spent = |setback| Failed { setback, token: RefreshToken::Spent };
        let stored = self.seal(&keyring, &connection.athlete, &issued, grant.token_url.clone()).map_err(spent)?;
        let connection = self.keep(connection, stored, &scopes, deadline).await.map_err(spent)?;
        if !issued.scopes.is_unknown() && !issued.scopes.contains("daily") {
            return Err(spent(Setback::NeedsAthlete(Status::ScopeMissing)));
        }
        let fence = connection.lease.as_ref().map(|lease| lease.fence);
        Ok(Session { access_token: issued.access_token, connection, fence, refreshed: true })
    }

    /// Stores the new pair, or, when the table does not answer in time, sends it to the queue.
    async fn keep(
        &self,
        mut connection: Connection,
        grant: StoredGrant,
        scopes: &str,
        deadline: Deadline,
    ) -> Result<Connection, Setback> {
        let (athlete, from) = (connection.athlete.clone(), connection.generation);
        let saving = deadline.earlier(TO_QUEUE);
        loop {
            let now = self.clock.now();
            let saved =
                self.store.save_grant(&athlete, connection.fence, from, &grant, scopes, now, saving.instant()).await;
            let saved = match saved {
                // The lease was lost, the generation was not: the pair is still the athlete's only living one.
                Ok(Save::Superseded) => {
                    self.store.rescue_grant(&athlete, from, &grant, scopes, now, saving.instant()).await
                }
                other => other,
            };
            match saved {
                Ok(Save::Saved { generation }) => {
                    connection.generation = generation;
                    connection.grant = Some(grant);
                    scopes.clone_into(&mut connection.scopes);
                    connection.rotated_at = Some(now);
                    self.meter.count(Happening::Refreshed);
                    return Ok(connection);
                }
                Ok(Save::Superseded | Save::Gone) => {
                    self.orphaned(&athlete, sealed(&grant, scopes), deadline).await;
                    return Err(Setback::Overtaken);
                }
                Err(error) if error.is_retryable() && saving.remaining() > LOOK => {
                    tracing::warn!(athlete = %athlete, %error, "the refreshed grant is not stored yet");
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => {
                    self.meter.count(Happening::RefreshFailed);
                    let job = Job::Rescue {
                        athlete: athlete.clone(),
                        generation: from,
                        grant: sealed(&grant, scopes),
                        tries: 0,
                    };
                    return Err(match self.queue.send(&[(job, Duration::ZERO)], deadline).await {
                        Ok(()) => Setback::retry(UNWELL, format!("the refreshed grant went to the queue: {error}")),
                        Err(lost) => Setback::NeedsOperator(format!("a refreshed grant is lost: {error}; then {lost}")),
                    });
                }
            }
        }
    }

    /// A pair that nobody will ever use: the athlete has disconnected while it was on its way, and wants it revoked too.
    /// If they have connected anew instead, it is left alone, lest Oura takes it for a part of the new consent.
    async fn orphaned(&self, athlete: &AthleteId, grant: SealedGrant, deadline: Deadline) {
        let connection = self.store.connection(athlete, deadline.instant()).await;
        if matches!(connection, Ok(Some(connection)) if connection.status == Status::Disconnected) {
            let job = Job::Revoke { athlete: athlete.clone(), grant, tries: 0 };
            if let Err(error) = self.queue.send(&[(job, Duration::ZERO)], deadline).await {
                tracing::error!(%athlete, %error, "a grant stays alive at Oura that should be revoked");
            }
        }
    }

    /// What a refused refresh means, and what follows from it.
    async fn refresh_refused(&self, connection: &Connection, error: TokenError, deadline: Deadline) -> Setback {
        match error {
            TokenError::InvalidGrant => {
                match self.store.connection(&connection.athlete, deadline.instant()).await {
                    Err(error) => error.into(),
                    Ok(Some(now)) if now.generation == connection.generation => {
                        Setback::NeedsAthlete(Status::NeedsConsent)
                    }
                    // Somebody rotated it after all: theirs is the living one.
                    Ok(_) => Setback::Overtaken,
                }
            }
            // Another server's opinion of our application says nothing about the one everybody else uses.
            TokenError::InvalidClient if !self.is_of_current_server(connection) => Setback::NeedsOperator(
                "the server that issued this athlete's grant no longer knows the application: the athlete has to connect \
                 again through the new one"
                    .to_owned(),
            ),
            TokenError::InvalidClient => self.client_refused(deadline).await,
            TokenError::Throttled(throttle) => self.throttled(&connection.athlete, &throttle, deadline).await,
            TokenError::Refused { .. } => Setback::NeedsOperator(format!(
                "Oura refused a refresh ({error}); the athlete is not to blame: check OuraTokenUrl and the application"
            )),
            TokenError::Unwell { .. } | TokenError::Uncertain { .. } | TokenError::Unusable { .. } => {
                Setback::retry(UNWELL, format!("the grant could not be refreshed: {error}"))
            }
        }
    }

    fn is_of_current_server(&self, connection: &Connection) -> bool {
        connection.grant.as_ref().is_some_and(|grant| grant.token_url == self.oura.endpoints().token)
    }

    /// Oura does not know our application, or its secret is wrong: everybody waits, nobody is blamed.
    async fn client_refused(&self, deadline: Deadline) -> Setback {
        self.meter.count(Happening::OuraRefused);
        self.secrets.refused(SecretName::Oura);
        let why = "Oura refuses the application's credentials: check the oura secret";
        let until = self.clock.now() + REFUSED;
        if let Err(error) = self.store.set_hold(Service::Oura, until, why, deadline.instant()).await {
            return error.into();
        }
        Setback::NeedsOperator(why.to_owned())
    }

    /// Applies a pair that came through the queue; a later generation makes it void.
    pub(crate) async fn rescue(
        &self,
        athlete: &AthleteId,
        from: u64,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Save, Setback> {
        let sealed = Sealed::from_base64(&grant.sealed)
            .map_err(|_| Setback::NeedsOperator("the grant in a rescue message is damaged".to_owned()))?;
        let stored = StoredGrant { sealed, token_url: grant.token_url.clone(), expires_at: grant.expires_at };
        let now = self.clock.now();
        Ok(self.store.rescue_grant(athlete, from, &stored, &grant.scopes, now, deadline.instant()).await?)
    }

    async fn claim_to_refresh(&self, connection: &Connection, deadline: Deadline) -> Result<Claim, Setback> {
        let (now, until) = self.lease_from_now(deadline);
        let (owner, generation) = (random_id(), connection.generation);
        let athlete = &connection.athlete;
        let claim =
            self.store.claim_to_refresh(athlete, &owner, now, until, generation, now - SETTLED, deadline.instant());
        Ok(claim.await?)
    }

    /// Takes the athlete's lease for the rest of this invocation, if nobody has had it since the connection was read.
    pub(crate) async fn claim(&self, read: &Connection, deadline: Deadline) -> Result<Claim, Setback> {
        let (now, until) = self.lease_from_now(deadline);
        let Connection { athlete, fence, .. } = read;
        Ok(self.store.claim(athlete, &random_id(), now, until, Some(*fence), deadline.instant()).await?)
    }

    fn lease_from_now(&self, deadline: Deadline) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        let rest = SignedDuration::try_from(deadline.remaining()).unwrap_or(SKEW);
        (now, now + rest + SKEW)
    }

    /// Gives the lease back, and notes that the refresh token was not spent.
    async fn settle(&self, athlete: &AthleteId, fence: u64, deadline: Deadline) {
        if let Err(error) = self.store.settle_refresh(athlete, fence, deadline.instant()).await {
            tracing::warn!(athlete = %athlete, %error, "the lease is left to run out");
        }
    }

    /// Notes that a refresh is not known to have ended. Should that fail, whoever meets it next does.
    async fn doubt(&self, athlete: &AthleteId, begun: Option<Timestamp>, deadline: Deadline) {
        let Some(begun) = begun else { return };
        if let Err(error) = self.store.doubt_refresh(athlete, begun, self.clock.now(), deadline.instant()).await {
            tracing::warn!(athlete = %athlete, %error, "the refresh is doubted later");
        }
    }

    /// Gives the lease back. When that fails the lease runs out by itself.
    pub(crate) async fn release(&self, athlete: &AthleteId, fence: u64, deadline: Deadline) {
        if let Err(error) = self.store.release(athlete, fence, deadline.instant()).await {
            tracing::warn!(athlete = %athlete, %error, "the lease is left to run out");
        }
    }

    /// Seals a pair for the table.
    pub(crate) fn seal(
        &self,
        keyring: &store::Keyring,
        athlete: &AthleteId,
        issued: &Grant,
        token_url: url::Url,
    ) -> Result<StoredGrant, Setback> {
        let tokens =
            Tokens { access: issued.access_token.expose_secret(), refresh: issued.refresh_token.expose_secret() };
        let text = SecretString::from(serde_json::to_string(&tokens).unwrap_or_default());
        let sealed = keyring
            .seal(Purpose::Grant, athlete, text.expose_secret().as_bytes())
            .map_err(|error| Setback::NeedsOperator(error.to_string()))?;
        let lifetime = SignedDuration::try_from(issued.expires_in).unwrap_or(SignedDuration::MAX);
        let expires_at = self.clock.now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
        Ok(StoredGrant { sealed, token_url, expires_at })
    }

    /// The refresh token of a stored grant: what a revocation names, and with it goes everything issued on it.
    pub(crate) async fn refresh_token(
        &self,
        athlete: &AthleteId,
        grant: &Sealed,
        deadline: Deadline,
    ) -> Result<SecretString, Setback> {
        Ok(self.open(athlete, grant, deadline).await?.refresh)
    }

    async fn open(&self, athlete: &AthleteId, sealed: &Sealed, deadline: Deadline) -> Result<OpenedTokens, Setback> {
        let damaged = || Setback::NeedsOperator(format!("the stored grant of {athlete} is damaged"));
        let opened = self.unseal(Purpose::Grant, athlete, sealed, deadline).await?.ok_or_else(damaged)?;
        serde_json::from_slice(opened.expose_secret()).map_err(|_| damaged())
    }

    /// Opens a sealed value with whichever version of the key sealed it; `None` when it is damaged.
    pub(crate) async fn unseal(
        &self,
        purpose: Purpose,
        athlete: &AthleteId,
        sealed: &Sealed,
        deadline: Deadline,
    ) -> Result<Option<secrecy::SecretSlice<u8>>, Setback> {
        let keyring = self.secrets.keyring(deadline).await?;
        let opened = match keyring.open(purpose, athlete, sealed) {
            Err(OpenError::UnknownKey(version)) => {
                self.secrets.keyring_with(&version, deadline).await?.open(purpose, athlete, sealed)
            }
            other => other,
        };
        Ok(opened.ok())
    }
}

/// A stored grant as the queue carries it.
pub(crate) fn sealed(grant: &StoredGrant, scopes: &str) -> SealedGrant {
    SealedGrant {
        sealed: grant.sealed.to_base64(),
        token_url: grant.token_url.clone(),
        expires_at: grant.expires_at,
        scopes: scopes.to_owned(),
    }
}

/// 128 random bits, in hexadecimal: names the holder of a lease.
fn random_id() -> String {
    let mut bytes = [0; 16];
    // The generator fails only where the operating system has no entropy, and then the TLS below us fails first; a
    // lease held under a constant name would still be fenced.
    let _ = SystemRandom::new().fill(&mut bytes);
    hex::encode(bytes)
}
