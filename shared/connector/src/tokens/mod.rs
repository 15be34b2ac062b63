//! Opens, refreshes and seals an athlete's grant, and makes sure that no refreshed grant is lost.
//!
//! A refresh token works once. So the worker that refreshes a grant:
//! 1. takes the athlete's lease, on condition that the generation is still the one it read. So no other worker
//!    refreshes at the same time. The same write notes on the connection that a refresh has begun;
//! 2. sends the refresh token once, to the endpoint that issued it, and reserves time to store the answer;
//! 3. stores the new pair before it uses it, which also removes the note of step 1. While the note is there, no worker
//!    sends the refresh token again before the wait of `SETTLED` is over;
//! 4. if the table does not take the pair, sends the sealed pair to the queue as a rescue job. That job stores the pair
//!    if the generation is still the one that the refresh began from.
//!
//! **Invariant**: no access token is used whose refresh token is not in the table.
//!
//! The token endpoint is sealed together with the tokens. The table and the queue also have a plaintext copy, which any
//! process with write access to them could change, so the sealed one decides. A grant sealed by an earlier release has
//! only the plaintext copy. Such a grant is refreshed only at an endpoint that this installation
//! [knows](oura::Client::is_known_token_endpoint), and the new pair is sealed with that endpoint. Earlier releases can
//! open both formats.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::{SignedDuration, Timestamp};
use oura::{Grant, TokenError};
use runtime::{Deadline, SecretName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use store::{
    AthleteId, Claim, Connection, OpenError, Refusals, Save, SealPurpose, Sealed, Service, Status, StoredGrant,
};
use url::Url;

use crate::error::{UNWELL, until};
use crate::lease::Lease;
use crate::metrics::Counter;
use crate::queue::message::{Job, SealedGrant};
use crate::{Connector, JobError};

/// A grant is refreshed when its access token expires in less than this, which is longer than any invocation.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// Time reserved before the deadline to store a refreshed pair, or to send it to the queue.
pub(crate) const TO_STORE: Duration = Duration::from_secs(8);

/// The part of [`TO_STORE`] that is reserved for the queue.
const TO_QUEUE: Duration = Duration::from_secs(3);

/// A refresh does not begin with less time than this left.
const TO_REFRESH: Duration = Duration::from_secs(15);

/// How long a worker waits for another worker's refresh.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a waiting worker tries again.
const LOOK: Duration = Duration::from_millis(200);

/// After a refresh with an unknown outcome, wait this long before sending the token again, and then as long again from
/// when a worker next reaches the table. The refreshing worker died or could not store the pair. So the refresh token
/// may be spent, and the new pair may be in a rescue job, which tries every few minutes.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// After a refresh that ended without a token pair, wait this long before sending the token again. It is shorter than
/// the job's own retry. No pair is on the queue here, and if the response was lost, the token is spent and waiting does
/// not help. But the token server may still be processing a request whose connection was lost. It could treat a second
/// use of the token as theft. Without this wait, another job that waits for the lease would send the token at once.
const WAIT_AFTER_FAILED_REFRESH: SignedDuration = SignedDuration::from_secs(20);

/// When the token server has refused a grant again and again for this long, for a reason outside the athlete's control,
/// the athlete is asked to connect again.
const MAX_REFUSED_TIME: SignedDuration = SignedDuration::from_hours(24);

/// If two refusals are further apart than this and than two ticks, the count starts again: no refresh was tried
/// between.
const MAX_REFUSAL_GAP: SignedDuration = SignedDuration::from_hours(6);

/// The note that staff see in that case.
pub(crate) const RECONNECT: &str = "Oura's token server has refused to refresh this grant for a day (it may have moved): the \
     athlete connects again; until then it is tried once a day";

/// A lease lasts this much longer than the invocation that holds it, because clocks may disagree.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How long no process calls Oura after it refused the application's own credentials.
const REFUSED: SignedDuration = SignedDuration::from_mins(5);

/// A connection with an access token that can be used now, and the lease if one was needed.
pub(crate) struct AuthorizedConnection {
    pub(crate) connection: Connection,
    pub(crate) access_token: SecretString,
    /// The lease this process holds, until it is released.
    pub(crate) lease: Option<Lease>,
    /// Whether the grant was just refreshed, so that another refresh would not help.
    pub(crate) refreshed: bool,
}

/// A refresh that ended without a usable grant.
struct Failed {
    setback: JobError,
    token: RefreshToken,
}

/// The state of the refresh token after a failed refresh.
enum RefreshToken {
    /// It was certainly not used up.
    Unspent {
        /// How the token server has [refused](Connection::refresh_refused) the grant.
        refused: Option<Refusals>,
    },
    /// Oura may have exchanged it for a pair that we did not receive. No pair is on the queue.
    Doubtful,
    /// Oura has exchanged it for a new pair, which may be on the queue.
    Spent,
}

/// The token pair, as it is sealed.
#[derive(Serialize)]
struct Tokens<'a> {
    access: &'a str,
    refresh: &'a str,
    /// The endpoint that issued the pair. Releases that do not know this member ignore it.
    token_url: &'a Url,
}

