//! What Oura says about one athlete: the four collections, at once, over one window.

use jiff::{SignedDuration, ToSpan};
use oura::{ApiError, DailyActivity, DailyReadiness, DailySleep, Days, Document, Forbidden, Sleep, Throttle, Tier};
use runtime::Deadline;
use secrecy::SecretString;
use store::{AthleteId, Service, Status};

use crate::forms::Documents;
use crate::grant::Session;
use crate::setback::UNWELL;
use crate::{Connector, Setback};

/// How long to be quiet when Oura throttles without saying for how long: its window.
const QUIET: SignedDuration = SignedDuration::from_mins(5);

type Answer<D> = Result<oura::Documents<D>, ApiError>;

impl Connector {
    /// The days a tick looks at: `LOOKBACK_DAYS` back from today in the site's zone, and tomorrow, because an athlete
    /// who travels east of the site wakes up there first.
    pub(crate) fn window(&self) -> Days {
        let today = self.clock.now().to_zoned(self.settings.time_zone.clone()).date();
        Days {
            first: today.saturating_sub(i64::from(self.settings.lookback_days).days()),
            last: today.saturating_add(1.day()),
        }
    }

    /// Fetches the four collections. A refused access token is refreshed once and only what was refused is asked again;
    /// a collection that is still refused alone is left out and named.
    pub(crate) async fn fetch(
        &self,
        session: &mut Session,
        days: Days,
        deadline: Deadline,
    ) -> Result<Documents, Setback> {
        let token = session.access_token.clone();
        let (mut activity, mut readiness, mut daily_sleep, mut sleep) = tokio::join!(
            self.collection::<DailyActivity>(&token, days, deadline),
            self.collection::<DailyReadiness>(&token, days, deadline),
            self.collection::<DailySleep>(&token, days, deadline),
            self.collection::<Sleep>(&token, days, deadline),
        );
        let any_refused = refused(&activity) || refused(&readiness) || refused(&daily_sleep) || refused(&sleep);
        if any_refused && !session.refreshed {
            *session = self.refresh(session.connection.clone(), deadline).await?;
            let token = session.access_token.clone();
            (activity, readiness, daily_sleep, sleep) = tokio::join!(
                self.again(activity, &token, days, deadline),
                self.again(readiness, &token, days, deadline),
                self.again(daily_sleep, &token, days, deadline),
                self.again(sleep, &token, days, deadline),
            );
        }
        let athlete = &session.connection.athlete;
        let mut documents = Documents::default();
        documents.activity = self.read(activity, &mut documents, athlete, deadline).await?;
        documents.readiness = self.read(readiness, &mut documents, athlete, deadline).await?;
        documents.daily_sleep = self.read(daily_sleep, &mut documents, athlete, deadline).await?;
        documents.sleep = self.read(sleep, &mut documents, athlete, deadline).await?;
        if documents.refused.len() == 4 {
            // A token Oura has just issued opens nothing: what is missing is the athlete's permission.
            return Err(Setback::NeedsAthlete(Status::ScopeMissing));
        }
        Ok(documents)
    }

    /// Asks Oura whose account this is.
    pub(crate) async fn oura_user(&self, session: &Session, deadline: Deadline) -> Result<oura::OuraUserId, Setback> {
        match self.oura.personal_info(&session.access_token, deadline.instant()).await {
            Ok(person) => Ok(person.id),
            Err(error) => Err(self.oura_setback(&session.connection.athlete, error, deadline).await),
        }
    }

    async fn collection<D: Document>(&self, token: &SecretString, days: Days, deadline: Deadline) -> Answer<D> {
        self.oura.documents(token, days, deadline.instant()).await
    }

    async fn again<D: Document>(
        &self,
        answer: Answer<D>,
        token: &SecretString,
        days: Days,
        deadline: Deadline,
    ) -> Answer<D> {
        if refused(&answer) { self.collection(token, days, deadline).await } else { answer }
    }

    async fn read<D: Document>(
        &self,
        answer: Answer<D>,
        documents: &mut Documents,
        athlete: &AthleteId,
        deadline: Deadline,
    ) -> Result<Vec<D>, Setback> {
        match answer {
            Ok(read) => {
                documents.unreadable.extend(read.unreadable);
                Ok(read.documents)
            }
            Err(ApiError::TokenRefused) => {
                documents.refused.insert(D::COLLECTION);
                Ok(Vec::new())
            }
            Err(error) => Err(self.oura_setback(athlete, error, deadline).await),
        }
    }

    /// What an error of the API means for the athlete, and for everybody.
    async fn oura_setback(&self, athlete: &AthleteId, error: ApiError, deadline: Deadline) -> Setback {
        match error {
            ApiError::TokenRefused => Setback::NeedsAthlete(Status::NeedsConsent),
            ApiError::Forbidden { detail: Forbidden::Scope } => Setback::NeedsAthlete(Status::ScopeMissing),
            // Oura documents 403 as a lapsed membership or a missing scope. Sleep data was granted, or there would be
            // no connection, so without a word from Oura it is the membership.
            ApiError::Forbidden { .. } => Setback::NeedsAthlete(Status::MembershipLapsed),
            ApiError::Throttled(throttle) => self.throttled(athlete, &throttle, deadline).await,
            ApiError::Rejected { .. } => Setback::NeedsOperator(format!("Oura rejected our request: {error}")),
            ApiError::Unwell { .. } | ApiError::TimedOut | ApiError::Unreadable { .. } => {
                Setback::retry(UNWELL, format!("Oura: {error}"))
            }
        }
    }

    /// Obeys a 429: the token's tier pauses this athlete, the application's tier everybody. An unnamed tier is taken
    /// for the application's, the wider of the two.
    pub(crate) async fn throttled(&self, athlete: &AthleteId, throttle: &Throttle, deadline: Deadline) -> Setback {
        let quiet = throttle.after.and_then(|after| SignedDuration::try_from(after).ok()).unwrap_or(QUIET);
        let until = self.clock.now() + quiet;
        let (held, who) = match throttle.tier {
            Tier::Token => {
                let held = self.store.hold_athlete(athlete, until, deadline.instant()).await;
                (held.map(drop), "this athlete")
            }
            Tier::Application | Tier::Unknown => {
                let why = "Oura asked the application to slow down";
                let held = self.store.set_hold(Service::Oura, until, why, deadline.instant()).await;
                (held.map(drop), "everybody")
            }
        };
        match held {
            Ok(()) => Setback::retry(quiet.unsigned_abs(), format!("Oura asked {who} to wait")),
            Err(error) => error.into(),
        }
    }
}

fn refused<D>(answer: &Answer<D>) -> bool {
    matches!(answer, Err(ApiError::TokenRefused))
}
