//! The model of the pages, computed from the data read. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use connector::schedule::plan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::time::Duration;
use store::AthleteId;

use super::cache::Memory;
use super::day_status::{Life, Mark};
use crate::athlete_state::{Actor, Stand, State};
use crate::roster::Athlete;

/// The number of marks of each kind.
pub(crate) type Tally = BTreeMap<Mark, usize>;

/// One athlete, as a row of the heat map.
pub(crate) struct Row<'a> {
    pub(crate) athlete: &'a Athlete,
    pub(crate) stand: Stand,
    /// One mark per date of the view, the oldest first.
    pub(crate) marks: Vec<Mark>,
}

/// The model of the page of all athletes.
pub(crate) struct View<'a> {
    pub(crate) now: Timestamp,
    pub(crate) zone: &'a TimeZone,
    /// The dates shown, the oldest first.
    pub(crate) dates: Vec<Date>,
    /// All athletes, sorted by state. Those for whom the operator has to act come first.
    pub(crate) rows: Vec<Row<'a>>,
    /// The healthy athlete whose last sync is oldest.
    pub(crate) stalest: Option<(&'a Athlete, SignedDuration)>,
    pub(crate) budget: Budget,
}

/// The requests to Oura that the ticks plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Requests of one tick that syncs every athlete and finds nothing new.
    pub(crate) wanted: usize,
    /// Requests that one tick may send: its share of Oura’s rate limit.
    pub(crate) room: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        memory: &'a Memory,
        form: usize,
        days: u16,
        period: Duration,
        now: Timestamp,
        zone: &'a TimeZone,
    ) -> Self {
        let today = now.to_zoned(zone.clone()).date();
        let first = today.saturating_sub(i64::from(days.saturating_sub(1)).days());
        let dates: Vec<_> = first.series(1.day()).take_while(|date| *date <= today).collect();
        let row = |athlete: &'a Athlete| Row {
            athlete,
            stand: Stand::of(athlete, today),
            marks: marks(memory, athlete, form, &dates, now, zone),
        };
        let mut rows: Vec<_> = memory.roster.athletes.iter().map(row).collect();
        // The sort is stable: within a state, athletes stay sorted by name.
        rows.sort_by_key(|row| row.stand.state);
        let lags = memory.roster.athletes.iter().filter_map(|athlete| Some((athlete, athlete.lag(now)?)));
        let stalest = lags.max_by_key(|(_, lag)| *lag);
        let connected = memory.roster.athletes.iter().filter(|athlete| athlete.is_connected()).count();
        Self { now, zone, dates, rows, stalest, budget: Budget::new(connected, period) }
    }

    /// How many athletes are in each state.
    pub(crate) fn states(&self) -> BTreeMap<State, usize> {
        let mut states = BTreeMap::new();
        for row in &self.rows {
            *states.entry(row.stand.state).or_insert(0) += 1;
        }
        states
    }

    /// How many athletes are connected and do not have to act first.
    pub(crate) fn connected(&self) -> usize {
        self.rows.iter().filter(|row| row.athlete.lag(self.now).is_some()).count()
    }

    /// How many of each mark there are on each date.
    pub(crate) fn totals(&self) -> Vec<Tally> {
        let of = |place: usize| tally(self.rows.iter().filter_map(|row| row.marks.get(place)));
        (0..self.dates.len()).map(of).collect()
    }

    /// The last complete date and its counts. A night can come until the end of the day after it began. So the date
    /// before yesterday is complete and last night is not.
    pub(crate) fn last_night(&self) -> Option<(Date, Tally)> {
        let place = self.dates.len().checked_sub(2)?;
        Some((*self.dates.get(place)?, tally(self.rows.iter().filter_map(|row| row.marks.get(place)))))
    }
}

impl Row<'_> {
    /// The number of marks of each kind.
    pub(crate) fn tally(&self) -> Tally {
        tally(self.marks.iter())
    }

    /// Whether the athlete or the operator has to act.
    pub(crate) fn needs_somebody(&self) -> bool {
        self.stand.needs() != Actor::Nobody
    }
}

impl Budget {
    fn new(connected: usize, period: Duration) -> Self {
        let requests = plan::REQUESTS_PER_SYNC as usize;
        Self { wanted: connected * requests, room: plan::room(period) * requests }
    }

    /// Whether one tick can sync every athlete.
    pub(crate) fn holds(self) -> bool {
        self.wanted <= self.room
    }

    /// How many ticks it takes to sync every athlete.
    pub(crate) fn ticks(self) -> usize {
        self.wanted.div_ceil(self.room.max(1))
    }
}

fn marks(
    memory: &Memory,
    athlete: &Athlete,
    form: usize,
    dates: &[Date],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Mark> {
    let life = athlete.connection.as_ref().map(|connection| Life::of(connection, now, zone)).unwrap_or_default();
    let today = now.to_zoned(zone.clone()).date();
    let mut lines = memory.lines(&athlete.id, form).iter().peekable();
    dates
        .iter()
        .map(|date| {
            while lines.next_if(|line| line.date < *date).is_some() {}
            life.mark(*date, lines.next_if(|line| line.date == *date), today)
        })
        .collect()
}

/// One athlete’s marks in every form, for the athlete's page.
pub(crate) fn story(
    memory: &Memory,
    id: &AthleteId,
    forms: usize,
    dates: &[Date],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Vec<Mark>> {
    let Some(athlete) = memory.roster.athletes.iter().find(|athlete| athlete.id == *id) else { return Vec::new() };
    (0..forms).map(|form| marks(memory, athlete, form, dates, now, zone)).collect()
}

fn tally<'a>(marks: impl Iterator<Item = &'a Mark>) -> Tally {
    let mut tally = Tally::new();
    for mark in marks {
        *tally.entry(*mark).or_insert(0) += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_gives_the_ticks_needed_for_all_athletes() {
        let budget = |connected| Budget::new(connected, Duration::from_mins(15));
        assert_eq!(budget(30), Budget { wanted: 120, room: 7200 });
        assert!(budget(1800).holds() && !budget(1801).holds());
        assert_eq!([0, 30, 1800, 1801, 5000].map(|connected| budget(connected).ticks()), [0, 1, 1, 2, 3]);
    }
}
