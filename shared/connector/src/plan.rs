//! Which athletes a tick syncs, and when. Pure: no I/O, no clock.
//!
//! Oura allows an application 5000 requests in five minutes (Oura's published FAQ), whoever they are for. The plan uses
//! less than half of that, so that connects, backfills and repeats have room. Athletes come up in bursts, not one by
//! one: what becomes visible in a queue at the same moment is worked off by few invocations that read the table once.
//!
//! **Invariant**: in no five minutes do the plans of consecutive ticks begin more syncs than the budget allows, and every
//! connected athlete comes up again within `ceil(athletes / capacity)` ticks.

use std::time::Duration;

use jiff::Timestamp;
use store::AthleteId;

/// Oura's allowance: requests of the whole application in [`WINDOW`] (Oura's published FAQ).
pub const ALLOWANCE: u32 = 5000;

/// The span the allowance is counted over.
pub const WINDOW: Duration = Duration::from_mins(5);

/// Requests one unchanged athlete costs: one per collection.
pub const REQUESTS_PER_SYNC: u32 = 4;

/// The longest a queue keeps a message back (SQS: `DelaySeconds`).
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// What a tick knows.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// When it fired.
    pub at: Timestamp,
    /// The time to the next one.
    pub period: Duration,
    /// Every connected athlete, sorted, each once.
    pub athletes: &'a [AthleteId],
    /// Until when Oura has asked the application to be quiet.
    pub held_until: Option<Timestamp>,
}

/// What a tick does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whom to sync, after how many whole seconds.
    pub jobs: Vec<(AthleteId, Duration)>,
    /// How many athletes have to wait for a later tick, because of the budget or a hold.
    pub postponed: usize,
}

/// Syncs that half of the allowance permits in one window.
const PER_WINDOW: u32 = ALLOWANCE / 2 / REQUESTS_PER_SYNC;

/// Syncs that begin together: as many as one invocation of the worker takes (the template's `BatchSize`).
pub const BURST: u32 = 50;

/// From one burst to the next. A window as long as a whole number of these holds that many, wherever it begins.
const INTERVAL: Duration = Duration::from_secs(WINDOW.as_secs() / (PER_WINDOW / BURST) as u64);

/// Plans one tick.
///
/// Bursts are a fixed time apart, beginning at once or when the hold ends. What would begin when less than that is left
/// until the next tick, or later than the queue can keep a message, is left to later ticks. When not all athletes fit,
/// consecutive ticks take consecutive stretches of the sorted list, so the ones unsynced for longest come first without
/// anybody having to remember who they are.
#[must_use]
pub fn plan(tick: &Tick<'_>) -> Plan {
    let quiet = tick
        .held_until
        .and_then(|until| Duration::try_from(until.duration_since(tick.at)).ok())
        .map_or(0, |quiet| quiet.as_secs() + u64::from(quiet.subsec_nanos() > 0));
    let horizon = tick.period.min(LONGEST_DELAY).as_secs();
    let capacity = capacity(horizon.saturating_sub(quiet));
    let count = tick.athletes.len();
    let first = if count > capacity { turn(tick) * capacity as u64 % count as u64 } else { 0 };
    let jobs: Vec<_> = tick
        .athletes
        .iter()
        .cycle()
        .skip(usize::try_from(first).unwrap_or(0))
        .take(count.min(capacity))
        .enumerate()
        .map(|(position, athlete)| (athlete.clone(), Duration::from_secs(quiet) + offset(position)))
        .collect();
    let postponed = count - jobs.len();
    Plan { jobs, postponed }
}

/// The number of this tick, counted in periods since 1970.
fn turn(tick: &Tick<'_>) -> u64 {
    u64::try_from(tick.at.as_second()).unwrap_or(0) / tick.period.as_secs().max(1)
}

/// How many athletes one tick can sync, when ticks are so far apart and nothing is held.
#[must_use]
pub fn room(period: Duration) -> usize {
    capacity(period.min(LONGEST_DELAY).as_secs())
}

/// How many jobs can begin in `seconds`: whole bursts, so that the next tick's first keeps its distance from the last.
fn capacity(seconds: u64) -> usize {
    usize::try_from(seconds / INTERVAL.as_secs() * u64::from(BURST)).unwrap_or(usize::MAX)
}

