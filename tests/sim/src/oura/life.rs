//! Generates a day: which documents Oura has of it, and when each becomes visible.

use fastrand::Rng;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

use super::archive::{Archive, Content, Version};
use super::documents::{self, Kind, Period, local};
use super::{Collection, Life, Person};
use crate::draw;

/// Generates `day`, unless that was done before. Its documents become visible during the day, or later.
pub(super) fn live(archive: &mut Archive, seed: u64, person: &Person, day: Date) {
    let varied = match person.life {
        Life::Regular { since } if day >= since => false,
        Life::Varied { since } if day >= since => true,
        _ => return,
    };
    if archive.begin(day) {
        let mut today = Today::new(archive, seed, person, day);
        today.activity();
        if varied { today.varied_night() } else { today.regular_night() }
    }
}

/// Generates an ordinary day, whatever the person's life is. [`live`] then skips the day.
pub(super) fn live_regular(archive: &mut Archive, seed: u64, person: &Person, day: Date) {
    if archive.begin(day) {
        let mut today = Today::new(archive, seed, person, day);
        today.activity();
        today.regular_night();
    }
}

/// An id in the shape that most of Oura's ids have.
pub(super) fn id(seed: u64, name: &[&str]) -> String {
    let digits = draw::digits(seed, name, 16);
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]).join("-")
}

struct Today<'a> {
    archive: &'a mut Archive,
    seed: u64,
    person: &'a Person,
    day: Date,
    draw: Rng,
}

impl<'a> Today<'a> {
    fn new(archive: &'a mut Archive, seed: u64, person: &'a Person, day: Date) -> Self {
        let draw = draw::named(seed, &["day", &person.id, &day.to_string()]);
        Self { archive, seed, person, day, draw }
    }

    /// In bed around half past ten, up after seven to eight hours, synced soon after.
    fn regular_night(&mut self) {
        let night = self.period(Kind::LongSleep, -1, (21, 50), 80, (420, 500));
        let synced = self.synced_after(&night, 90);
        self.keep("night", Collection::Sleep, vec![(synced, night)]);
        self.scores(synced, true);
    }

    fn varied_night(&mut self) {
        let worn = !self.chance(6);
        if self.chance(15) {
            let nap = self.period(Kind::Nap, 0, (13, 0), 120, (25, 100));
            let synced = self.synced_after(&nap, 200);
            self.keep("nap", Collection::Sleep, vec![(synced, nap)]);
        }
        if self.chance(8) {
            let nap = self.period(Kind::LateNap, -1, (17, 30), 25, (35, 80));
            let synced = self.synced_after(&nap, 60);
            self.keep("late nap", Collection::Sleep, vec![(synced, nap)]);
        }
        if self.chance(8) {
            let rest = self.period(Kind::Rest, -1, (19, 30), 30, (20, 50));
            let synced = self.synced_after(&rest, 60);
            self.keep("rest", Collection::Sleep, vec![(synced, rest)]);
        }
        if self.chance(5) {
            // Longer than any night, so that a client that counts it as sleep shows a wrong value.
            let deleted = self.period(Kind::Deleted, -1, (21, 0), 30, (560, 640));
            let synced = self.synced_after(&deleted, 60);
            self.keep("deleted", Collection::Sleep, vec![(synced, deleted)]);
        }
        if worn {
            self.varied_main_sleep();
        }
    }

