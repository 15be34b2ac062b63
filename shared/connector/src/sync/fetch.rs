//! Fetches one athlete's four Oura collections at once, over one window of days.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use oura::{ApiError, DailyActivity, DailyReadiness, DailySleep, Days, Document, Forbidden, Sleep, Throttle, Tier};
use runtime::Deadline;
use secrecy::SecretString;
use store::{AthleteId, Service, Status};

use crate::error::UNWELL;
use crate::forms::Documents;
use crate::metrics::Counter;
use crate::tokens::AuthorizedConnection;
use crate::{Connector, JobError};

/// The pause when Oura throttles without saying for how long: the length of its rate-limit window.
const QUIET: SignedDuration = SignedDuration::from_mins(5);

/// How long an athlete is not synced after Oura refused a token that it had just issued.
const REFUSED: SignedDuration = SignedDuration::from_hours(1);

type Answer<D> = Result<oura::Documents<D>, ApiError>;

impl Connector {
    /// The days that a tick fetches: from `LOOKBACK_DAYS` before today, in the site's time zone, to tomorrow. Tomorrow
    /// is included because for an athlete who travels east of the site, the next day begins earlier.
    pub(crate) fn window(&self) -> Days {
        self.window_at(self.clock.now())
    }

    /// The days that a tick at this moment fetches.
    pub(crate) fn window_at(&self, now: Timestamp) -> Days {
        window(now, &self.settings.time_zone, self.settings.lookback_days)
    }

    /// Fetches the four collections.
    ///
    /// - If the access token opens none of them, this function refreshes it once and repeats only the refused requests.
    /// - If some collections are refused and others answer, the refused ones are left out and named, whatever the
    ///   reason: the membership has not lapsed, and the other collections need not wait.
    /// - If others answer, a refusal that was not written by Oura (a firewall, a CDN) is retried once first.
    pub(crate) async fn fetch(
        &self,
        session: &mut AuthorizedConnection,
        days: Days,
        deadline: Deadline,
    ) -> Result<Documents, JobError> {
        let token = session.access_token.clone();
        let (mut activity, mut readiness, mut daily_sleep, mut sleep) = tokio::join!(
            self.collection::<DailyActivity>(&token, days, deadline),
            self.collection::<DailyReadiness>(&token, days, deadline),
            self.collection::<DailySleep>(&token, days, deadline),
            self.collection::<Sleep>(&token, days, deadline),
        );
        let any_refused = refused(&activity) || refused(&readiness) || refused(&daily_sleep) || refused(&sleep);
        // A token that opens one collection is valid: a collection that refuses it needs a scope, not another token.
        let mut alive = activity.is_ok() || readiness.is_ok() || daily_sleep.is_ok() || sleep.is_ok();
        let repeat: Option<fn(&ApiError) -> bool> = if alive {
            Some(|error| matches!(error, ApiError::Foreign { .. }))
        } else if any_refused && !session.refreshed {
            *session = self.refresh(session.connection.clone(), deadline).await?;
            Some(|error| matches!(error, ApiError::TokenRefused))
        } else {
            None
        };
        if let Some(repeat) = repeat {
            let token = session.access_token.clone();
            (activity, readiness, daily_sleep, sleep) = tokio::join!(
                self.again(activity, repeat, &token, days, deadline),
                self.again(readiness, repeat, &token, days, deadline),
                self.again(daily_sleep, repeat, &token, days, deadline),
                self.again(sleep, repeat, &token, days, deadline),
            );
            alive = activity.is_ok() || readiness.is_ok() || daily_sleep.is_ok() || sleep.is_ok();
        }
        let athlete = &session.connection.athlete;
        let mut documents = Documents::default();
        let mut reasons = Vec::new();
        documents.activity = self.read(activity, alive, &mut documents, &mut reasons, athlete, deadline).await?;
        documents.readiness = self.read(readiness, alive, &mut documents, &mut reasons, athlete, deadline).await?;
        documents.daily_sleep = self.read(daily_sleep, alive, &mut documents, &mut reasons, athlete, deadline).await?;
        documents.sleep = self.read(sleep, alive, &mut documents, &mut reasons, athlete, deadline).await?;
        if documents.refused.len() < 4 {
            return Ok(documents);
        }
        Err(if reasons.is_empty() {
            self.nothing_opens(session, deadline).await
        } else {
            forbidden(the_reason(&reasons))
        })
    }

