//! Plays a story, from the first tick until a tick finds nothing new.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connector::queue::message::Job;
use connector::{Connector, Disposition, Received, WorkerMessage};
use jiff::{SignedDuration, Timestamp};
use runtime::Deadline;
use sim::oura::Tier;
use tokio::task::JoinSet;

use super::check::{Broken, log_is_sealed};
use super::conditions::{Conditions, TokenAnswers};
use super::scene::{self, hand_back};
use super::story::{Adventure, Mail, Scale, Tick, Weather};
use super::visit::{happen, visit};
use super::world::{Cause, WORKERS, World, instant};
use crate::log;

/// Messages in one batch.
const BATCH: usize = 10;

/// How long one invocation may take, as the template sets it for the worker.
const INVOCATION: Duration = Duration::from_mins(1);

/// How long after a tick its messages are processed. Messages with a longer delay wait for the next tick.
const WATCHED: SignedDuration = SignedDuration::from_mins(15);

/// How much of that time is processed at once. It must be shorter than the time between a rescue and the retry of the
/// sync that needs it: a queue without a backlog delivers one minutes before the other.
const STRETCH: SignedDuration = SignedDuration::from_mins(5);

/// How often retries are processed before the next tick.
const ROUNDS: usize = 9;

/// How many ticks without faults follow before the final checks.
const CALM_TICKS: usize = 12;

/// The least time between the last job of a tick and the next tick. It is longer than the clocks of two workers differ,
/// so a sync can be assigned to its tick.
const APART: SignedDuration = SignedDuration::from_secs(61);

/// The number of ticks of which at least one must find nothing new.
const QUIET_TICKS: usize = 20;

/// What happened in a story, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ticks.
    pub ticks: usize,
    /// Messages processed.
    pub jobs: usize,
    /// Visits to the connect page.
    pub visits: usize,
    /// Ticks in which one kind of request failed often, or Oura throttled the application.
    pub foul: usize,
    /// Secrets replaced.
    pub rotations: usize,
    /// Ticks with a condition: the site was down, a CDN refused everything, revocations failed, or the token server
    /// wrote odd answers.
    pub conditions: BTreeMap<&'static str, usize>,
    /// Athletes who disconnected or tried to, and connected again.
    pub reconnects: usize,
    /// Scenes by kind: those whose fault occurred, and those that were drawn.
    pub scenes: BTreeMap<&'static str, (usize, usize)>,
    /// Events in Smartabase at the end.
    pub events: usize,
    /// How often grants were refreshed.
    pub refreshes: u64,
    /// Grants that were lost with an answer, which only a network fault can cause.
    pub lost: usize,
}

/// A broken promise, and the story that broke it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The story.
    pub scale: Scale,
    /// Which promise.
    pub promise: &'static str,
    /// What was found instead.
    pub how: String,
    /// The day of the story.
    pub day: u32,
    /// The athlete's number, if the promise is about one athlete.
    pub athlete: Option<u32>,
    /// What happened to that athlete.
    pub tale: Vec<String>,
}

/// Plays a story and checks the promises after every tick.
///
/// # Errors
///
/// The first promise that was found broken.
pub async fn simulate(scale: &Scale) -> Result<Tally, Box<Failure>> {
    log::listen();
    let mut play = Play { world: World::set(scale).await, scale, tally: Tally::default(), day: 0 };
    match play.whole().await {
        Ok(()) => Ok(play.sum_up()),
        Err(broken) => Err(Box::new(play.failure(broken))),
    }
}

struct Play<'a> {
    scale: &'a Scale,
    world: World,
    tally: Tally,
    day: u32,
}

