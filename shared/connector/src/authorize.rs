//! Connecting an athlete: from the personal link to a stored grant.
//!
//! The link names the athlete. The state, stored hashed and used once, ties Oura's answer to that athlete. The cookie
//! ties both to the browser that began. PKCE ties the code to this authorization. A UUID may pass to another user of
//! the site while the athlete is at Oura. So the state names the user it was made for, and the visit ends if another
//! user has the UUID by then.
//!
//! **Invariant**: a code is exchanged at most once, for the browser that asked for it, at the token endpoint of the
//! issuer that gave it. No error here changes a connection that works.
//!
//! Once a code is exchanged, the grant exists at Oura. So the keys for sealing are read before the code is sent. A
//! grant that will not be used, or that a grant of another account has replaced, is revoked as in `disconnect`. It is
//! kept if the revocation could end a grant in use. If the token response is lost, the grant can't be revoked, because
//! its token is not known.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, ToSpan};
use oura::{ApiError, Forbidden, TokenError};
use runtime::{Deadline, SecretName};
use secrecy::{ExposeSecret, SecretString};
use store::{
    Connect, Enrolment, NewConnection, NewState, Replaced, SealPurpose, State, Status, StoredGrant, TakeState,
};
use url::Url;

use crate::disconnect::{QUEUE_RESERVE, REVOCATION};
use crate::error::LOOK_AGAIN;
use crate::http::pages::Page;
use crate::http::params::entry;
use crate::http::{Link, LinkFault};
use crate::metrics::Counter;
use crate::queue::message::Job;
use crate::tokens::{TO_STORE, sealed};
use crate::{Connector, JobError};

/// How long a state, and so a visit to Oura's consent page, is valid: as long as Oura's code.
pub(crate) const STATE_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The longest error code that is logged; those of RFC 6749 and OpenID Connect are shorter.
const LONGEST_CODE: usize = 40;

/// How often a write to the connection is tried when other writers change it.
pub(crate) const ATTEMPTS: usize = 3;

/// The start of an authorization, after the athlete pressed the button.
pub(crate) struct AuthorizationStart {
    /// Oura's consent page.
    pub(crate) url: Url,
    /// The cookie that binds this browser.
    pub(crate) browser: SecretString,
}

/// The query with which Oura sends the athlete back.
pub(crate) struct CallbackParams {
    code: Option<SecretString>,
    state: Option<SecretString>,
    error: Option<String>,
    issuer: Option<String>,
    scope: Option<String>,
}

impl Connector {
    /// Checks the link in a query or a form, and reads the athlete's enrolment.
    pub(crate) async fn verify_link(&self, query: &str, deadline: Deadline) -> Result<(Link, Enrolment), Page> {
        let now = self.clock.now();
        let keyring = self.secrets.keyring(deadline).await.map_err(|error| page_of(error.into()))?;
        let link = match Link::check(&keyring, query, now) {
            Err(LinkFault::OtherKey) => {
                let keyring = self.secrets.keyring_with_previous(deadline).await;
                Link::check(&*keyring.map_err(|error| page_of(error.into()))?, query, now)
            }
            other => other,
        };
        let link = link.map_err(|fault| match fault {
            LinkFault::Damaged => Page::LinkDamaged,
            LinkFault::Expired | LinkFault::OtherKey => Page::LinkExpired,
        })?;
        match self.store.enrolment(&link.athlete, deadline.instant()).await {
            // After a UUID passed to another user, the former user's link must not open that user's connection.
            Ok(Some(enrolment)) if enrolment.has_ended(link.expires) => Err(Page::LinkExpired),
            Ok(Some(enrolment)) => Ok((link, enrolment)),
            Ok(None) => Err(Page::UnknownAthlete),
            Err(error) => Err(page_of(error.into())),
        }
    }

    /// Prepares the visit to Oura after the athlete pressed the button.
    pub(crate) async fn begin(
        &self,
        link: &Link,
        visitor: &Enrolment,
        deadline: Deadline,
    ) -> Result<AuthorizationStart, Page> {
        self.try_begin(link, visitor, deadline).await.map_err(page_of)
    }

