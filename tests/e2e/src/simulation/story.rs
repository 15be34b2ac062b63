//! Draws what happens, to which athlete and when. Each event is drawn from the seed by its place in the story (athlete,
//! day, tick), never by the order in which events occur. So a story with fewer athletes, fewer days or fewer kinds of
//! event is the same story with parts left out. This is how a failing story is shortened.

use std::collections::BTreeSet;
use std::fmt;

use jiff::SignedDuration;

/// One story: the same scale is always the same story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The seed of all draws.
    pub seed: u64,
    /// The athletes who take part, by number.
    pub athletes: Vec<u32>,
    /// How many days pass before the faults stop.
    pub days: u32,
    /// The largest number of ticks per day; about every other day has one less. Now and then, one more follows 15
    /// minutes after a tick.
    pub ticks: u32,
    /// The kinds of event that may happen.
    pub kinds: BTreeSet<Kind>,
}

/// The kinds of event. Each can be left out of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Athletes edit or remove nights, or longer sleeps appear.
    Nights,
    /// Staff delete events in Smartabase.
    Staff,
    /// Athletes withdraw consent or a scope, disconnect, and connect again with and without cause.
    Consent,
    /// Access tokens stop working early.
    Tokens,
    /// Memberships lapse and are paid again.
    Membership,
    /// Oura answers 429 to one athlete or to all.
    Throttles,
    /// One kind of request to a service fails often during a tick.
    Weather,
    /// One request of a job, or its answer, fails.
    Faults,
    /// A worker dies in the middle of a job.
    Deaths,
    /// A worker is paused in the middle of a job while something else happens to the athlete.
    Pauses,
    /// Messages come twice, late and out of order.
    Messages,
    /// The workers' clocks differ.
    Skew,
    /// Operators replace the root key, the Oura secret and the Smartabase password. Some workers use the old ones for
    /// one more tick.
    Rotation,
    /// A form is missing on the site for days or weeks.
    Forms,
    /// The site is down for a whole day.
    Outages,
    /// A CDN in front of Oura answers everything with 403 for an hour.
    Cdn,
    /// The token server writes its answers in other forms than the documented one.
    Answers,
    /// Oura's revocation endpoint fails, and athletes connect again before a revocation is sent.
    Revocations,
}

impl Adventure {
    /// The request at which it happens, if it happens at a certain one.
    pub(crate) fn spot(self) -> Option<Spot> {
        match self {
            Self::Fault { at, .. } | Self::Death { at, .. } | Self::Pause { at, .. } => Some(at),
            Self::Race => None,
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Nights,
        Self::Staff,
        Self::Consent,
        Self::Tokens,
        Self::Membership,
        Self::Throttles,
        Self::Weather,
        Self::Faults,
        Self::Deaths,
        Self::Pauses,
        Self::Messages,
        Self::Skew,
        Self::Rotation,
        Self::Forms,
        Self::Outages,
        Self::Cdn,
        Self::Answers,
        Self::Revocations,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// One tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) day: u32,
    pub(crate) minute: u32,
}

/// Something that happens to an athlete between two ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// The athlete edits the night of `back` days ago.
    Edited { back: i64 },
    /// The athlete removes that night.
    Removed { back: i64 },
    /// A longer sleep is added to that night.
    Added { back: i64 },
    /// Staff delete the event of that night, and then the athlete edits the night.
    Deleted { back: i64 },
    /// The athlete withdraws consent in the Oura app.
    Withdrawn,
    /// The athlete withdraws the scope `daily`.
    ScopeWithdrawn,
    /// The athlete presses *Disconnect*.
    Disconnected,
    /// The athlete opens the link and connects again, although the connection works.
    Renewed,
    /// The access token stops working.
    Expired,
    /// The membership is not paid for this many days.
    Lapsed { days: u32 },
    /// Oura throttles this athlete.
    Throttled { minutes: i64 },
}

/// What goes wrong with one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adventure {
    /// One request or its answer fails.
    Fault { at: Spot, how: Break },
    /// The worker dies just before this request is sent, or just before its answer is received.
    Death { at: Spot, after: bool },
    /// The worker is paused there, and something else happens in the meantime.
    Pause { at: Spot, after: bool, meanwhile: Meanwhile },
    /// Two workers process the message at once.
    Race,
}

/// A request of a job: the `nth` of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) request: Request,
    pub(crate) nth: u64,
}