    /// Asks Oura whose account this is. Any token may ask this (Oura's published specification). A refused access token
    /// is refreshed once, as for a collection.
    ///
    /// If Oura forbids only this request, the athlete need not act. So this function also fetches the collections of
    /// `days`, and only a reason that forbids all of them asks the athlete to act. It drops their documents, because
    /// their owner is not known.
    pub(crate) async fn oura_user(
        &self,
        session: &mut AuthorizedConnection,
        days: Days,
        deadline: Deadline,
    ) -> Result<oura::OuraUserId, JobError> {
        let mut asked = self.oura.personal_info(&session.access_token, deadline.instant()).await;
        if matches!(asked, Err(ApiError::TokenRefused)) && !session.refreshed {
            *session = self.refresh(session.connection.clone(), deadline).await?;
            asked = self.oura.personal_info(&session.access_token, deadline.instant()).await;
        }
        let athlete = &session.connection.athlete;
        match asked {
            Ok(person) => Ok(person.id),
            Err(ApiError::Forbidden { detail: Forbidden::Scope }) => Err(JobError::NeedsOperator(
                "Oura does not say whose account it is without another scope: add `personal` to OuraScopes, then have the \
                 athlete connect again"
                    .to_owned(),
            )),
            Err(ApiError::Forbidden { .. }) => {
                self.fetch(session, days, deadline).await?;
                Err(JobError::retry(UNWELL, "Oura gives data of this athlete, but does not say whose account it is"))
            }
            Err(error) => Err(self.oura_setback(athlete, error, deadline).await),
        }
    }

    async fn collection<D: Document>(&self, token: &SecretString, days: Days, deadline: Deadline) -> Answer<D> {
        self.oura.documents(token, days, deadline.instant()).await
    }

    async fn again<D: Document>(
        &self,
        answer: Answer<D>,
        repeat: fn(&ApiError) -> bool,
        token: &SecretString,
        days: Days,
        deadline: Deadline,
    ) -> Answer<D> {
        if answer.as_ref().is_err_and(repeat) { self.collection(token, days, deadline).await } else { answer }
    }

    /// Takes the documents of one collection, or notes that it was refused and why. `alive`: at least one collection
    /// answered.
    async fn read<D: Document>(
        &self,
        answer: Answer<D>,
        alive: bool,
        documents: &mut Documents,
        reasons: &mut Vec<Forbidden>,
        athlete: &AthleteId,
        deadline: Deadline,
    ) -> Result<Vec<D>, JobError> {
        match answer {
            Ok(read) => {
                documents.unreadable.extend(read.unreadable);
                Ok(read.documents)
            }
            Err(ApiError::TokenRefused) => {
                documents.refused.insert(D::COLLECTION);
                Ok(Vec::new())
            }
            Err(ApiError::Forbidden { detail }) => {
                documents.refused.insert(D::COLLECTION);
                reasons.push(detail);
                Ok(Vec::new())
            }
            Err(error @ (ApiError::Foreign { .. } | ApiError::Rejected { .. })) if alive => {
                let collection = D::COLLECTION;
                tracing::warn!(%athlete, collection, %error, "this collection is left out; the others are delivered");
                documents.refused.insert(collection);
                Ok(Vec::new())
            }
            Err(error) => Err(self.oura_setback(athlete, error, deadline).await),
        }
    }

    /// Maps an error of the API to a job error, and stores the pause that Oura asked for.
    async fn oura_setback(&self, athlete: &AthleteId, error: ApiError, deadline: Deadline) -> JobError {
        match error {
            ApiError::TokenRefused => self.fresh_token_refused(athlete, deadline).await,
            ApiError::Forbidden { detail } => forbidden(detail),
            ApiError::Throttled(throttle) => self.throttled(athlete, &throttle, deadline).await,
            ApiError::Rejected { .. } => JobError::NeedsOperator(format!("Oura rejected our request: {error}")),
            ApiError::Foreign { .. } | ApiError::Unwell { .. } | ApiError::TimedOut | ApiError::Unreadable { .. } => {
                JobError::retry(UNWELL, format!("Oura: {error}"))
            }
        }
    }

    /// The error when the token opens no collection. If it can read the personal info, which any token can, the
    /// athlete's permission is missing. If it can't, Oura is at fault, and the grant must not be refreshed at every
    /// tick.
    async fn nothing_opens(&self, session: &AuthorizedConnection, deadline: Deadline) -> JobError {
        let athlete = &session.connection.athlete;
        match self.oura.personal_info(&session.access_token, deadline.instant()).await {
            Ok(_) => JobError::NeedsAthlete(Status::ScopeMissing),
            Err(error) => self.oura_setback(athlete, error, deadline).await,
        }
    }

    /// Oura refuses a token that it has just issued: pauses this athlete, so that the grant is not refreshed every
    /// tick.
    async fn fresh_token_refused(&self, athlete: &AthleteId, deadline: Deadline) -> JobError {
        let until = self.clock.now() + REFUSED;
        match self.store.hold_athlete(athlete, until, deadline.instant()).await {
            Ok(_) => JobError::retry(REFUSED.unsigned_abs(), "Oura refuses a token it has just issued"),
            Err(error) => error.into(),
        }
    }