    fn varied_main_sleep(&mut self) {
        let night = match self.draw.u8(0..100) {
            0..10 => self.period(Kind::LongSleep, 0, (0, 15), 110, (300, 440)),
            10..18 => {
                let second = self.period(Kind::LongSleep, 0, (4, 20), 60, (185, 330));
                let synced = self.synced_after(&second, 60);
                self.keep("second sleep", Collection::Sleep, vec![(synced, second)]);
                self.period(Kind::LongSleep, -1, (22, 0), 60, (190, 280))
            }
            _ => self.period(Kind::LongSleep, -1, (21, 20), 150, (370, 540)),
        };
        let (night, scored) = if self.chance(5) { (documents::hollow(&night), false) } else { (night, true) };
        let mut synced = self.synced_after(&night, 150);
        let late = self.chance(8);
        if late {
            synced += SignedDuration::from_hours(self.draw.i64(20..72));
        }
        let mut versions = Vec::new();
        if !late && self.chance(10) {
            let mut so_far = night.clone();
            so_far["bedtime_end"] = Value::Null;
            so_far["sleep_analysis_reason"] = json!("background_sleep_analysis");
            versions.push((began(&night) + SignedDuration::from_mins(95), so_far));
        }
        versions.push((synced, night));
        if self.chance(10)
            && let Some((_, night)) = versions.last()
        {
            let revised = documents::reanalysed(&mut self.draw, night);
            versions.push((synced + SignedDuration::from_hours(self.draw.i64(2..40)), revised));
        }
        self.keep("night", Collection::Sleep, versions);
        self.scores(synced, scored);
    }

    /// The two scores of the day. Readiness becomes visible four minutes after sleep.
    fn scores(&mut self, synced: Timestamp, scored: bool) {
        let zone = &self.person.zone;
        let sleep = documents::daily_sleep(&mut self.draw, "", self.day, zone, scored);
        self.keep("daily sleep", Collection::DailySleep, vec![(synced, sleep)]);
        let readiness = documents::daily_readiness(&mut self.draw, "", self.day, zone, scored);
        let later = synced + SignedDuration::from_mins(4);
        self.keep("daily readiness", Collection::DailyReadiness, vec![(later, readiness)]);
    }

    /// The activity grows with every sync of the day. The first sync after 04:00 of the next day makes it final.
    fn activity(&mut self) {
        let begins = local(&self.person.zone, self.day.at(4, 0, 0, 0)).timestamp();
        let versions = [300, 510, 720, 930, 1125, 1440]
            .into_iter()
            .map(|minutes| {
                let draw = draw::named(self.seed, &["activity", &self.person.id, &self.day.to_string()]);
                let document = documents::daily_activity(draw, "", self.day, &self.person.zone, minutes);
                let until_seen = if minutes == 1440 { minutes + self.draw.i64(90..330) } else { minutes };
                (begins + SignedDuration::from_mins(until_seen), document)
            })
            .collect();
        self.keep("activity", Collection::DailyActivity, versions);
    }

    /// A finished period. It begins up to `within` minutes after the time `after`, `days` days from the day.
    fn period(&mut self, kind: Kind, days: i64, after: (i8, i8), within: i64, minutes: (i64, i64)) -> Value {
        let begins = self.day.saturating_add(days.days()).at(after.0, after.1, 0, 0);
        let begins =
            begins.saturating_add(self.draw.i64(0..within).minutes()).saturating_add(self.draw.i64(0..60).seconds());
        let period = Period { kind, begins, minutes: self.draw.i64(minutes.0..=minutes.1), finished: true };
        documents::sleep(&mut self.draw, "", self.day, period, &self.person.zone)
    }

    /// When the phone syncs after a period: ten minutes after its end, or up to `within` minutes more.
    fn synced_after(&mut self, period: &Value, within: i64) -> Timestamp {
        let in_bed = SignedDuration::from_secs(period["time_in_bed"].as_i64().unwrap_or_default());
        began(period) + in_bed + SignedDuration::from_mins(10 + self.draw.i64(0..within))
    }

    fn keep(&mut self, what: &str, collection: Collection, versions: Vec<(Timestamp, Value)>) {
        let id = id(self.seed, &[what, &self.person.id, &self.day.to_string()]);
        let version = |(from, mut document): (Timestamp, Value)| {
            document["id"] = json!(id);
            Version { from, content: Content::Lived(document) }
        };
        self.archive.live(collection, id.clone(), versions.into_iter().map(version).collect());
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.draw.u8(0..100) < percent
    }
}

fn began(period: &Value) -> Timestamp {
    period["bedtime_start"].as_str().and_then(|begins| begins.parse().ok()).expect("made a moment ago")
}