/// The kinds of request that a job makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// One of the four collections, by name.
    Collection(&'static str),
    /// `personal_info`
    Person,
    /// The token endpoint.
    Token,
    /// The revocation endpoint.
    Revocation,
    /// `eventsearch`
    Search,
    /// `eventsimport`
    Import,
    /// An operation of the table.
    Table(&'static str),
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The request is lost.
    NeverArrives,
    /// The service carries it out, and the answer is lost.
    AnswerLost,
    /// The service carries it out, and the answer is cut off.
    AnswerHalved,
    /// The request is lost, and the answer is 503.
    Unwell,
    /// The service carries it out, and the answer is 500.
    UnwellAfterwards,
    /// The service carries it out, and the answer is an HTML page.
    Html,
    /// The request is lost, and the answer is 429.
    Throttled,
    /// The service carries it out, and the answer reports success without any event id.
    NothingNamed,
}

/// What happens while a worker is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Another worker receives the same message.
    Duplicate,
    /// Another worker receives the same message after the lease has ended by its clock.
    Superseded,
    /// The athlete connects again, and another worker receives the message.
    Renewed,
    /// The athlete disconnects.
    Disconnected,
    /// The athlete edits the night, and another worker receives the message.
    Edited,
}

/// How the services behave during a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// One in `one_in` requests of this kind fails.
    Foul {
        request: Request,
        how: Break,
        one_in: u64,
    },
    /// Oura throttles the whole application.
    Throttled {
        minutes: i64,
    },
}

/// What an operator replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    RootKey,
    OuraSecret,
    Password,
}

/// What the queue does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    Once,
    Twice,
    /// It delivers the message this many minutes late.
    Late(i64),
}

const COLLECTIONS: [&str; 4] = ["daily_activity", "daily_readiness", "daily_sleep", "sleep"];

impl Scale {
    /// `athletes` athletes, `days` days, and every kind of event.
    #[must_use]
    pub fn full(seed: u64, athletes: u32, days: u32) -> Self {
        Self { seed, athletes: (0..athletes).collect(), days, ticks: 3, kinds: Kind::ALL.into() }
    }