    async fn try_begin(
        &self,
        link: &Link,
        visitor: &Enrolment,
        deadline: Deadline,
    ) -> Result<AuthorizationStart, JobError> {
        let credentials = self.secrets.oura(deadline).await?;
        let keyring = self.secrets.keyring(deadline).await?;
        let (state, browser) = (random_text()?, random_text()?);
        let authorization = self.oura.authorization(
            &credentials.client_id,
            &self.settings.callback(),
            &self.settings.scopes,
            state.expose_secret(),
        );
        let verifier = keyring
            .seal(SealPurpose::PkceVerifier, &visitor.athlete, authorization.pkce_verifier.expose_secret().as_bytes())
            .map_err(|error| JobError::NeedsOperator(error.to_string()))?;
        let kept = NewState {
            hash: fingerprint(state.expose_secret()),
            athlete: visitor.athlete.clone(),
            user_id: visitor.user_id,
            verifier,
            browser: fingerprint(browser.expose_secret()),
            link_expires: link.expires,
            expires: self.clock.now() + STATE_LIFETIME,
        };
        self.store.put_state(&kept, deadline.instant()).await?;
        Ok(AuthorizationStart { url: authorization.url, browser })
    }

    /// Handles the return from Oura: determines the result, and stores the grant if there is one.
    pub(crate) async fn handle_callback(
        &self,
        back: CallbackParams,
        browser: Option<&str>,
        deadline: Deadline,
    ) -> Page {
        self.try_handle_callback(back, browser, deadline).await.unwrap_or_else(|page| page)
    }

