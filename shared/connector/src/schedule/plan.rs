//! Decides which athletes a tick syncs, and when. Pure: no I/O, no clock.
//!
//! Oura allows an application 5000 requests in five minutes for all athletes together (Oura's published FAQ). The plan
//! uses at most half of that, which leaves room for connects, backfills and retries. Syncs start in bursts, not one by
//! one: few invocations handle messages that become visible at the same moment, and each reads the table once.
//!
//! A hold can leave little or no room in a tick, a tick may be missed, and the queue may accept only some jobs. So the
//! order does not depend on the clock: a tick that can't plan all athletes continues after the athlete that the
//! previous tick planned last. If Oura sets a hold while a tick's jobs run, the worker skips the jobs that start during
//! the hold. If this happens at the same moment of every tick, it must not always hit the same athletes. So each tick
//! starts with a different burst.
//!
//! **Invariant**: in no five minutes do the plans of consecutive ticks begin more syncs than the budget allows.
//!
//! **Invariant**: the numbers of times that any two athletes were planned differ by at most one, despite holds and
//! missed ticks: after `n` jobs, each of `athletes` has had at least `floor(n / athletes)`.

use std::time::Duration;

use jiff::Timestamp;
use store::AthleteId;

/// The requests that Oura allows the whole application in [`WINDOW`] (Oura's published FAQ).
pub const ALLOWANCE: u32 = 5000;

/// The period for which Oura counts [`ALLOWANCE`].
pub const WINDOW: Duration = Duration::from_mins(5);

/// Requests for an unchanged athlete: one per collection.
pub const REQUESTS_PER_SYNC: u32 = 4;

/// The longest delay of a queued message (SQS: `DelaySeconds`).
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// The input of a tick.
#[derive(Clone, Debug)]
pub struct Tick<'a> {
    /// When the tick fired.
    pub at: Timestamp,
    /// The time to the next tick.
    pub period: Duration,
    /// Every connected athlete, sorted, each once.
    pub athletes: &'a [AthleteId],
    /// When the hold that Oura ordered for the application ends.
    pub held_until: Option<Timestamp>,
    /// The last athlete whose job the queue accepted from the most recent tick that could not plan all athletes.
    pub last: Option<AthleteId>,
}

/// The output of a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which athletes to sync, each after how many whole seconds. In the order of turns, which is not the order of the
    /// delays.
    pub jobs: Vec<(AthleteId, Duration)>,
    /// How many athletes must wait for a later tick, because of the budget or a hold.
    pub postponed: usize,
}

/// Syncs that half of the allowance permits in one window.
const PER_WINDOW: u32 = ALLOWANCE / 2 / REQUESTS_PER_SYNC;

/// Syncs that start together: as many as one invocation of the worker takes (the template's `BatchSize`).
pub const BURST: u32 = 50;

/// The time from one burst to the next. Any window of `WINDOW` seconds contains the same number of bursts, wherever it
/// begins.
const INTERVAL: Duration = Duration::from_secs(WINDOW.as_secs() / (PER_WINDOW / BURST) as u64);

impl Tick<'_> {
    /// Whether every athlete can be planned, so that [`Tick::last`] does not matter.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.athletes.len() <= self.capacity()
    }

    /// How many athletes can be planned after the hold and before the next tick.
    fn capacity(&self) -> usize {
        capacity(self.period.min(LONGEST_DELAY).as_secs().saturating_sub(self.quiet()))
    }

    /// Whole seconds until the hold ends.
    fn quiet(&self) -> u64 {
        self.held_until
            .and_then(|until| Duration::try_from(until.duration_since(self.at)).ok())
            .map_or(0, |quiet| quiet.as_secs() + u64::from(quiet.subsec_nanos() > 0))
    }

    /// The number of this tick, counted in periods since 1970.
    fn number(&self) -> u64 {
        u64::try_from(self.at.as_second()).unwrap_or(0) / self.period.as_secs().max(1)
    }
}

/// Plans one tick.
///
/// Bursts are a fixed interval apart; the first starts at once or when the hold ends. A burst that would start less
/// than one interval before the next tick, or later than the queue can delay a message, is left to later ticks. When
/// not all athletes fit, the tick takes those after [`Tick::last`] in the sorted list, and continues at its start.
#[must_use]
pub fn plan(tick: &Tick<'_>) -> Plan {
    let quiet = Duration::from_secs(tick.quiet());
    let count = tick.athletes.len();
    let planned = count.min(tick.capacity());
    let after = |last: &AthleteId| tick.athletes.partition_point(|athlete| athlete <= last);
    let first = if planned < count { tick.last.as_ref().map_or(0, after) } else { 0 };
    // A different burst starts first in each tick.
    let shift = usize::try_from(tick.number()).unwrap_or(0).wrapping_mul(BURST as usize);
    let jobs: Vec<_> = tick
        .athletes
        .iter()
        .cycle()
        .skip(first)
        .take(planned)
        .enumerate()
        .map(|(position, athlete)| (athlete.clone(), quiet + offset(shift.wrapping_add(position) % planned)))
        .collect();
    Plan { postponed: count - planned, jobs }
}