/// How long after the first the job at `position` begins, in whole seconds, for all of them to stay within the budget.
#[must_use]
pub fn offset(position: usize) -> Duration {
    Duration::from_secs(position as u64 / u64::from(BURST) * INTERVAL.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap};

    fn athletes(count: usize) -> Vec<AthleteId> {
        (0..count).map(|number| AthleteId::parse(&format!("{number:06}")).unwrap()).collect()
    }

    fn tick(athletes: &[AthleteId], second: i64, period: Duration) -> Tick<'_> {
        Tick { at: Timestamp::from_second(second).unwrap(), period, athletes, held_until: None }
    }

    fn seconds(plan: &Plan) -> Vec<u64> {
        plan.jobs.iter().map(|(_, delay)| delay.as_secs()).collect()
    }

    #[test]
    fn a_small_site_is_one_burst() {
        let squad = athletes(50);
        let plan = plan(&tick(&squad, 1_770_000_000, Duration::from_mins(15)));
        assert_eq!(plan.postponed, 0);
        assert_eq!(plan.jobs.iter().map(|(athlete, _)| athlete.clone()).collect::<Vec<_>>(), squad);
        assert_eq!(seconds(&plan), [0; 50]);
    }

    #[test]
    fn a_large_one_is_many_and_what_does_not_fit_waits() {
        let squad = athletes(2000);
        let plan = plan(&tick(&squad, 1_770_000_000, Duration::from_mins(15)));
        assert_eq!((plan.jobs.len(), plan.postponed), (1800, 200));
        let starts: BTreeSet<_> = seconds(&plan).into_iter().collect();
        assert_eq!(starts, (0..36).map(|burst| burst * 25).collect());
    }

    #[test]
    fn a_hold_postpones_and_a_long_one_cancels() {
        let squad = athletes(10);
        let at = 1_770_000_000;
        let held = |seconds| Tick {
            held_until: Some(Timestamp::from_second(at + seconds).unwrap()),
            ..tick(&squad, at, Duration::from_mins(15))
        };
        let postponed = plan(&held(120));
        assert_eq!(postponed.jobs.len(), 10);
        assert!(postponed.jobs.iter().all(|(_, delay)| delay.as_secs() >= 120));
        assert_eq!(plan(&held(3600)), Plan { jobs: vec![], postponed: 10 });
        assert_eq!(plan(&held(-60)), plan(&tick(&squad, at, Duration::from_mins(15))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_window_holds_more_than_the_budget(count in 0usize..6000, minutes in 1u64..120, second in 0i64..4_000_000_000, hold in 0i64..1200) {
            let squad = athletes(count);
            let period = Duration::from_mins(minutes);
            let mut starts = Vec::new();
            for round in 0..6 {
                let fired = round * period.as_secs();
                let mut tick = tick(&squad, second + i64::try_from(fired).unwrap(), period);
                tick.held_until = Some(Timestamp::from_second(second + hold).unwrap());
                let plan = plan(&tick);
                let distinct: BTreeSet<_> = plan.jobs.iter().map(|(athlete, _)| athlete).collect();
                prop_assert_eq!(distinct.len(), plan.jobs.len(), "an athlete is planned twice");
                prop_assert_eq!(plan.jobs.len() + plan.postponed, count);
                let delays = seconds(&plan);
                prop_assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY.as_secs()));
                starts.extend(delays.into_iter().map(|delay| fired + delay));
            }
            prop_assert!(starts.is_sorted(), "a tick runs into the next");
            // In any window, whichever job it begins with, counting both ends of a whole-second clock.
            for (index, start) in starts.iter().enumerate() {
                let within = starts[index..].iter().take_while(|other| **other < start + WINDOW.as_secs()).count();
                prop_assert!(within <= PER_WINDOW as usize, "{within} jobs in five minutes");
            }
        }

        #[test]
        fn nobody_starves(count in 1usize..8000, minutes in 1u64..30, second in 0i64..4_000_000_000) {
            let squad = athletes(count);
            let period = Duration::from_mins(minutes);
            let capacity = plan(&tick(&squad, second, period)).jobs.len();
            let rounds = count.div_ceil(capacity) + 1;
            let mut turns: HashMap<AthleteId, usize> = HashMap::new();
            for round in 0..rounds {
                let at = second + i64::try_from(round as u64 * period.as_secs()).unwrap();
                for (athlete, _) in plan(&tick(&squad, at, period)).jobs {
                    *turns.entry(athlete).or_default() += 1;
                }
            }
            prop_assert_eq!(turns.len(), count, "somebody never had a turn in {} ticks", rounds);
        }

        #[test]
        fn the_plan_is_stable(count in 0usize..3000, second in 0i64..4_000_000_000) {
            let squad = athletes(count);
            let tick = tick(&squad, second, Duration::from_mins(15));
            prop_assert_eq!(plan(&tick), plan(&tick));
        }
    }
}
