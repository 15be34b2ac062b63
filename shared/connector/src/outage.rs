//! An outage of the Smartabase site: how it is noticed, how long syncs leave Oura alone, and how it ends.
//!
//! - **Detected.** A failed sign-in involves no athlete, so one failure is enough. A request about an athlete may fail
//!   because of that athlete's record. So requests about [`FAILED_ATHLETES`] athletes must fail, with no answered
//!   import in between.
//! - **Waited out.** The table stores the outage ([`store::Outage`]), and each batch reads it with its connections.
//!   While it is in force, a sync stops before it sends a request to Oura. The first lasts a minute, and each one after
//!   it twice as long, up to half of the time between two ticks.
//! - **Ended.** When the wait is over, one job across all processes probes the site with a sign-in; other jobs of its
//!   process wait for the result. The probing job first stores the next, longer outage. So if its process dies, the
//!   others keep waiting and do not probe. Once the site answers, all syncs continue. An answered import resets the
//!   length.
//!
//! No data is lost: the next sync covers the same window again, and the connection stores the days that leave the
//! window as missing.

use std::collections::BTreeMap;
use std::sync::{Mutex as Cell, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::Deadline;
use smartabase::Error;
use store::{AthleteId, Holds, Outage, OutageWrite, Service};
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use crate::credential_guard::PermitError;
use crate::error::UNWELL;
use crate::{Connector, JobError};

/// The site counts as down when requests about this many athletes have failed with no answered import in between.
const FAILED_ATHLETES: usize = 3;

/// Failures this far apart do not belong to one outage.
const FAILURES_TOGETHER: SignedDuration = SignedDuration::from_mins(10);

/// If an athlete's request failed while the site answered another athlete's import, that athlete's failures are not
/// counted for this long.
const FAILED_ALONE: SignedDuration = SignedDuration::from_hours(1);

/// The length of the first outage. Each further one is twice as long.
const FIRST_OUTAGE: Duration = Duration::from_mins(1);

/// An outage that ended longer ago than this does not lengthen the next one.
const OUTAGE_RESET_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The longest that a job waits while another job of its process probes the site.
const MAX_PROBE: Duration = Duration::from_secs(40);

/// What this process knows about an outage of the site.
#[derive(Debug, Default)]
pub(crate) struct Site {
    known: Cell<Known>,
    /// Locked by the job that probes the site.
    probe: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// The latest known state of the outage in the table.
    outage: Option<Outage>,
    /// The athletes whose requests have failed since an import was last answered.
    failed: BTreeMap<AthleteId, Timestamp>,
    /// The athletes whose requests failed while the site answered another athlete's import, and when this was seen.
    /// Their failures say nothing about the site.
    failed_alone: BTreeMap<AthleteId, Timestamp>,
}

impl Known {
    /// Notes that a request about an athlete failed. Returns whether the site is down, as far as this process can see.
    /// Then the count starts again: if the outage can't be stored, enough new failures lead to another try.
    fn fails_about(&mut self, athlete: &AthleteId, now: Timestamp) -> bool {
        self.forget(now);
        if self.failed_alone.contains_key(athlete) {
            return false;
        }
        self.failed.insert(athlete.clone(), now);
        let down = self.failed.len() >= FAILED_ATHLETES;
        if down {
            self.failed.clear();
        }
        down
    }

    /// Notes that the site answered an import: so earlier failures concern only those athletes, not the site.
    fn answers_import(&mut self, now: Timestamp) {
        self.forget(now);
        let alone = std::mem::take(&mut self.failed).into_keys().map(|athlete| (athlete, now));
        self.failed_alone.extend(alone);
    }

    /// Drops failures that are too old to say something about the site now.
    fn forget(&mut self, now: Timestamp) {
        self.failed.retain(|_, at| now.duration_since(*at) < FAILURES_TOGETHER);
        self.failed_alone.retain(|_, at| now.duration_since(*at) < FAILED_ALONE);
    }
}

impl Connector {
    /// Checks that the site is not down before a sync sends requests to Oura. Probes the site if an outage has run out.
    /// Sends no request if no outage is known.
    pub(crate) async fn site_answers(&self, holds: &Holds, deadline: Deadline) -> Result<(), JobError> {
        self.learn(holds.outage.clone());
        if self.outage_to_probe()?.is_none() {
            return Ok(());
        }
        let wait = deadline.at_most(MAX_PROBE).instant();
        let Ok(_probing) = timeout_at(wait, self.credential_guard.site.probe.lock()).await else {
            return Err(JobError::retry(UNWELL, "another job is asking whether Smartabase answers"));
        };
        // Another job may have probed meanwhile.
        match self.outage_to_probe()? {
            Some(outage) => self.probe(outage, deadline.at_most(MAX_PROBE)).await,
            None => Ok(()),
        }
    }

    /// Fails if an outage is in force, with the time that the job must wait.
    pub(crate) fn outage_in_force(&self) -> Result<(), JobError> {
        self.outage_to_probe().map(drop)
    }

    /// Notes that a request to the site failed: one about an athlete, or a sign-in.
    pub(crate) async fn site_failed(&self, athlete: Option<&AthleteId>, error: &Error, deadline: Deadline) {
        // At the deadline this process breaks off the request, which says nothing about the site.
        if !is_sign_of_outage(error) || deadline.remaining().is_zero() {
            return;
        }
        let now = self.clock.now();
        {
            let mut known = self.known();
            if athlete.is_some_and(|athlete| !known.fails_about(athlete, now)) {
                return;
            }
            if known.outage.as_ref().is_some_and(|outage| outage.in_force(now)) {
                return;
            }
        }
        if let Err(error) = self.begin_outage(error, deadline).await {
            tracing::warn!(%error, "could not store that Smartabase is down; syncs keep asking Oura");
        }
    }

    /// Notes that the site answered an import.
    pub(crate) async fn site_answered_import(&self, deadline: Deadline) {
        let (read, ended) = {
            let mut known = self.known();
            known.answers_import(self.clock.now());
            let recovering = known.outage.as_ref().filter(|outage| outage.answered_at.is_some() && outage.failures > 0);
            let Some(read) = recovering.cloned() else { return };
            let ended = Outage { failures: 0, version: read.version + 1, ..read.clone() };
            // Before the write, so that only one of the running deliveries writes it.
            known.outage = Some(ended.clone());
            (read, ended)
        };
        self.replace(&read, ended, deadline).await;
    }

    async fn begin_outage(&self, error: &Error, deadline: Deadline) -> Result<(), store::StoreError> {
        let read = self.store.outage(Service::Smartabase, deadline.instant()).await?;
        let now = self.clock.now();
        if let Some(outage) = read.as_ref().filter(|outage| outage.in_force(now)) {
            self.learn(Some(outage.clone()));
            return Ok(());
        }
        let why = format!("Smartabase is down: {error}");
        let asked = if let Error::Throttled { after: Some(after) } = error { *after } else { Duration::ZERO };
        let next = next_outage(read.as_ref(), now, self.longest_outage(), asked, why);
        match self.store.replace_outage(Service::Smartabase, read.as_ref(), &next, deadline.instant()).await? {
            OutageWrite::Done => {
                let Outage { until, failures, why, .. } = &next;
                tracing::warn!(%until, failures, why, "Smartabase is down; no sync asks Oura until then");
                self.learn(Some(next));
            }
            OutageWrite::Refused(other) => self.learn(other),
        }
        Ok(())
    }

    /// Probes the site with a sign-in, unless a job of another process does.
    async fn probe(&self, outage: Outage, deadline: Deadline) -> Result<(), JobError> {
        let (now, longest) = (self.clock.now(), self.longest_outage());
        let next = next_outage(Some(&outage), now, longest, Duration::ZERO, outage.why.clone());
        match self.store.replace_outage(Service::Smartabase, Some(&outage), &next, deadline.instant()).await? {
            OutageWrite::Done => self.learn(Some(next.clone())),
            OutageWrite::Refused(other) => {
                self.learn(other);
                return self.outage_in_force();
            }
        }
        match self.permit(deadline).await {
            // A refusal of the credentials is also an answer.
            Ok(_) | Err(PermitError::Refused(_)) => {}
            Err(PermitError::NotNow(setback)) => return Err(setback.no_sooner_than(self.wait(&next))),
        }
        let now = self.clock.now();
        let answered = Outage { until: now, answered_at: Some(now), version: next.version + 1, ..next.clone() };
        tracing::info!("Smartabase answers again; syncs go on");
        self.known().failed.clear();
        self.learn(Some(answered.clone()));
        self.replace(&next, answered, deadline).await;
        Ok(())
    }

    /// Replaces the outage in the table. If that fails, other processes wait longer than they have to.
    async fn replace(&self, read: &Outage, next: Outage, deadline: Deadline) {
        match self.store.replace_outage(Service::Smartabase, Some(read), &next, deadline.instant()).await {
            Ok(OutageWrite::Done) => {}
            Ok(OutageWrite::Refused(other)) => self.learn(other),
            Err(error) => tracing::warn!(%error, "could not store the outage's end; other processes keep waiting"),
        }
    }

    /// The outage that has run out but was not probed yet. Fails while an outage is in force.
    fn outage_to_probe(&self) -> Result<Option<Outage>, JobError> {
        let known = self.known().outage.clone();
        match known.filter(|outage| outage.answered_at.is_none()) {
            Some(outage) if outage.in_force(self.clock.now()) => {
                Err(JobError::retry(self.wait(&outage), outage.why.clone()))
            }
            other => Ok(other),
        }
    }

    /// How long a job waits while an outage is in force: at least the outage's full length. So jobs return spread out,
    /// and not all when the outage ends.
    fn wait(&self, outage: &Outage) -> Duration {
        let left = outage.until.duration_since(self.clock.now());
        length(outage.failures, self.longest_outage()).max(left.max(SignedDuration::ZERO).unsigned_abs())
    }

    /// Half of the time between two ticks, so that a job put off at one tick returns before the next.
    fn longest_outage(&self) -> Duration {
        (self.settings.period / 2).max(FIRST_OUTAGE)
    }

    /// Remembers a state of the outage, unless a later one is known.
    fn learn(&self, outage: Option<Outage>) {
        let mut known = self.known();
        if let Some(outage) = outage
            && known.outage.as_ref().is_none_or(|known| known.version < outage.version)
        {
            known.outage = Some(outage);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.credential_guard.site.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error can mean that the site is down, and not that it refuses this request.
fn is_sign_of_outage(error: &Error) -> bool {
    match error {
        Error::Unwell { .. } | Error::Uncertain { .. } | Error::NotJson { .. } | Error::Throttled { .. } => true,
        Error::WrongCredentials
        | Error::Forbidden
        | Error::NotFound
        | Error::Rejected { .. }
        | Error::Refused { .. }
        | Error::Unexpected { .. }
        | Error::CursorRepeats
        | Error::TooLarge
        | Error::BatchSize { .. } => false,
    }
}

/// The next outage after `before`. It lasts at least as long as the site asked for, up to `longest`.
fn next_outage(before: Option<&Outage>, now: Timestamp, longest: Duration, asked: Duration, why: String) -> Outage {
    let recent = before.filter(|before| now.duration_since(before.until) < OUTAGE_RESET_AFTER);
    let failures = recent.map_or(0, |before| before.failures).saturating_add(1);
    let lasts = length(failures, longest).max(asked.min(longest));
    let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let version = before.map_or(0, |before| before.version).saturating_add(1);
    Outage { until, why, failures, answered_at: None, version }
}

/// How long syncs wait after this many failures in a row.
fn length(failures: u64, longest: Duration) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_OUTAGE.saturating_mul(2u32.saturating_pow(doublings.min(16))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(450);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(before: Option<&Outage>, now: i64) -> Outage {
        next_outage(before, at(now), LONGEST, Duration::ZERO, String::new())
    }

    fn athlete(name: &str) -> AthleteId {
        AthleteId::parse(name).unwrap()
    }

    #[test]
    fn failures_of_three_athletes_together_are_an_outage() {
        let mut known = Known::default();
        let fails = ["ada", "ada", "bo", "cy", "di"].map(|name| known.fails_about(&athlete(name), at(0)));
        assert_eq!(fails, [false, false, false, true, false]);
    }

    #[test]
    fn failures_hours_apart_are_no_outage() {
        let mut known = Known::default();
        let fails = [("ada", 0), ("bo", 7_200), ("cy", 14_400)]
            .map(|(name, second)| known.fails_about(&athlete(name), at(second)));
        assert_eq!(fails, [false, false, false]);
    }

    #[test]
    fn failures_while_other_imports_succeed_are_no_outage() {
        let mut known = Known::default();
        let poisoned = ["ada", "bo", "cy"].map(athlete);
        known.fails_about(&poisoned[0], at(0));
        known.fails_about(&poisoned[1], at(0));
        known.answers_import(at(1));
        known.fails_about(&poisoned[2], at(2));
        known.answers_import(at(3));
        for second in [10, 130, 730] {
            assert!(poisoned.iter().all(|athlete| !known.fails_about(athlete, at(second))), "{second}");
        }
        assert!(!known.fails_about(&athlete("di"), at(800)));
        assert!(!known.fails_about(&athlete("ed"), at(800)));
        assert!(known.fails_about(&athlete("fy"), at(800)), "others still count");
    }

    #[test]
    fn outages_in_a_row_double_up_to_the_longest() {
        let mut outage = None;
        let mut lengths = Vec::new();
        let mut now = 0;
        for _ in 0..6 {
            let next = after(outage.as_ref(), now);
            lengths.push(next.until.as_second() - now);
            now = next.until.as_second();
            outage = Some(next);
        }
        assert_eq!(lengths, [60, 120, 240, 450, 450, 450]);
        assert_eq!(length(u64::MAX, LONGEST), LONGEST);
    }

    #[test]
    fn outage_long_after_another_has_the_first_length() {
        let long = Outage { failures: 4, ..after(None, 0) };
        assert_eq!(after(Some(&long), long.until.as_second() + 3_599).failures, 5);
        assert_eq!(after(Some(&long), long.until.as_second() + 3_600).failures, 1);
        let over = Outage { failures: 0, ..long };
        assert_eq!(after(Some(&over), 61).failures, 1);
    }

    #[test]
    fn requested_pause_extends_the_outage_up_to_the_longest() {
        let asks = |seconds| {
            let asked = Duration::from_secs(seconds);
            next_outage(None, at(0), LONGEST, asked, String::new()).until.as_second()
        };
        assert_eq!([asks(20), asks(90), asks(86_400)], [60, 90, 450]);
    }

    #[test]
    fn only_errors_other_than_refusals_are_signs_of_an_outage() {
        for error in [
            Error::WrongCredentials,
            Error::Forbidden,
            Error::NotFound,
            Error::Rejected { status: 422 },
            Error::Unexpected { what: "shape".to_owned() },
        ] {
            assert!(!is_sign_of_outage(&error), "{error}");
        }
        for error in [
            Error::Unwell { status: None },
            Error::Unwell { status: Some(503) },
            Error::Uncertain { why: "the connection was lost" },
            Error::NotJson { status: 200, starts: "html" },
            Error::Throttled { after: None },
        ] {
            assert!(is_sign_of_outage(&error), "{error}");
        }
    }
}