/// How many athletes one tick can sync if no hold is in force.
#[must_use]
pub fn room(period: Duration) -> usize {
    capacity(period.min(LONGEST_DELAY).as_secs())
}

/// How many jobs can start in `seconds`: whole bursts, so that the next tick's first burst keeps its distance from the
/// last.
fn capacity(seconds: u64) -> usize {
    usize::try_from(seconds / INTERVAL.as_secs() * u64::from(BURST)).unwrap_or(usize::MAX)
}

/// The delay of the job at `position` after the first, in whole seconds, that keeps all jobs within the budget.
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
        Tick { at: Timestamp::from_second(second).unwrap(), period, athletes, held_until: None, last: None }
    }

    /// When the jobs start, in order.
    fn seconds(plan: &Plan) -> Vec<u64> {
        let mut seconds: Vec<_> = plan.jobs.iter().map(|(_, delay)| delay.as_secs()).collect();
        seconds.sort_unstable();
        seconds
    }

    /// Consecutive ticks, with what the table remembers between them.
    struct Ticks<'a> {
        squad: &'a [AthleteId],
        period: Duration,
        second: i64,
        last: Option<AthleteId>,
        turns: HashMap<AthleteId, usize>,
    }

    impl<'a> Ticks<'a> {
        fn of(squad: &'a [AthleteId], period: Duration, second: i64) -> Self {
            Self { squad, period, second, last: None, turns: HashMap::new() }
        }

        /// Skips a tick.
        fn miss(&mut self) {
            self.second += i64::try_from(self.period.as_secs()).unwrap();
        }

        /// Runs a tick with `hold` seconds of a hold left, where the queue accepts `queued` of its jobs.
        fn tick(&mut self, hold: i64, queued: usize) -> Plan {
            let mut tick = tick(self.squad, self.second, self.period);
            tick.held_until = Some(Timestamp::from_second(self.second + hold).unwrap());
            if !tick.fits() {
                tick.last.clone_from(&self.last);
            }
            let plan = plan(&tick);
            // Where all athletes fit, a tick that loses jobs is repeated as a whole.
            let queued = if plan.postponed > 0 { queued } else { usize::MAX };
            let taken = plan.jobs.get(..queued).unwrap_or(&plan.jobs);
            if let (true, Some((last, _))) = (plan.postponed > 0, taken.last()) {
                self.last = Some(last.clone());
            }
            for (athlete, _) in taken {
                *self.turns.entry(athlete.clone()).or_default() += 1;
            }
            self.miss();
            plan
        }

        /// The fewest and the most turns that an athlete had.
        fn extremes(&self) -> (usize, usize) {
            let turns = || self.squad.iter().map(|athlete| self.turns.get(athlete).copied().unwrap_or_default());
            (turns().min().unwrap_or_default(), turns().max().unwrap_or_default())
        }
    }

    #[test]
    fn a_hold_at_every_second_tick_leaves_no_athlete_out() {
        let squad = athletes(3600);
        let mut ticks = Ticks::of(&squad, Duration::from_mins(15), 1_770_000_000);
        for round in 0..4 {
            ticks.tick(if round % 2 == 0 { 450 } else { 0 }, usize::MAX);
        }
        // 900 and 1800 in turn.
        assert_eq!(ticks.extremes(), (1, 2));
        assert_eq!(ticks.turns.values().sum::<usize>(), 5400);
    }

    #[test]
    fn a_schedule_that_misses_every_second_tick_skips_no_athlete() {
        let squad = athletes(3600);
        let mut ticks = Ticks::of(&squad, Duration::from_mins(15), 1_770_000_000);
        for _ in 0..2 {
            ticks.tick(0, usize::MAX);
            ticks.miss();
        }
        assert_eq!(ticks.extremes(), (1, 1));
    }

    #[test]
    fn a_hold_at_the_same_time_of_every_tick_leaves_no_athlete_out() {
        for count in [1800, 3600] {
            let squad = athletes(count);
            let mut ticks = Ticks::of(&squad, Duration::from_mins(15), 1_770_000_000);
            let mut synced = BTreeSet::new();
            for _ in 0..8 * count / 1800 {
                // Oura sets the hold ten seconds after the tick, and it lasts for two minutes.
                let plan = ticks.tick(0, usize::MAX);
                let runs = |delay: &Duration| !(10..130).contains(&delay.as_secs());
                synced.extend(plan.jobs.into_iter().filter(|(_, delay)| runs(delay)).map(|(athlete, _)| athlete));
            }
            assert_eq!(synced.len(), count);
        }
    }

    #[test]
    fn a_changed_squad_costs_no_other_athlete_their_turn() {
        let mut squad = athletes(100);
        let period = Duration::from_mins(1);
        let second = 1_770_000_000;
        let half = |squad: &[AthleteId], last| {
            let held_until = Some(Timestamp::from_second(second + 30).unwrap());
            plan(&Tick { held_until, last, ..tick(squad, second, period) }).jobs
        };
        let first = half(&squad, None);
        let last = first.last().map(|(athlete, _)| athlete.clone());
        assert_eq!((first.len(), &last), (50, &Some(squad[49].clone())));
        // The athlete planned last has disconnected, and so has the very first.
        squad.remove(49);
        squad.remove(0);
        let next: Vec<_> = half(&squad, last).into_iter().map(|(athlete, _)| athlete).collect();
        assert_eq!(next, squad[48..]);
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
    fn a_large_site_is_many_bursts_and_the_rest_waits() {
        let squad = athletes(2000);
        let plan = plan(&tick(&squad, 1_770_000_000, Duration::from_mins(15)));
        assert_eq!((plan.jobs.len(), plan.postponed), (1800, 200));
        let starts: BTreeSet<_> = seconds(&plan).into_iter().collect();
        assert_eq!(starts, (0..36).map(|burst| burst * 25).collect());
    }

    #[test]
    fn a_short_hold_delays_jobs_and_a_long_one_cancels_them() {
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
            let (mut starts, mut last) = (Vec::new(), None);
            for round in 0..6 {
                let fired = round * period.as_secs();
                let mut tick = tick(&squad, second + i64::try_from(fired).unwrap(), period);
                tick.last = last.clone();
                tick.held_until = Some(Timestamp::from_second(second + hold).unwrap());
                let plan = plan(&tick);
                let distinct: BTreeSet<_> = plan.jobs.iter().map(|(athlete, _)| athlete).collect();
                prop_assert_eq!(distinct.len(), plan.jobs.len(), "an athlete is planned twice");
                prop_assert_eq!(plan.jobs.len() + plan.postponed, count);
                last = plan.jobs.last().map(|(athlete, _)| athlete.clone()).or(last);
                let delays = seconds(&plan);
                prop_assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY.as_secs()));
                starts.extend(delays.into_iter().map(|delay| fired + delay));
            }
            prop_assert!(starts.is_sorted(), "a tick runs into the next");
            // Any window, starting with any job, counting both ends of a whole-second clock.
            for (index, start) in starts.iter().enumerate() {
                let within = starts[index..].iter().take_while(|other| **other < start + WINDOW.as_secs()).count();
                prop_assert!(within <= PER_WINDOW as usize, "{within} jobs in five minutes");
            }
        }

        #[test]
        fn no_holds_missed_ticks_or_lost_jobs_leave_an_athlete_out(
            count in 1usize..5000,
            minutes in 1u64..30,
            second in 0i64..4_000_000_000,
            fates in prop::collection::vec(
                prop_oneof![
                    4 => (0i64..1200, Just(usize::MAX)).prop_map(Some),
                    1 => (Just(0i64), 0usize..2000).prop_map(Some),
                    1 => Just(None),
                ],
                1..12,
            ),
        ) {
            let squad = athletes(count);
            let mut ticks = Ticks::of(&squad, Duration::from_mins(minutes), second);
            // The same holds and losses repeat periodically.
            for fate in fates.iter().cycle().take(3 * fates.len()) {
                match fate {
                    Some((hold, queued)) => drop(ticks.tick(*hold, *queued)),
                    None => ticks.miss(),
                }
                let (fewest, most) = ticks.extremes();
                prop_assert!(most <= fewest + 1, "one had {most} turns and another {fewest}");
            }
            let jobs: usize = ticks.turns.values().sum();
            prop_assert_eq!(ticks.extremes().0, jobs / count);
        }

        #[test]
        fn the_plan_is_stable(count in 0usize..3000, second in 0i64..4_000_000_000) {
            let squad = athletes(count);
            let tick = tick(&squad, second, Duration::from_mins(15));
            prop_assert_eq!(plan(&tick), plan(&tick));
        }
    }
}
