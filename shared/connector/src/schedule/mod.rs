//! One firing of the schedule: queues a job for every connected athlete.
//!
//! When not all athletes fit into a tick, the table remembers the last athlete that this tick queued, and the next tick
//! continues after that one. So a missed tick, or one whose jobs were queued only in part, costs no athlete their turn.
//! EventBridge may deliver a tick twice. The repeat plans the same athletes again, so that both together start no more
//! syncs than the budget allows.

pub mod plan;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::Deadline;
use runtime::telemetry::{self, Metric};
use store::{AthleteId, LastPlan, StoreError};

use crate::queue::message::Job;
use crate::schedule::plan::{Tick, plan};
use crate::{Connector, QueueError};

/// The result of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickSummary {
    /// Connected athletes.
    pub athletes: usize,
    /// Jobs queued.
    pub queued: usize,
    /// Athletes left to a later tick, because of Oura's budget or of a hold.
    pub postponed: usize,
    /// Whether a hold postponed them.
    pub held: bool,
}

/// Why a tick failed as a whole or in part. The next tick makes up for it.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The table could not be read.
    #[error("the connected athletes could not be listed: {0}")]
    Store(#[from] StoreError),
    /// Not all jobs could be queued.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Connector {
    /// Plans and queues one tick. Running it twice is harmless: the second run plans the same athletes, and an
    /// athlete's second job finds nothing to do.
    pub async fn tick(&self, deadline: Deadline) -> Result<TickSummary, TickError> {
        let at = self.clock.now();
        let (athletes, hold) = tokio::join!(
            self.store.active_athletes(deadline.instant()),
            self.store.hold(store::Service::Oura, deadline.instant()),
        );
        let (athletes, hold) = (athletes?, hold?);
        let held_until = hold.map(|hold| hold.until).filter(|until| *until > at);
        let mut tick = Tick { at, period: self.settings.period, athletes: &athletes, held_until, last: None };
        let mut fired = at;
        if !tick.fits() {
            let before = self.store.last_plan(deadline.instant()).await?;
            (fired, tick.last) = turn(before, at, self.settings.period);
        }
        let after = tick.last.clone();
        let plan = plan(&tick);
        let jobs: Vec<_> =
            plan.jobs.into_iter().map(|(athlete, delay)| (Job::Sync { athlete, tick: at + delay }, delay)).collect();
        let sent = self.queue.send(&jobs, deadline).await;
        if plan.postponed > 0 {
            let queued = sent.as_ref().map_or_else(|error| error.queued_first, |()| jobs.len());
            if let Some((job, _)) = jobs.get(..queued).and_then(<[_]>::last) {
                let planned = LastPlan { last: job.athlete().clone(), tick: Some(fired), after };
                self.note_plan(&planned, deadline).await;
            }
        }
        sent?;
        let ticked = TickSummary {
            athletes: athletes.len(),
            queued: jobs.len(),
            postponed: plan.postponed,
            held: held_until.is_some(),
        };
        let over_budget = ticked.postponed > 0 && !ticked.held;
        tracing::info!(
            athletes = ticked.athletes,
            queued = ticked.queued,
            postponed = ticked.postponed,
            held = ticked.held,
            over_budget,
            "tick"
        );
        let mut metrics = vec![
            Metric::count("AthletesConnected", ticked.athletes),
            Metric::count("AthletesPostponed", ticked.postponed),
            Metric::count("OverBudget", usize::from(over_budget)),
        ];
        if ticked.athletes > 0 && ticked.queued == 0 {
            // The worker reports when athletes are due and no sync succeeds. Here the hold leaves it without jobs, so
            // this tick reports it.
            metrics.push(Metric::count("SyncsDone", 0));
        }
        telemetry::report(&metrics);
        Ok(ticked)
    }

    /// Stores how far the queue has certainly accepted the plan's jobs. If this fails, the next tick plans the same
    /// athletes again, and then the ones after them.
    async fn note_plan(&self, planned: &LastPlan, deadline: Deadline) {
        if let Err(error) = self.store.set_last_plan(planned, deadline.handover().instant()).await {
            tracing::error!(%error, "could not store the last planned athlete; the next tick plans the same athletes");
        }
    }
}

/// When this tick first fired, and after which athlete it starts. A tick that fires less than half a period after the
/// previous one is a repeat of it.
fn turn(before: Option<LastPlan>, at: Timestamp, period: Duration) -> (Timestamp, Option<AthleteId>) {
    let half = SignedDuration::try_from(period / 2).unwrap_or(SignedDuration::MAX);
    match before {
        Some(LastPlan { tick: Some(fired), after, .. }) if at.duration_since(fired).abs() < half => (fired, after),
        Some(LastPlan { last, .. }) => (at, Some(last)),
        None => (at, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_tick_starts_with_the_same_athlete() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let athlete = |name| Some(AthleteId::parse(name).unwrap());
        let period = Duration::from_mins(15);
        let before = |tick| LastPlan { last: athlete("last").unwrap(), tick, after: athlete("first") };
        let turn = |tick, now| turn(Some(before(tick)), at(now), period);
        for now in [996, 1000, 1001, 1449] {
            assert_eq!(turn(Some(at(1000)), now), (at(1000), athlete("first")), "{now}");
        }
        for now in [1450, 1890, 1900, 1_000_000] {
            assert_eq!(turn(Some(at(1000)), now), (at(now), athlete("last")), "{now}");
        }
        assert_eq!(turn(None, 1000), (at(1000), athlete("last")), "stored by a release before");
        assert_eq!(super::turn(None, at(1000), period), (at(1000), None));
    }
}