    pub(super) fn draw(&self, purpose: &str, place: &[u64]) -> fastrand::Rng {
        let words = [self.seed].into_iter().chain(purpose.bytes().map(u64::from)).chain(place.iter().copied());
        // FNV-1a over whole words, and a finaliser that spreads neighbouring values far apart.
        let sum = words.fold(0xcbf2_9ce4_8422_2325_u64, |sum, word| {
            (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
        });
        let mixed = (sum ^ (sum >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
        fastrand::Rng::with_seed(mixed ^ (mixed >> 29))
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The ticks of a day: two or three, at any minute, and now and then two within a quarter of an hour. The real
    /// schedule has 96. These few find the same faults in less time.
    pub(crate) fn ticks(&self, day: u32) -> Vec<Tick> {
        let mut draw = self.draw("ticks", &[day.into()]);
        let count = draw.u32(self.ticks.max(2) - 1..=self.ticks.max(1));
        let mut minutes = Vec::new();
        for part in 0..count {
            let minute = part * 1440 / count + draw.u32(5..1380 / count - 60);
            minutes.push(minute);
            if draw.u8(0..8) == 0 {
                minutes.push(minute + 15);
            }
        }
        minutes.into_iter().map(|minute| Tick { day, minute }).collect()
    }

    /// The day on which an athlete first opens the link.
    pub(crate) fn first_visit(&self, athlete: u32) -> u32 {
        self.draw("first visit", &[athlete.into()]).u32(0..4).min(self.days / 4)
    }

    /// Whether an athlete who has to connect again does so before this tick.
    pub(crate) fn returns(&self, athlete: u32, tick: Tick) -> bool {
        self.draw("returns", &place(athlete, tick)).u8(0..100) < 35
    }

    /// How a visit fails, if it does.
    pub(crate) fn visit(&self, athlete: u32, tick: Tick) -> Option<(Spot, Break)> {
        let mut draw = self.draw("visit", &place(athlete, tick));
        let bumpy = draw.u8(0..100) < 15;
        let requests =
            [Request::Token, Request::Person, Request::Table("TransactWriteItems"), Request::Table("DeleteItem")];
        let spot = Spot { request: *draw.choice(&requests)?, nth: 1 };
        let how = broken(&mut draw, spot.request);
        (bumpy && self.has(Kind::Faults)).then_some((spot, how))
    }

    /// What happens to an athlete before this tick.
    pub(crate) fn happenings(&self, athlete: u32, tick: Tick) -> Vec<Counter> {
        let mut draw = self.draw("happenings", &place(athlete, tick));
        let mut happen = Vec::new();
        // Each kind draws the same numbers whether or not it takes part.
        for (kind, percent) in [
            (Kind::Nights, 14),
            (Kind::Staff, 2),
            (Kind::Consent, 2),
            (Kind::Tokens, 3),
            (Kind::Membership, 1),
            (Kind::Throttles, 2),
        ] {
            let (chance, back, choice, length) = (draw.u8(0..100), draw.i64(0..5), draw.u8(0..4), draw.u32(1..3));
            if chance >= percent || !self.has(kind) {
                continue;
            }
            happen.push(match (kind, choice) {
                (Kind::Nights, 0 | 1) => Counter::Edited { back },
                (Kind::Nights, 2) => Counter::Removed { back },
                (Kind::Nights, _) => Counter::Added { back },
                (Kind::Staff, _) => Counter::Deleted { back },
                (Kind::Consent, 0) => Counter::Withdrawn,
                (Kind::Consent, 1) => Counter::ScopeWithdrawn,
                (Kind::Consent, 2) => Counter::Disconnected,
                (Kind::Consent, _) => Counter::Renewed,
                (Kind::Membership, _) => Counter::Lapsed { days: length },
                (Kind::Throttles, _) => Counter::Throttled { minutes: back * 7 + 2 },
                _ => Counter::Expired,
            });
        }
        happen
    }

    /// What goes wrong with this athlete's job at a tick, if anything, and the two workers concerned. Most `rare` jobs
    /// are disturbed, such as the backfill of a new connection.
    pub(crate) fn adventure(
        &self,
        athlete: u32,
        tick: Tick,
        workers: usize,
        rare: bool,
    ) -> Option<(Adventure, usize, usize)> {
        let mut draw = self.draw("adventure", &place(athlete, tick));
        if draw.u8(0..100) >= if rare { 60 } else { 7 } {
            return None;
        }
        let one = draw.usize(0..workers);
        let other = (one + draw.usize(1..workers)) % workers;
        let spot = spot(&mut draw);
        let (after, how) = (draw.bool(), broken(&mut draw, spot.request));
        let meanwhile = meanwhile(&mut draw, spot, after);
        let (kind, adventure) = match draw.u8(0..100) {
            0..45 => (Kind::Faults, Adventure::Fault { at: spot, how }),
            45..65 => (Kind::Deaths, Adventure::Death { at: spot, after }),
            65..92 => (Kind::Pauses, Adventure::Pause { at: spot, after, meanwhile }),
            _ => (Kind::Messages, Adventure::Race),
        };
        self.has(kind).then_some((adventure, one, other))
    }

    /// How the services behave at a tick.
    pub(crate) fn weather(&self, tick: Tick) -> Weather {
        let mut draw = self.draw("weather", &[tick.day.into(), tick.minute.into()]);
        let (chance, minutes, one_in) = (draw.u8(0..100), draw.i64(3..25), draw.u64(1..5));
        let requests = [
            Request::Search,
            Request::Import,
            Request::Import,
            Request::Collection("sleep"),
            Request::Collection("daily_activity"),
        ];
        let request = draw.choice(&requests).copied().unwrap_or(Request::Import);
        let how = broken(&mut draw, request);
        match chance {
            0..10 if self.has(Kind::Weather) => Weather::Foul { request, how, one_in },
            10..13 if self.has(Kind::Throttles) => Weather::Throttled { minutes },
            _ => Weather::Fair,
        }
    }

    /// What an operator replaces before this tick.
    pub(crate) fn rotation(&self, tick: Tick) -> Option<Rotation> {
        let mut draw = self.draw("rotation", &[tick.day.into(), tick.minute.into()]);
        let rotation = match draw.u8(0..100) {
            0..3 => Rotation::RootKey,
            3..5 => Rotation::OuraSecret,
            5..7 => Rotation::Password,
            _ => return None,
        };
        self.has(Kind::Rotation).then_some(rotation)
    }

    /// Which of the two event forms, if any, is missing on the site on a day. Now and then one is removed; it comes
    /// back within three weeks.
    pub(crate) fn lacks(&self, day: u32) -> Option<usize> {
        let gone_since = |since: u32| {
            let mut draw = self.draw("forms", &[since.into()]);
            let (gone, form, length) = (draw.u8(0..100) < 5, draw.usize(0..2), draw.u32(1..21));
            (gone && day < since + length).then_some(form)
        };
        (day.saturating_sub(20)..=day).find_map(gone_since).filter(|_| self.has(Kind::Forms))
    }

    /// Whether a worker uses the new secrets only one tick later.
    pub(crate) fn learns_late(&self, worker: usize, tick: Tick) -> bool {
        self.draw("learns", &[worker as u64, tick.day.into(), tick.minute.into()]).u8(0..3) == 0
    }

    /// How far a worker's clock is ahead of the true time: up to 22 seconds either way, so two clocks differ by up to
    /// three quarters of a minute. A lease allows for a minute.
    pub(crate) fn skew(&self, worker: usize, day: u32) -> SignedDuration {
        let milliseconds = self.draw("skew", &[worker as u64, day.into()]).i64(-22_000..22_000);
        SignedDuration::from_millis(if self.has(Kind::Skew) { milliseconds } else { 0 })
    }

    /// What the queue does to the message of an athlete.
    pub(crate) fn mail(&self, athlete: u32, tick: Tick) -> Mail {
        let mut draw = self.draw("mail", &place(athlete, tick));
        match draw.u8(0..100) {
            _ if !self.has(Kind::Messages) => Mail::Once,
            0..4 => Mail::Twice,
            4..6 => Mail::Late(draw.i64(1..90)),
            _ => Mail::Once,
        }
    }

    /// The sort key of a message within a tick.
    pub(crate) fn turn(&self, athlete: u32, tick: Tick) -> u64 {
        if self.has(Kind::Messages) { self.draw("turn", &place(athlete, tick)).u64(..) } else { athlete.into() }
    }
}

fn place(athlete: u32, tick: Tick) -> [u64; 3] {
    [athlete.into(), tick.day.into(), tick.minute.into()]
}

fn spot(draw: &mut fastrand::Rng) -> Spot {
    let collection = COLLECTIONS[draw.usize(0..COLLECTIONS.len())];
    let (request, nth) = match draw.u8(0..100) {
        0..24 => (Request::Token, 1),
        24..32 => (Request::Collection(collection), draw.u64(1..=2)),
        32..48 => (Request::Search, draw.u64(1..=2)),
        48..74 => (Request::Import, *draw.choice(&[1, 1, 1, 2, 3]).unwrap_or(&1)),
        74..86 => (Request::Table("TransactWriteItems"), *draw.choice(&[1, 1, 2, 2, 3]).unwrap_or(&1)),
        86..97 => (Request::Table("UpdateItem"), draw.u64(1..=2)),
        // What a sync reads: the connection, and the ledger if something has changed.
        _ => (Request::Table(if draw.u64(1..=2) == 1 { "BatchGetItem" } else { "Query" }), 1),
    };
    Spot { request, nth }
}

fn broken(draw: &mut fastrand::Rng, request: Request) -> Break {
    let all = [
        Break::NeverArrives,
        Break::AnswerLost,
        Break::AnswerLost,
        Break::AnswerHalved,
        Break::Unwell,
        Break::UnwellAfterwards,
        Break::Html,
        Break::Throttled,
        Break::NothingNamed,
    ];
    let count = if request == Request::Import { all.len() } else { all.len() - 1 };
    all[draw.usize(0..count)]
}

/// A worker is superseded only before it has sent a request that cannot be undone. A worker that is paused during an
/// import or a refresh until its lease ends has passed its own deadline long before. It sends nothing more, so that
/// case cannot occur.
fn meanwhile(draw: &mut fastrand::Rng, spot: Spot, after: bool) -> Meanwhile {
    let safe = match spot.request {
        Request::Search => true,
        Request::Table("TransactWriteItems") => spot.nth == 1 && !after,
        _ => false,
    };
    match draw.u8(0..100) {
        0..60 if safe => Meanwhile::Superseded,
        0..40 => Meanwhile::Duplicate,
        40..65 => Meanwhile::Renewed,
        65..80 => Meanwhile::Disconnected,
        _ => Meanwhile::Edited,
    }
}