    async fn try_handle_callback(
        &self,
        back: CallbackParams,
        browser: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, Page> {
        let state = back.state.ok_or(Page::SessionLost)?;
        let (now, hash) = (self.clock.now(), fingerprint(state.expose_secret()));
        let state = match self.store.take_state(&hash, now, deadline.instant()).await {
            Ok(TakeState::Taken(state)) => state,
            Ok(TakeState::Expired) => return Err(Page::TooSlow),
            Ok(TakeState::Unknown) => return Err(Page::SessionLost),
            Err(error) => return Err(page_of(error.into())),
        };
        let same_browser = browser.is_some_and(|browser| same(&fingerprint(browser), &state.browser));
        if !same_browser {
            return Err(Page::SessionLost);
        }
        if let Some(error) = back.error {
            return Err(authorization_refused(&state.athlete, &error));
        }
        if back.issuer.is_some_and(|issuer| !self.issued_by_token_endpoint(&issuer)) {
            let athlete = &state.athlete;
            tracing::error!(%athlete, "the code is of an issuer that OuraTokenUrl does not belong to; it was not sent");
            return Err(Page::Misconfigured);
        }
        let code = back.code.filter(|code| !code.expose_secret().is_empty()).ok_or(Page::OuraUnwell)?;
        let visitor = self.still_named(&state, deadline).await?;
        let athlete = &visitor.athlete;
        let verifier = self
            .unseal(SealPurpose::PkceVerifier, athlete, &state.verifier, deadline)
            .await
            .map_err(page_of)?
            .and_then(|verifier| String::from_utf8(verifier.expose_secret().to_vec()).ok())
            .ok_or(Page::SessionLost)?;
        let credentials = self.secrets.oura(deadline).await.map_err(|error| page_of(error.into()))?;
        // Read the key before the code is exchanged, so that the grant can be stored at once.
        let keyring = self.secrets.keyring(deadline).await.map_err(|error| page_of(error.into()))?;
        let callback = self.settings.callback();
        // Leave time to store the grant before the deadline: Oura issues it only once.
        let asking = deadline.earlier(TO_STORE);
        let exchanged = self.oura.exchange(&credentials, &code, &callback, &verifier.into(), asking.instant()).await;
        let mut grant = match exchanged {
            Ok(grant) => grant,
            Err(error) => return Err(self.exchange_refused(athlete, &error)),
        };
        if grant.scopes.is_unknown() {
            // RFC 6749, 5.1: an answer without a scope grants what was asked, unless the redirect said otherwise.
            grant.scopes = match back.scope.as_deref().map(str::trim) {
                Some("") => oura::Scopes::unknown(),
                said => {
                    let said = said.map(oura::Scopes::granted).filter(|scopes| !scopes.is_unknown());
                    said.unwrap_or_else(|| oura::Scopes::parse(&self.settings.scopes))
                }
            };
        }
        let stored = self.seal(&keyring, athlete, &grant, self.oura.endpoints().token.clone()).map_err(page_of)?;
        if !grant.scopes.contains("daily") {
            tracing::warn!(%athlete, "sleep data was not shared");
            self.discard(athlete, sealed(&stored, &grant.scopes.to_string()), None, deadline).await;
            return Err(Page::ScopeMissing);
        }
        self.connect(visitor, &grant, stored, deadline).await
    }

    /// The enrolment for which the visit began, if its user still has the UUID.
    async fn still_named(&self, state: &State, deadline: Deadline) -> Result<Enrolment, Page> {
        match self.store.enrolment(&state.athlete, deadline.instant()).await {
            Ok(Some(enrolment)) if state.link_expires.is_some_and(|expires| enrolment.has_ended(expires)) => {
                tracing::warn!(athlete = %state.athlete, "the link was ended during a visit to Oura; nothing was connected");
                Err(Page::LinkExpired)
            }
            Ok(Some(enrolment)) if enrolment.user_id == state.user_id => Ok(enrolment),
            Ok(Some(_)) => {
                tracing::warn!(athlete = %state.athlete, "the UUID passed to another user during a visit to Oura");
                Err(Page::LinkExpired)
            }
            Ok(None) => Err(Page::UnknownAthlete),
            Err(error) => Err(page_of(error.into())),
        }
    }

    async fn connect(
        &self,
        visitor: Enrolment,
        grant: &oura::Grant,
        stored: StoredGrant,
        deadline: Deadline,
    ) -> Result<Page, Page> {
        let Enrolment { athlete, user_id, name, .. } = visitor;
        let athlete = &athlete;
        let who = self.oura.personal_info(&grant.access_token, deadline.earlier(TO_STORE).instant()).await;
        let (oura_user, lapsed) = match who {
            Ok(person) => (Some(person.id.as_str().to_owned()), false),
            Err(ApiError::Forbidden { detail: Forbidden::Scope }) => (None, false),
            Err(ApiError::Forbidden { detail: Forbidden::Membership }) => (None, true),
            // The first sync can ask for the account again; Oura issues the grant only once.
            Err(error) => {
                tracing::warn!(%athlete, %error, "Oura did not say whose account this is");
                (None, false)
            }
        };
        let now = self.clock.now();
        let window = self.window();
        let owed = window.last.saturating_sub(i64::from(self.settings.backfill_days).days());
        let new = NewConnection {
            athlete: athlete.clone(),
            status: if lapsed { Status::MembershipLapsed } else { Status::Active },
            note: None,
            user_id,
            oura_user,
            scopes: grant.scopes.to_string(),
            grant: stored,
            held_until: lapsed.then(|| now + LOOK_AGAIN),
            backfill_from: (self.settings.backfill_days > 0).then_some(owed),
            now,
        };
        let unused = || (sealed(&new.grant, &new.scopes), new.oura_user.clone());
        for _ in 0..ATTEMPTS {
            match self.store.connect(&new, deadline.earlier(QUEUE_RESERVE).instant()).await {
                Ok(Connect::Connected { connection, replaced }) => {
                    tracing::info!(%athlete, lapsed, "connected");
                    let is_account_new = connection.account_changed_at == Some(now);
                    if is_account_new {
                        tracing::warn!(
                            %athlete,
                            "the Oura account is not known to be the one before; the form for staff says so"
                        );
                    }
                    self.revoke_replaced(&new, replaced, deadline).await;
                    // Without history, a backfill of today makes the worker write the form for staff soon.
                    if self.settings.backfill_days > 0 || is_account_new {
                        self.queue_backfill(athlete, owed, window.last, deadline).await;
                    }
                    let (history, every) = (self.history(), self.settings.period);
                    return Ok(if lapsed {
                        Page::ConnectedLapsed { name }
                    } else {
                        Page::Connected { name, history, every }
                    });
                }
                Ok(Connect::Taken) => {
                    tracing::warn!(%athlete, "this Oura account already feeds another athlete");
                    let (grant, oura_user) = unused();
                    self.discard(athlete, grant, oura_user, deadline).await;
                    return Err(Page::AccountTaken);
                }
                Ok(Connect::Raced) => {}
                Err(error) => {
                    // The write may still have succeeded. A consistent read in a minute shows whether the grant is in
                    // use.
                    let (grant, oura_user) = unused();
                    self.revoke_later(athlete, grant, oura_user, REVOCATION, deadline).await;
                    return Err(page_of(error.into()));
                }
            }
        }
        let (grant, oura_user) = unused();
        self.discard(athlete, grant, oura_user, deadline).await;
        Err(Page::TryAgain)
    }

    /// Revokes the replaced grant if it belongs to another Oura account. If the account is the same or unknown, the
    /// revocation could also end the new grant.
    async fn revoke_replaced(&self, new: &NewConnection, replaced: Option<Replaced>, deadline: Deadline) {
        let Some(Replaced { grant, scopes, oura_user: Some(former) }) = replaced else { return };
        if new.oura_user.as_ref().is_some_and(|now| *now != former) {
            self.revoke_later(&new.athlete, sealed(&grant, &scopes), Some(former), REVOCATION, deadline).await;
        }
    }

    /// How many days of history a new connection gets: the backfill's, or those of every sync's window.
    pub(crate) fn history(&self) -> u16 {
        self.settings.backfill_days.max(self.settings.lookback_days)
    }

    /// Queues a backfill. The connection stores the missing days, so if the job can't be queued, the next tick brings
    /// them.
    pub(crate) async fn queue_backfill(
        &self,
        athlete: &store::AthleteId,
        from: jiff::civil::Date,
        to: jiff::civil::Date,
        deadline: Deadline,
    ) {
        let job = Job::Backfill { athlete: athlete.clone(), from, to, put_off: 0 };
        if let Err(error) = self.queue.send(&[(job, Duration::ZERO)], deadline).await {
            tracing::warn!(%athlete, %error, "the backfill waits for the next tick");
        }
    }

    fn exchange_refused(&self, athlete: &store::AthleteId, error: &TokenError) -> Page {
        tracing::warn!(%athlete, %error, "the code could not be exchanged");
        match error {
            TokenError::InvalidGrant => Page::TooSlow,
            // The wrong token server of Oura answers a first exchange like this, too (seen live in August 2026). So one
            // visitor's refusal does not block all others.
            TokenError::InvalidClient => {
                self.secrets.refused(SecretName::Oura);
                self.counters.count(Counter::OuraRefused);
                tracing::error!(%athlete, "check the oura secret, and that OuraTokenUrl is the application's own server");
                Page::Misconfigured
            }
            TokenError::Refused { .. } => {
                tracing::error!(%athlete, %error, "Oura refused to exchange a code; check OuraTokenUrl and the oura secret");
                Page::Misconfigured
            }
            TokenError::Throttled(_)
            | TokenError::Unwell { .. }
            | TokenError::Uncertain { .. }
            | TokenError::Unusable { .. } => Page::OuraUnwell,
        }
    }

    /// Whether our token endpoint belongs to the code's issuer (RFC 9207). Oura's other token server would consume the
    /// code without a grant (seen live in September 2026). At Oura, the issuer must have the token endpoint's origin. A
    /// substitute for Oura may also name the authorise address's origin or Oura's own issuer.
    fn issued_by_token_endpoint(&self, issuer: &str) -> bool {
        let endpoints = self.oura.endpoints();
        let Ok(issuer) = Url::parse(issuer).map(|url| url.origin()) else { return false };
        let at_oura = endpoints.token.domain().is_some_and(|domain| domain.ends_with(oura::DOMAIN));
        issuer == endpoints.token.origin()
            || (!at_oura && (issuer == endpoints.authorize.origin() || issuer.ascii_serialization() == oura::ISSUER))
    }
}

impl CallbackParams {
    /// Reads the callback's query.
    pub(crate) fn read(query: &str) -> Self {
        let entry = |name| entry(query, name);
        Self {
            code: entry("code").map(SecretString::from),
            state: entry("state").map(SecretString::from),
            // An empty value counts as absent.
            error: entry("error").filter(|error| !error.is_empty()),
            issuer: entry("iss"),
            // Present and empty means that no scope was granted; absent means that the scopes are unknown.
            scope: entry("scope"),
        }
    }
}

/// The page for an error code (RFC 6749, 4.1.2.1) in place of a code to exchange.
fn authorization_refused(athlete: &store::AthleteId, error: &str) -> Page {
    match error {
        "access_denied" => Page::Declined,
        "server_error" | "temporarily_unavailable" => {
            tracing::warn!(%athlete, error, "Oura could not ask for consent; the athlete was asked to try again");
            Page::OuraUnwell
        }
        // The value comes from the browser's address line, so it is logged only if it looks like an error code.
        _ => {
            let sound = (1..=LONGEST_CODE).contains(&error.len())
                && error.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            let error = if sound { error } else { "not an error code" };
            tracing::error!(
                %athlete,
                error,
                "Oura refused to ask the athlete for consent; check the application's redirect address and scopes at \
                 Oura, and the oura secret"
            );
            Page::Misconfigured
        }
    }
}

/// The page for an error; logs the cause if a retry or the operator can resolve it.
pub(crate) fn page_of(setback: JobError) -> Page {
    match setback {
        JobError::RetryAfter { why, .. } => {
            tracing::warn!(why, "a visitor was asked to try again");
            Page::TryAgain
        }
        JobError::NeedsOperator(reason) => {
            tracing::error!(reason, "the operator must act");
            Page::Misconfigured
        }
        JobError::NeedsAthlete(_) | JobError::OutdatedApp | JobError::Busy { .. } | JobError::Superseded => {
            Page::TryAgain
        }
    }
}

/// 256 random bits as text.
pub(crate) fn random_text() -> Result<SecretString, JobError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| JobError::retry(Duration::from_secs(1), "the operating system has no randomness"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes).into())
}

/// The hash that is stored in place of a secret value.
fn fingerprint(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// Whether two texts are equal, in constant time.
pub(crate) fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