/// The token pair, as it is opened.
#[derive(Deserialize)]
struct OpenedTokens {
    access: SecretString,
    refresh: SecretString,
    /// `None` in a pair that an earlier release sealed, without this member.
    token_url: Option<Url>,
}

impl Connector {
    /// A session on the connection as it was read, refreshed first if its access token is about to expire.
    pub(crate) async fn session(
        &self,
        connection: Connection,
        deadline: Deadline,
    ) -> Result<AuthorizedConnection, JobError> {
        let Some(grant) = &connection.grant else { return Err(JobError::NeedsAthlete(Status::NeedsConsent)) };
        if grant.expires_at <= self.clock.now() + FRESH {
            return self.refresh(connection, deadline).await;
        }
        let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await?;
        Ok(AuthorizedConnection { access_token: tokens.access, connection, lease: None, refreshed: false })
    }

    /// Refreshes the grant of the connection as it was read, or uses the grant that another worker has refreshed
    /// meanwhile.
    pub(crate) async fn refresh(
        &self,
        connection: Connection,
        deadline: Deadline,
    ) -> Result<AuthorizedConnection, JobError> {
        if deadline.remaining() < TO_REFRESH {
            return Err(JobError::retry(Duration::ZERO, "too little time is left to refresh the grant"));
        }
        let patience = deadline.at_most(PATIENCE);
        loop {
            match self.claim_to_refresh(&connection, deadline).await? {
                Claim::Won(claimed) => {
                    let (athlete, fence, lease) = (claimed.athlete.clone(), claimed.fence, Lease::of(&claimed));
                    let begun = claimed.refresh_begun;
                    let Failed { setback, token } = match self.refresh_under_lease(claimed, deadline).await {
                        Ok(session) => return Ok(session),
                        Err(failed) => failed,
                    };
                    match token {
                        RefreshToken::Unspent { refused } => self.settle(&athlete, fence, refused, deadline).await,
                        RefreshToken::Doubtful => {
                            self.doubt(&athlete, begun, deadline).await;
                            self.release(&athlete, lease, deadline).await;
                        }
                        RefreshToken::Spent => self.release(&athlete, lease, deadline).await,
                    }
                    return Err(setback);
                }
                Claim::Unsettled { since, doubted } => {
                    return Err(self.unsettled(&connection.athlete, since, doubted, deadline).await);
                }
                Claim::Moved => return self.take_over(&connection, deadline).await,
                Claim::Gone => return Err(JobError::Superseded),
                Claim::Held { .. } if patience.remaining().is_zero() => {
                    return Err(JobError::Busy { after: PATIENCE, why: "another worker is refreshing the grant" });
                }
                Claim::Held { .. } => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The error that says when the refresh token may be sent again, after a refresh begun at `since` with an unknown
    /// outcome.
    async fn unsettled(
        &self,
        athlete: &AthleteId,
        since: Timestamp,
        doubted: Option<Timestamp>,
        deadline: Deadline,
    ) -> JobError {
        let now = self.clock.now();
        let settled = match doubted {
            Some(doubted) => doubted + SETTLED,
            None if now < since + SETTLED => since + SETTLED,
            None => match self.store.suspect_refresh(athlete, since, now, deadline.instant()).await {
                Ok(Some(doubted)) => doubted + SETTLED,
                Ok(None) => return JobError::Superseded,
                Err(error) => return error.into(),
            },
        };
        JobError::retry(until(settled, now), "the outcome of an earlier refresh is not known yet")
    }

    /// Uses the stored grant, if it has replaced the one in `seen`.
    async fn take_over(&self, seen: &Connection, deadline: Deadline) -> Result<AuthorizedConnection, JobError> {
        let connection = self.store.connection(&seen.athlete, deadline.instant()).await?.ok_or(JobError::Superseded)?;
        match &connection.grant {
            Some(grant) if connection.generation > seen.generation && connection.status == Status::Active => {
                let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await?;
                Ok(AuthorizedConnection { access_token: tokens.access, connection, lease: None, refreshed: true })
            }
            _ => Err(JobError::Superseded),
        }
    }

    async fn refresh_under_lease(
        &self,
        connection: Connection,
        deadline: Deadline,
    ) -> Result<AuthorizedConnection, Failed> {
        // A failure on our side before the token is sent does not use it up.
        let unsent = |setback| Failed { setback, token: RefreshToken::Unspent { refused: connection.refresh_refused } };
        let Some(grant) = &connection.grant else { return Err(unsent(JobError::NeedsAthlete(Status::NeedsConsent))) };
        let tokens = self.open(&connection.athlete, &grant.sealed, deadline).await.map_err(unsent)?;
        let token_url = self.endpoint_to_refresh_at(&connection.athlete, &tokens, grant).map_err(unsent)?;
        let credentials = self.secrets.oura(deadline).await.map_err(|error| unsent(error.into()))?;
        // Load the keyring before the refresh: after it, no further step may fail before the new pair is stored.
        let keyring = self.secrets.keyring(deadline).await.map_err(|error| unsent(error.into()))?;
        let until = deadline.earlier(TO_STORE).instant();
        let answer = self.oura.refresh(&credentials, &token_url, &tokens.refresh, until).await;
        let issued = match answer {
            Ok(issued) => issued,
            Err(error) => {
                let refused = self.refusals(&connection, &token_url, &error);
                let token = match error {
                    TokenError::Uncertain { .. } | TokenError::Unusable { .. } => RefreshToken::Doubtful,
                    _ => RefreshToken::Unspent { refused },
                };
                let setback = self.refresh_refused(&connection, &token_url, refused, error, deadline).await;
                match &setback {
                    // Already counted as lost when it was first refused; later daily retries do not count it again.
                    JobError::NeedsAthlete(status) if *status == connection.status => {}
                    JobError::NeedsAthlete(_) => self.counters.count(Counter::ConsentLost),
                    JobError::RetryAfter { .. } | JobError::NeedsOperator(_) => {
                        self.counters.count(Counter::RefreshFailed);
                    }
                    JobError::Busy { .. } | JobError::OutdatedApp | JobError::Superseded => {}
                }
                return Err(Failed { setback, token });
            }
        };
        let scopes = if issued.scopes.is_unknown() { connection.scopes.clone() } else { issued.scopes.to_string() };
        let spent = |setback| Failed { setback, token: RefreshToken::Spent };
        let stored = self.seal(&keyring, &connection.athlete, &issued, token_url).map_err(spent)?;
        let connection = self.keep(connection, stored, &scopes, deadline).await.map_err(spent)?;
        if !issued.scopes.is_unknown() && !issued.scopes.contains("daily") {
            return Err(spent(JobError::NeedsAthlete(Status::ScopeMissing)));
        }
        let lease = Lease::of(&connection);
        Ok(AuthorizedConnection { access_token: issued.access_token, connection, lease, refreshed: true })
    }

    /// The endpoint that a grant's refresh token may be sent to, together with the client secret: the one sealed with
    /// it, which this installation got the grant from. The plaintext copy is used only if no sealed one exists, and
    /// only if this installation knows that endpoint.
    fn endpoint_to_refresh_at(
        &self,
        athlete: &AthleteId,
        tokens: &OpenedTokens,
        grant: &StoredGrant,
    ) -> Result<Url, JobError> {
        match &tokens.token_url {
            Some(sealed) => {
                if *sealed != grant.token_url {
                    tracing::error!(
                        %athlete,
                        "the connection's token_url is not the one sealed with its tokens: something else has written to \
                         the table; the sealed one is used"
                    );
                }
                Ok(sealed.clone())
            }
            None if self.oura.is_known_token_endpoint(&grant.token_url) => Ok(grant.token_url.clone()),
            None => Err(JobError::NeedsOperator(format!(
                "the grant names a token endpoint that is neither OuraTokenUrl nor one of Oura's own ({}), so its refresh \
                 token was not sent there: set OuraTokenUrl to it if it was right before, or have the athlete connect again",
                grant.token_url.origin().ascii_serialization()
            ))),
        }
    }

    /// Stores the new pair. If the table does not answer in time, sends it to the queue.
    async fn keep(
        &self,
        mut connection: Connection,
        grant: StoredGrant,
        scopes: &str,
        deadline: Deadline,
    ) -> Result<Connection, JobError> {
        let (athlete, from) = (connection.athlete.clone(), connection.generation);
        let saving = deadline.earlier(TO_QUEUE);
        loop {
            let now = self.clock.now();
            let saved =
                self.store.save_grant(&athlete, connection.fence, from, &grant, scopes, now, saving.instant()).await;
            let saved = match saved {
                // The lease was lost. If the generation is unchanged, this pair is still the athlete's only valid one.
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
                    self.counters.count(Counter::Refreshed);
                    return Ok(connection);
                }
                Ok(Save::Superseded | Save::Gone) => {
                    let oura_user = connection.oura_user.clone();
                    self.revoke_later(&athlete, sealed(&grant, scopes), oura_user, Duration::ZERO, deadline).await;
                    return Err(JobError::Superseded);
                }
                Err(error) if error.is_retryable() && saving.remaining() > LOOK => {
                    tracing::warn!(athlete = %athlete, %error, "the refreshed grant is not stored yet");
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => {
                    self.counters.count(Counter::RefreshFailed);
                    let job = Job::Rescue {
                        athlete: athlete.clone(),
                        generation: from,
                        grant: sealed(&grant, scopes),
                        tries: 0,
                    };
                    return Err(match self.queue.send(&[(job, Duration::ZERO)], deadline).await {
                        Ok(()) => JobError::retry(UNWELL, format!("the refreshed grant went to the queue: {error}")),
                        Err(lost) => {
                            JobError::NeedsOperator(format!("a refreshed grant is lost: {error}; then {lost}"))
                        }
                    });
                }
            }
        }
    }

    /// The refusals of this grant for a reason outside the athlete's control, including this one; `None` if there are
    /// none.
    fn refusals(&self, connection: &Connection, token_url: &Url, error: &TokenError) -> Option<Refusals> {
        let before = refused(connection);
        let elsewhere = *token_url != self.oura.endpoints().token;
        match error {
            // Errors of a token server that does not know the application (seen live in August and September 2026).
            TokenError::Refused { code } if code == "invalid_request" => {}
            TokenError::Refused { .. } | TokenError::InvalidClient if elsewhere => {}
            TokenError::InvalidGrant => return None,
            // This error says nothing about the grant.
            _ => return before,
        }
        let two_ticks = SignedDuration::try_from(self.settings.period.saturating_mul(2)).unwrap_or(SignedDuration::MAX);
        Some(refused_again(before, self.clock.now(), MAX_REFUSAL_GAP.max(two_ticks)))
    }

    /// Maps a failed refresh to a job error, and stores the pause that the error requires.
    async fn refresh_refused(
        &self,
        connection: &Connection,
        token_url: &Url,
        refused: Option<Refusals>,
        error: TokenError,
        deadline: Deadline,
    ) -> JobError {
        let elsewhere = *token_url != self.oura.endpoints().token;
        match error {
            TokenError::InvalidGrant => {
                match self.store.connection(&connection.athlete, deadline.instant()).await {
                    Err(error) => error.into(),
                    Ok(Some(now)) if now.generation == connection.generation => {
                        JobError::NeedsAthlete(Status::NeedsConsent)
                    }
                    // Another worker refreshed the grant meanwhile, and its pair is the valid one.
                    Ok(_) => JobError::Superseded,
                }
            }
            TokenError::InvalidClient if !elsewhere => self.client_refused(deadline).await,
            TokenError::Refused { .. } | TokenError::InvalidClient if refused.is_some_and(is_for_good) => {
                tracing::warn!(athlete = %connection.athlete, %error, "{RECONNECT}");
                JobError::NeedsAthlete(Status::NeedsConsent)
            }
            // An earlier token server refuses the application. This says nothing about the server that is in use now.
            TokenError::InvalidClient => JobError::NeedsOperator(
                "the server that issued this athlete's grant no longer knows the application: the athlete has to connect \
                 again through the new one"
                    .to_owned(),
            ),
            TokenError::Throttled(throttle) => self.throttled(&connection.athlete, &throttle, deadline).await,
            TokenError::Refused { .. } => JobError::NeedsOperator(format!(
                "Oura refused a refresh ({error}); the athlete is not to blame: check OuraTokenUrl and the application"
            )),
            // The job's own retry comes later than `WAIT_AFTER_FAILED_REFRESH`.
            TokenError::Unwell { .. } | TokenError::Uncertain { .. } | TokenError::Unusable { .. } => {
                JobError::retry(UNWELL, format!("the grant could not be refreshed: {error}"))
            }
        }
    }

    /// Whether a connection with [`Status::NeedsConsent`] holds a grant that the token server may accept again later.
    /// The athlete is asked to connect again; meanwhile the grant is tried once a day.
    pub(crate) fn may_be_accepted_again(connection: &Connection) -> bool {
        connection.grant.is_some() && refused(connection).is_some_and(is_for_good)
    }

    /// Oura does not know the application, or its secret is wrong: pauses all calls to Oura. No athlete has to act.
    async fn client_refused(&self, deadline: Deadline) -> JobError {
        self.counters.count(Counter::OuraRefused);
        self.secrets.refused(SecretName::Oura);
        let why = "Oura refuses the application's credentials: check the oura secret";
        let until = self.clock.now() + REFUSED;
        if let Err(error) = self.store.set_hold(Service::Oura, until, why, deadline.instant()).await {
            return error.into();
        }
        JobError::NeedsOperator(why.to_owned())
    }

    /// Stores a pair from a rescue job, unless the connection has a later generation.
    pub(crate) async fn rescue(
        &self,
        athlete: &AthleteId,
        from: u64,
        grant: &SealedGrant,
        deadline: Deadline,
    ) -> Result<Save, JobError> {
        let sealed = Sealed::from_base64(&grant.sealed)
            .map_err(|_| JobError::NeedsOperator("the grant in a rescue message is damaged".to_owned()))?;
        let stored = StoredGrant { sealed, token_url: grant.token_url.clone(), expires_at: grant.expires_at };
        let now = self.clock.now();
        Ok(self.store.rescue_grant(athlete, from, &stored, &grant.scopes, now, deadline.instant()).await?)
    }

    async fn claim_to_refresh(&self, connection: &Connection, deadline: Deadline) -> Result<Claim, JobError> {
        let (now, until) = self.lease_from_now(deadline);
        let (owner, generation) = (random_id(), connection.generation);
        let athlete = &connection.athlete;
        let claim =
            self.store.claim_to_refresh(athlete, &owner, now, until, generation, now - SETTLED, deadline.instant());
        Ok(claim.await?)
    }

    /// Takes the athlete's lease for the rest of this invocation, if no worker has taken it since the connection was
    /// read.
    pub(crate) async fn claim(&self, read: &Connection, deadline: Deadline) -> Result<Claim, JobError> {
        let (now, until) = self.lease_from_now(deadline);
        let Connection { athlete, fence, .. } = read;
        Ok(self.store.claim(athlete, &random_id(), now, until, Some(*fence), deadline.instant()).await?)
    }

    fn lease_from_now(&self, deadline: Deadline) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        let rest = SignedDuration::try_from(deadline.remaining()).unwrap_or(SKEW);
        (now, now + rest + SKEW)
    }

    /// Releases the lease, and notes that the refresh token was not used up and how the token server refused it.
    async fn settle(&self, athlete: &AthleteId, fence: u64, refused: Option<Refusals>, deadline: Deadline) {
        if let Err(error) = self.store.settle_refresh(athlete, fence, refused, deadline.instant()).await {
            tracing::warn!(athlete = %athlete, %error, "the lease is left to run out");
        }
    }

    /// Notes that the refresh begun at `begun` ended without a pair, so that the next one may begin after
    /// [`WAIT_AFTER_FAILED_REFRESH`]. If the write fails, the next one begins after [`SETTLED`], as after a worker that
    /// died.
    async fn doubt(&self, athlete: &AthleteId, begun: Option<Timestamp>, deadline: Deadline) {
        let Some(begun) = begun else { return };
        let doubted = self.clock.now() + WAIT_AFTER_FAILED_REFRESH - SETTLED;
        if let Err(error) = self.store.suspect_refresh(athlete, begun, doubted, deadline.instant()).await {
            tracing::warn!(athlete = %athlete, %error, "could not store how the refresh ended; the next waits longer");
        }
    }

    /// Seals a pair for the table, with the endpoint that issued it.
    pub(crate) fn seal(
        &self,
        keyring: &store::Keyring,
        athlete: &AthleteId,
        issued: &Grant,
        token_url: Url,
    ) -> Result<StoredGrant, JobError> {
        let tokens = Tokens {
            access: issued.access_token.expose_secret(),
            refresh: issued.refresh_token.expose_secret(),
            token_url: &token_url,
        };
        let text = SecretString::from(serde_json::to_string(&tokens).unwrap_or_default());
        let sealed = keyring
            .seal(SealPurpose::Grant, athlete, text.expose_secret().as_bytes())
            .map_err(|error| JobError::NeedsOperator(error.to_string()))?;
        let lifetime = SignedDuration::try_from(issued.expires_in).unwrap_or(SignedDuration::MAX);
        let expires_at = self.clock.now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
        Ok(StoredGrant { sealed, token_url, expires_at })
    }

    /// The refresh token of a stored grant. Revoking it also revokes every token issued with it.
    pub(crate) async fn refresh_token(
        &self,
        athlete: &AthleteId,
        grant: &Sealed,
        deadline: Deadline,
    ) -> Result<SecretString, JobError> {
        Ok(self.open(athlete, grant, deadline).await?.refresh)
    }

    /// The endpoint that issued a grant: the sealed one, or the plaintext copy if an earlier release sealed the grant.
    pub(crate) async fn issuing_endpoint(
        &self,
        athlete: &AthleteId,
        grant: &Sealed,
        in_the_clear: &Url,
        deadline: Deadline,
    ) -> Result<Url, JobError> {
        let tokens = self.open(athlete, grant, deadline).await?;
        Ok(tokens.token_url.unwrap_or_else(|| in_the_clear.clone()))
    }

    /// The access token of a stored grant, to ask Oura whose it is.
    pub(crate) async fn access_token(
        &self,
        athlete: &AthleteId,
        grant: &Sealed,
        deadline: Deadline,
    ) -> Result<SecretString, JobError> {
        Ok(self.open(athlete, grant, deadline).await?.access)
    }

    async fn open(&self, athlete: &AthleteId, sealed: &Sealed, deadline: Deadline) -> Result<OpenedTokens, JobError> {
        let damaged = || JobError::NeedsOperator(format!("the stored grant of {athlete} is damaged"));
        let opened = self.unseal(SealPurpose::Grant, athlete, sealed, deadline).await?.ok_or_else(damaged)?;
        serde_json::from_slice(opened.expose_secret()).map_err(|_| damaged())
    }

    /// Opens a sealed value with the version of the key that sealed it; `None` if the value is damaged.
    pub(crate) async fn unseal(
        &self,
        purpose: SealPurpose,
        athlete: &AthleteId,
        sealed: &Sealed,
        deadline: Deadline,
    ) -> Result<Option<secrecy::SecretSlice<u8>>, JobError> {
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

/// The refusals of the current grant, without those of the grants before it.
fn refused(connection: &Connection) -> Option<Refusals> {
    let issued = connection.rotated_at.unwrap_or(connection.connected_at);
    connection.refresh_refused.filter(|refused| refused.since >= issued)
}

/// Whether a grant has been refused for so long that the athlete is asked to connect again.
fn is_for_good(refused: Refusals) -> bool {
    refused.last.duration_since(refused.since) >= MAX_REFUSED_TIME
}

/// Adds a refusal. The earlier ones count only if the last one is recent, or if they already lasted long enough.
fn refused_again(before: Option<Refusals>, now: Timestamp, max_gap: SignedDuration) -> Refusals {
    let counted = before.filter(|before| is_for_good(*before) || now.duration_since(before.last) <= max_gap);
    Refusals { since: counted.map_or(now, |before| before.since), last: now }
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

/// 128 random bits in hexadecimal, as the name of a lease's holder.
fn random_id() -> String {
    let mut bytes = [0; 16];
    // The generator fails only if the operating system has no entropy, and then TLS fails first. A lease with a
    // constant name would still be fenced.
    let _ = SystemRandom::new().fill(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sealed format of the previous release, which has no `token_url`.
    #[derive(Serialize, Deserialize)]
    struct Former {
        access: String,
        refresh: String,
    }

    /// Whether refusals at these hours make the worker ask the athlete to connect again.
    fn refused_at(hours: &[i64]) -> bool {
        let mut refused = None;
        for hour in hours {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(*hour);
            refused = Some(refused_again(refused, now, MAX_REFUSAL_GAP));
        }
        refused.is_some_and(is_for_good)
    }

    /// Between the two refusals, an outage of the site prevents any refresh.
    #[test]
    fn two_refusals_a_day_apart_are_not_a_day_of_refusals() {
        assert!(!refused_at(&[0, 24]));
        assert!(!refused_at(&[0, 24, 30, 36]));
        assert!(!refused_at(&[0, 6, 12, 18]));
    }

    #[test]
    fn refusals_for_a_day_are_final_and_daily_tries_keep_them_so() {
        assert!(refused_at(&[0, 6, 12, 18, 24]));
        assert!(refused_at(&[0, 6, 12, 18, 24, 48, 72]));
    }

    #[test]
    fn this_release_and_the_previous_open_each_others_pairs() {
        let token_url: Url = "https://moi.ouraring.com/oauth/v2/ext/oauth-token".parse().unwrap();
        let sealed = serde_json::to_string(&Tokens { access: "aa", refresh: "rr", token_url: &token_url }).unwrap();
        let former: Former = serde_json::from_str(&sealed).unwrap();
        assert_eq!((former.access.as_str(), former.refresh.as_str()), ("aa", "rr"));

        let opened: OpenedTokens = serde_json::from_str(&serde_json::to_string(&former).unwrap()).unwrap();
        assert_eq!((opened.refresh.expose_secret(), opened.token_url), ("rr", None));
        let opened: OpenedTokens = serde_json::from_str(&sealed).unwrap();
        assert_eq!((opened.access.expose_secret(), opened.token_url), ("aa", Some(token_url)));
    }
}
