//! One firing of the schedule: a job for every connected athlete.
//!
//! When not all athletes fit into a tick, the table remembers whom this tick queued last, and the next tick goes on after
//! them. A tick that never happened, or whose jobs the queue took only in part, therefore costs no athlete their turn.

use std::time::Duration;

use runtime::Deadline;
use runtime::telemetry::{self, Metric};
use store::StoreError;

use crate::job::Job;
use crate::plan::{Tick, plan};
use crate::{Connector, QueueError};

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticked {
    /// Athletes connected.
    pub athletes: usize,
    /// Jobs queued.
    pub queued: usize,
    /// Athletes left to a later tick, because of Oura's budget or of a hold.
    pub postponed: usize,
    /// Whether it was a hold that postponed them.
    pub held: bool,
}

/// Why a tick did not happen, or not for everybody. The next one makes up for it.
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
    /// Plans and queues one tick. Running it twice does no harm: the second job of an athlete finds nothing to do, and
    /// where not all athletes fit into a tick, the second run plans those who come next.
    pub async fn tick(&self, deadline: Deadline) -> Result<Ticked, TickError> {
        let at = self.clock.now();
        let (athletes, hold) = tokio::join!(
            self.store.active_athletes(deadline.instant()),
            self.store.hold(store::Service::Oura, deadline.instant()),
        );
        let (athletes, hold) = (athletes?, hold?);
        let held_until = hold.map(|hold| hold.until).filter(|until| *until > at);
        let mut tick = Tick { at, period: self.settings.period, athletes: &athletes, held_until, last: None };
        if !tick.fits() {
            tick.last = self.store.last_planned(deadline.instant()).await?;
        }
        let plan = plan(&tick);
        let jobs: Vec<_> =
            plan.jobs.into_iter().map(|(athlete, delay)| (Job::Sync { athlete, tick: at + delay }, delay)).collect();
        let sent = self.queue.send(&jobs, deadline).await;
        if plan.postponed > 0 {
            let queued = sent.as_ref().map_or_else(|error| error.queued_first, |()| jobs.len());
            self.note_last(jobs.get(..queued).and_then(<[_]>::last), deadline).await;
        }
        sent?;
        let ticked = Ticked {
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
            // The worker says when nobody is synced who is waited for; here it is not even asked.
            metrics.push(Metric::count("SyncsDone", 0));
        }
        telemetry::report(&metrics);
        Ok(ticked)
    }

    /// Notes the last job that the queue has certainly taken. Should that fail, the next tick plans the same athletes
    /// again, and the others after them.
    async fn note_last(&self, last: Option<&(Job, Duration)>, deadline: Deadline) {
        let Some((job, _)) = last else { return };
        if let Err(error) = self.store.set_last_planned(job.athlete(), deadline.handover().instant()).await {
            tracing::error!(%error, "could not store the last planned athlete; the next tick plans the same athletes");
        }
    }
}