impl Play<'_> {
    async fn whole(&mut self) -> Result<(), Broken> {
        self.world.stage.process.enrol().await.unwrap();
        for day in 0..self.scale.days {
            self.day = day;
            self.begin_day(day);
            for tick in self.scale.ticks(day) {
                self.tick(tick).await?;
            }
            if day % 7 == 6 {
                self.world.table_is_sealed().await?;
            }
        }
        self.calm().await
    }

    fn begin_day(&mut self, day: u32) {
        for (number, worker) in self.world.workers.iter_mut().enumerate() {
            worker.ahead = self.scale.skew(number, day);
        }
        let World { stage, athletes, .. } = &mut self.world;
        for one in athletes.iter_mut().filter(|one| one.member_again.is_some_and(|again| again <= day)) {
            stage.oura.set_member(&one.person, true);
            one.member_again = None;
            one.tell(stage.clock.now(), "pays again");
        }
        self.world.let_lack(self.scale.lacks(day));
    }

    async fn tick(&mut self, tick: Tick) -> Result<(), Broken> {
        let later = self.world.now() + APART;
        self.world.set_time(instant(tick).max(later));
        self.world.catch_up();
        self.world.set_conditions(self.scale.conditions(tick));
        self.count_conditions();
        let rotation = self.scale.rotation(tick);
        if let Some(rotation) = rotation {
            let late: Vec<_> = (0..WORKERS).map(|worker| self.scale.learns_late(worker, tick)).collect();
            self.world.rotate(rotation, |worker| late.get(worker).copied().unwrap_or_default());
            self.tally.rotations += 1;
            let now = self.world.now();
            for one in &mut self.world.athletes {
                one.tell(now, format!("operators replace: {rotation:?}; late: {late:?}"));
            }
        }
        // The daily enrolment. If it fails, it runs again before the next tick.
        let _ = self.world.stage.process.enrol().await;
        let refused = self.world.conditions.cdn.is_some();
        let before = if refused { self.world.statuses().await } else { BTreeMap::new() };
        self.live(tick).await;
        let began = self.world.now();
        self.world.set_time(began + SignedDuration::from_secs(1));
        // If a tick fails, the next one does its work.
        let _ = self.world.stage.process.tick().await;
        self.tally.ticks += 1;
        let foul = self.work(tick).await;
        if refused {
            self.world.cdn_says_nothing(&before).await?;
        }
        self.world.outage_is_spared()?;
        self.world.guests_are_connected().await?;
        let fine = !foul && rotation.is_none() && !self.world.conditions.on_the_wires() && self.world.has_every_form();
        self.world.uneventful_is_synced(began, fine).await?;
        self.world.check(began).await
    }

    fn count_conditions(&mut self) {
        let Conditions { site_down, cdn, revocation, token_answers } = self.world.conditions;
        for (what, holds) in [
            ("site down", site_down.is_some()),
            ("CDN", cdn.is_some()),
            ("revocations failing", revocation.is_some()),
            ("odd token answers", token_answers != TokenAnswers::Documented),
        ] {
            *self.tally.conditions.entry(what).or_default() += usize::from(holds);
        }
    }

    /// Lets the events happen that come before the tick.
    async fn live(&mut self, tick: Tick) {
        // While a CDN refuses everything, the connector cannot find out whose ring it is.
        if self.world.conditions.cdn.is_none() {
            self.world.end_loans(false).await;
        }
        let waiting = self.world.waiting_for_athletes().await;
        for athlete in 0..self.world.athletes.len() {
            let lent = self.world.is_lent(athlete);
            let one = &self.world.athletes[athlete];
            let number = one.number;
            let comes = if one.causes.contains(&Cause::Unconnected) {
                self.scale.first_visit(number) <= tick.day
            } else {
                waiting.contains(&number) && self.scale.returns(number, tick)
            };
            if comes && !(lent && self.world.conditions.cdn.is_some()) {
                let bump = self.scale.visit(number, tick).filter(|_| !lent);
                if let Some((at, how)) = bump {
                    scene::strike(&self.world, at, how);
                    let now = self.world.now();
                    self.world.athletes[athlete].tell(now, format!("on the way, {:?}: {how:?}", at.request));
                }
                visit(&mut self.world, athlete).await;
                scene::heal(&self.world);
                self.tally.visits += 1;
            }
            if lent {
                continue;
            }
            for happening in self.scale.happenings(number, tick) {
                happen(&mut self.world, athlete, tick.day, happening).await;
            }
            if let Some(reconnect) = self.scale.reconnect(number, tick) {
                let happened = self.world.reconnect(athlete, reconnect).await;
                self.tally.reconnects += usize::from(happened);
            }
        }
        scene::heal(&self.world);
    }

    /// Processes the jobs of the tick and the retries due soon; returns whether faults were injected.
    async fn work(&mut self, tick: Tick) -> bool {
        let mut scenes: Vec<(usize, Received, (Adventure, usize, usize))> = Vec::new();
        let mut plain = Vec::new();
        for (athlete, message) in self.received() {
            let Some(athlete) = athlete else {
                plain.push(message);
                continue;
            };
            let number = self.world.athletes[athlete].number;
            let mail = self.scale.mail(number, tick);
            self.world.athletes[athlete].eventful |= mail != Mail::Once;
            match mail {
                Mail::Once => {}
                Mail::Twice => self.world.stage.process.waiting.send(message.body.clone(), Duration::ZERO),
                Mail::Late(minutes) => {
                    let delay = Duration::from_mins(minutes.unsigned_abs());
                    self.world.stage.process.waiting.put_back(message, delay);
                    continue;
                }
            }
            let rare = matches!(Job::from_message(&message.body), Ok(Job::Backfill { .. }));
            match self.scale.adventure(number, tick, WORKERS, rare) {
                Some(adventure) if scenes.iter().all(|(other, ..)| *other != athlete) => {
                    self.world.athletes[athlete].eventful = true;
                    scenes.push((athlete, message, adventure));
                }
                _ => plain.push(message),
            }
        }
        for (athlete, message, (adventure, one, other)) in scenes {
            let fired = scene::play(&mut self.world, athlete, message, adventure, one, other).await;
            let kind = match adventure {
                Adventure::Fault { .. } => "faults",
                Adventure::Death { .. } => "deaths",
                Adventure::Pause { .. } => "pauses",
                Adventure::Race => "races",
            };
            let count = self.tally.scenes.entry(kind).or_default();
            count.0 += usize::from(fired);
            count.1 += 1;
        }
        let weather = self.scale.weather(tick);
        self.set_weather(tick, weather);
        let foul = weather != Weather::Fair;
        self.tally.foul += usize::from(foul);
        let wired = foul || self.world.conditions.on_the_wires();
        if wired {
            self.world.athletes.iter_mut().for_each(|one| one.disturbed = true);
        }
        self.work_plainly(plain, wired).await;
        for _ in 0..ROUNDS {
            let again: Vec<_> = self.received().into_iter().map(|(_, message)| message).collect();
            self.work_plainly(again, wired).await;
        }
        scene::heal(&self.world);
        foul
    }

    /// The messages that become visible next within [`WATCHED`], in the order that the story gives them.
    fn received(&mut self) -> Vec<(Option<usize>, Received)> {
        let waiting = self.world.stage.process.waiting.clone();
        let now = self.world.now();
        let mut stretches = (1..).map(|stretch| STRETCH * stretch).take_while(|end| *end <= WATCHED);
        let next = stretches.find_map(|end| waiting.last_visible(now + end));
        self.world.set_time(next.unwrap_or(now).max(now));
        let places: BTreeMap<_, _> =
            self.world.athletes.iter().enumerate().map(|(place, one)| (one.id.clone(), place)).collect();
        let tick = Tick { day: self.day, minute: 0 };
        let mut received: Vec<_> = waiting
            .receive(usize::MAX)
            .into_iter()
            .map(|message| {
                let job = Job::from_message(&message.body).ok();
                (job.and_then(|job| places.get(job.athlete()).copied()), message)
            })
            .collect();
        received.sort_by_key(|(athlete, _)| {
            athlete.map(|athlete| self.scale.turn(self.world.athletes[athlete].number, tick))
        });
        received
    }

    /// Processes messages with all workers concurrently, one batch at a time each. The story decides which athlete is
    /// in which batch. It does not decide how batches interleave, which must not matter for independent athletes.
    async fn work_plainly(&mut self, messages: Vec<Received>, wired: bool) {
        self.tally.jobs += messages.len();
        let mut shares: Vec<Vec<Vec<Received>>> = vec![Vec::new(); WORKERS];
        let mut messages = messages.into_iter();
        for turn in (0..WORKERS).cycle() {
            let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            shares[turn].push(batch);
        }
        let mut working = JoinSet::new();
        for (worker, share) in self.world.workers.iter().zip(shares) {
            let process = worker.process(wired);
            working.spawn(async move {
                let mut done = Vec::new();
                for batch in share {
                    done.extend(handle(&process, batch).await);
                }
                done
            });
        }
        while let Some(done) = working.join_next().await {
            for (message, verdict) in done.unwrap() {
                hand_back(&self.world, message, verdict);
            }
        }
    }

    fn set_weather(&self, tick: Tick, weather: Weather) {
        match weather {
            Weather::Fair => {}
            Weather::Throttled { minutes } => {
                let until = self.world.now() + SignedDuration::from_mins(minutes);
                self.world.stage.oura.throttle(Tier::Application, "", until);
            }
            Weather::Foul { request, how, one_in } => {
                let salt = (u64::from(tick.day) << 16) | u64::from(tick.minute);
                request.wire(&self.world).decide(move |seen| {
                    let bytes = seen.query.bytes().chain(seen.body.iter().copied());
                    let sum = bytes.fold(salt, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
                    (request.is(seen) && sum.is_multiple_of(one_in)).then(|| how.fault(request, seen))
                });
            }
        }
    }

    /// Stops the faults. Athletes who have to act do so, and then ticks must find every athlete healthy.
    async fn calm(&mut self) -> Result<(), Broken> {
        self.world.catch_up();
        let World { stage, athletes, .. } = &mut self.world;
        for one in athletes.iter_mut() {
            stage.oura.set_member(&one.person, true);
            one.member_again = None;
            one.tell(stage.clock.now(), "the faults stop");
        }
        self.world.let_lack(None);
        self.world.set_conditions(self.scale.habits());
        self.world.end_loans(true).await;
        // Longer than the longest hold, the next check of a lapsed membership, and the delay of any job.
        self.calm_tick(SignedDuration::from_hours(26)).await?;
        for athlete in 0..self.world.athletes.len() {
            let number = self.world.athletes[athlete].number;
            if self.world.waiting_for_athletes().await.contains(&number) {
                visit(&mut self.world, athlete).await;
                self.tally.visits += 1;
            }
        }
        let mut began = self.world.now();
        for _ in 0..CALM_TICKS {
            began = self.calm_tick(SignedDuration::from_mins(20)).await?;
        }
        self.world.table_is_sealed().await?;
        self.world.converged(began).await?;
        self.quiet().await
    }

    /// Runs one tick without faults; returns when it began.
    async fn calm_tick(&mut self, pause: SignedDuration) -> Result<Timestamp, Broken> {
        self.world.set_time(self.world.now() + pause);
        let _ = self.world.stage.process.enrol().await;
        let began = self.world.now();
        let _ = self.world.stage.process.tick().await;
        self.tally.ticks += 1;
        for _ in 0..ROUNDS {
            let messages = self.received().into_iter().map(|(_, message)| message).collect();
            self.work_plainly(messages, false).await;
        }
        scene::heal(&self.world);
        self.world.check(began).await?;
        Ok(began)
    }

    /// Checks that some tick costs four requests to Oura per athlete and none to Smartabase. New nights and refreshes
    /// disturb a tick, so several ticks may be needed.
    async fn quiet(&mut self) -> Result<(), Broken> {
        let mut how = String::new();
        for _ in 0..QUIET_TICKS {
            let _ = self.world.stage.cost();
            self.world.set_time(self.world.now() + SignedDuration::from_secs(1));
            let _ = self.world.stage.process.tick().await;
            let messages = self.received().into_iter().map(|(_, message)| message).collect();
            self.work_plainly(messages, true).await;
            let cost = self.world.stage.cost();
            let collections = cost.oura.count("GET", "/v2/usercollection/");
            if cost.smartabase.is_empty() && collections == 4 * self.world.athletes.len() {
                return log_is_sealed();
            }
            let asked: Vec<_> = cost.smartabase.entries.iter().map(|request| &request.path).collect();
            how = format!("{collections} requests to Oura, {asked:?} to Smartabase");
        }
        Err(Broken { promise: "an unchanged athlete costs four requests", athlete: None, how })
    }

    fn sum_up(mut self) -> Tally {
        for one in &self.world.athletes {
            let grants = self.world.stage.oura.grants(&one.person);
            self.tally.refreshes += grants.iter().map(|grant| grant.generation).sum::<u64>();
            self.tally.lost += one.lost;
        }
        let forms = [crate::NIGHTS, crate::DAYS];
        self.tally.events = forms.into_iter().map(|form| self.world.stage.smartabase.events(form).len()).sum();
        self.tally
    }

    fn failure(&self, broken: Broken) -> Failure {
        let athlete = broken.athlete.and_then(|athlete| self.world.athletes.get(athlete));
        Failure {
            scale: self.scale.clone(),
            promise: broken.promise,
            how: broken.how,
            day: self.day,
            athlete: athlete.map(|athlete| athlete.number),
            tale: athlete.map(|athlete| athlete.tale.clone()).unwrap_or_default(),
        }
    }
}

/// Processes one batch; returns what to do with each message.
async fn handle(process: &Arc<Connector>, batch: Vec<Received>) -> Vec<(Received, Disposition)> {
    let messages = batch.iter().enumerate().map(|(position, message)| WorkerMessage {
        id: position.to_string(),
        body: message.body.clone(),
        receipt: None,
        attempts: message.attempts,
    });
    let verdicts = process.work(messages.collect(), Deadline::within(INVOCATION)).await;
    batch.into_iter().zip(verdicts.into_iter().map(|(_, verdict)| verdict)).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.scale.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let athletes = self.scale.athletes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        writeln!(f, "broken: {}", self.promise)?;
        writeln!(f, "        {}", self.how)?;
        let Scale { seed, days, ticks, .. } = self.scale;
        writeln!(
            f,
            "again:  cargo simulate --seed {seed} --days {days} --ticks {ticks} --only {athletes} --kinds {kinds}"
        )?;
        if let Some(athlete) = self.athlete {
            writeln!(f, "story of athlete {athlete}, until day {}:", self.day)?;
        }
        self.tale.iter().try_for_each(|line| writeln!(f, "        {line}"))
    }
}