    /// Obeys a 429: the token's tier pauses this athlete, the application's tier pauses every athlete. An unnamed tier
    /// counts as the application's, the wider of the two.
    pub(crate) async fn throttled(&self, athlete: &AthleteId, throttle: &Throttle, deadline: Deadline) -> JobError {
        let quiet = throttle.after.and_then(|after| SignedDuration::try_from(after).ok()).unwrap_or(QUIET);
        let until = self.clock.now() + quiet;
        let (held, who) = match throttle.tier {
            Tier::Token => {
                self.counters.count(Counter::AthleteThrottled);
                let held = self.store.hold_athlete(athlete, until, deadline.instant()).await;
                (held.map(drop), "this athlete")
            }
            Tier::Application | Tier::Unknown => {
                self.counters.count(Counter::ApplicationThrottled);
                let why = "Oura asked the application to slow down";
                let held = self.store.set_hold(Service::Oura, until, why, deadline.instant()).await;
                (held.map(drop), "everybody")
            }
        };
        match held {
            Ok(()) => JobError::retry(quiet.unsigned_abs(), format!("Oura asked {who} to wait")),
            Err(error) => error.into(),
        }
    }
}

fn window(now: Timestamp, zone: &TimeZone, lookback: u16) -> Days {
    let today = zone.to_datetime(now).date();
    Days { first: today.saturating_sub(i64::from(lookback).days()), last: today.saturating_add(1.day()) }
}

fn refused<D>(answer: &Answer<D>) -> bool {
    matches!(answer, Err(ApiError::TokenRefused))
}

/// The one reason why Oura forbids every collection; `Unknown` if it gave different reasons or none.
fn the_reason(reasons: &[Forbidden]) -> Forbidden {
    let mut said = reasons.iter().copied().filter(|reason| *reason != Forbidden::Unknown);
    match said.next() {
        Some(first) if said.all(|reason| reason == first) => first,
        _ => Forbidden::Unknown,
    }
}

/// Maps the reason why Oura forbids access to an error. Only a reason that Oura itself gave asks the athlete to act.
fn forbidden(reason: Forbidden) -> JobError {
    match reason {
        Forbidden::Scope => JobError::NeedsAthlete(Status::ScopeMissing),
        Forbidden::Membership => JobError::NeedsAthlete(Status::MembershipLapsed),
        Forbidden::OutdatedApp => JobError::OutdatedApp,
        Forbidden::Unknown => JobError::retry(UNWELL, "Oura forbids access and does not say why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    /// Every zone of the database.
    fn any_zone() -> impl Strategy<Value = TimeZone> {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        assert!(names.len() > 300, "there is no time zone database");
        proptest::sample::select(names).prop_filter_map("no zone of a place", |name| TimeZone::get(&name).ok())
    }

    /// From 1970 to 2100, and often around a change of year, a leap day or a change of the clocks.
    fn any_instant() -> impl Strategy<Value = Timestamp> {
        let around = |day: Date| {
            let noon = TimeZone::UTC.to_timestamp(day.at(12, 0, 0, 0)).unwrap();
            (-200_000i64..200_000).prop_map(move |seconds| noon + SignedDuration::from_secs(seconds))
        };
        prop_oneof![
            (0i64..4_102_444_800).prop_map(|second| Timestamp::from_second(second).unwrap()),
            (1972i16..2100).prop_flat_map(move |year| prop_oneof![
                around(date(year, 1, 1)),
                around(date(year, 2, 28)),
                around(date(year, 3, 29)),
                around(date(year, 10, 28)),
            ]),
            // Samoa skipped a whole day.
            around(date(2011, 12, 30)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn a_window_is_today_tomorrow_and_the_days_looked_back(zone in any_zone(), now in any_instant(), lookback in 1u16..60) {
            let days = window(now, &zone, lookback);
            let today = now.to_zoned(zone).date();
            prop_assert_eq!(days.first.until(days.last).unwrap().get_days(), i32::from(lookback) + 1);
            prop_assert_eq!(days.last, today.tomorrow().unwrap());
            prop_assert!(days.contains(today));
        }

        #[test]
        fn no_day_falls_between_two_ticks(zone in any_zone(), now in any_instant(), minutes in 1i64..=24 * 60) {
            let later = now + SignedDuration::from_mins(minutes);
            let (before, after) = (window(now, &zone, 1), window(later, &zone, 1));
            prop_assert!(after.first <= before.last.tomorrow().unwrap(), "{} {}", before.last, after.first);
        }

        /// A travelling athlete's local date is at most a day from the site's, unless the two zones are more than 24
        /// hours apart, across the date line.
        #[test]
        fn window_contains_the_local_date_of_a_travelling_athlete(site in any_zone(), there in any_zone(), now in any_instant()) {
            let (here, abroad) = (site.to_offset(now), there.to_offset(now));
            prop_assume!((abroad.seconds() - here.seconds()).abs() <= 24 * 60 * 60);
            prop_assert!(window(now, &site, 1).contains(there.to_datetime(now).date()));
        }
    }
}
