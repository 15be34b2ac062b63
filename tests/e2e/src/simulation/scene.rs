//! A scene: one job of one athlete, and what goes wrong with it. No other job runs at the same time, unless the scene
//! starts it. So the story decides what happens, and not the order in which requests happen to come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::{Connector, Disposition, Received, WorkerMessage};
use jiff::SignedDuration;
use runtime::Deadline;
use serde_json::{Value, json};
use sim::wire::{Answer, Fault, Gate, Seen, Wire};
use tokio::task::JoinHandle;

use super::story::{Adventure, Break, Meanwhile, Request, Spot};
use super::visit::visit;
use super::world::{Cause, World};

/// How long one invocation may take, as the template sets it for the worker.
const INVOCATION: Duration = Duration::from_mins(1);

/// How long a message whose worker died stays invisible, as the template sets it.
const INVISIBLE: Duration = Duration::from_mins(6);

/// Longer than a lease lasts, even if the other worker's clock is three quarters of a minute behind.
const LEASE_OVER: SignedDuration = SignedDuration::from_secs(200);

/// The requests of a scene that show how a refresh went, in order.
type Course = Arc<Mutex<Vec<Step>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Refreshed,
    /// The table was updated.
    Written,
    UsedAccess,
}

/// Plays the adventure of an athlete's message; returns whether its fault occurred.
pub(crate) async fn play(
    world: &mut World,
    athlete: usize,
    message: Received,
    adventure: Adventure,
    one: usize,
    other: usize,
) -> bool {
    prepare(world, athlete, adventure);
    let before = generations(world, athlete);
    let course = watch(world);
    let first = Arc::clone(&world.workers[one].wired);
    let second = Arc::clone(&world.workers[other].wired);
    let now = world.now();
    world.athletes[athlete].tell(now, format!("{adventure:?}, workers {one} and {other}: {}", message.body));
    let (fired, died) = match adventure {
        Adventure::Fault { at, how } => {
            let fired = strike(world, at, how);
            let verdict = finished(start(first, &message)).await;
            hand_back(world, message, verdict);
            (fired.happened(), false)
        }
        Adventure::Death { at, after } => {
            let gate = stand_still(world, at, after);
            let mut working = start(first, &message);
            let died = tokio::select! {
                biased;
                verdict = &mut working => {
                    hand_back(world, message.clone(), verdict.unwrap());
                    false
                }
                () = gate.reached() => true,
            };
            if died {
                working.abort();
                // The result is the cancellation.
                let _ = working.await;
                world.stage.process.waiting.put_back(message, INVISIBLE);
            }
            (died, died)
        }
        Adventure::Pause { at, after, meanwhile } => {
            let gate = stand_still(world, at, after);
            let mut working = start(first, &message);
            let stood = tokio::select! {
                biased;
                verdict = &mut working => {
                    hand_back(world, message.clone(), verdict.unwrap());
                    false
                }
                () = gate.reached() => true,
            };
            if stood {
                let joined = intervene(world, athlete, &message, meanwhile, &second, other).await;
                gate.open();
                let verdict = finished(working).await;
                hand_back(world, message.clone(), verdict);
                if let Some(joined) = joined {
                    let verdict = finished(joined).await;
                    hand_back(world, message, verdict);
                }
            }
            (stood, false)
        }
        Adventure::Race => {
            let (one, two) = (start(first, &message), start(second, &message));
            let (one, two) = (finished(one).await, finished(two).await);
            hand_back(world, message.clone(), one);
            hand_back(world, message, two);
            (true, false)
        }
    };
    heal(world);
    let course = course.lock().unwrap().clone();
    let alone = matches!(adventure, Adventure::Fault { .. } | Adventure::Death { .. });
    if alone && course.windows(2).any(|pair| pair == [Step::Refreshed, Step::UsedAccess]) {
        world.athletes[athlete].used_before_stored = true;
    }
    excuse(world, athlete, &before, adventure, fired, died, &course);
    world.athletes[athlete].disturbed = true;
    fired
}

/// Gives the job a reason to make the request at which the fault is to occur.
fn prepare(world: &mut World, athlete: usize, adventure: Adventure) {
    match adventure.spot().map(|spot| spot.request) {
        // An access token that stopped working is refreshed at any time.
        Some(Request::Token | Request::Table("UpdateItem")) => {
            world.stage.oura.expire_access_tokens(&world.athletes[athlete].person);
        }
        Some(Request::Import | Request::Search | Request::Table("TransactWriteItems")) | None => {
            world.edit_night(athlete, 1);
            world.sleep_early(athlete);
        }
        Some(_) => {}
    }
    // A change made now must not count as one made before the tick began.
    world.set_time(world.now() + SignedDuration::from_secs(1));
}

/// Plays what happens while the first worker is paused; returns the second worker if it has not finished.
async fn intervene(
    world: &mut World,
    athlete: usize,
    message: &Received,
    meanwhile: Meanwhile,
    second: &Arc<Connector>,
    other: usize,
) -> Option<JoinHandle<Disposition>> {
    match meanwhile {
        Meanwhile::Duplicate => {}
        Meanwhile::Superseded => {
            world.workers[other].jump(LEASE_OVER);
            let verdict = finished(start(Arc::clone(second), message)).await;
            world.workers[other].jump(-LEASE_OVER);
            hand_back(world, message.clone(), verdict);
            return None;
        }
        Meanwhile::Renewed => visit(world, athlete).await,
        Meanwhile::Disconnected => {
            disconnect(world, athlete).await;
            return None;
        }
        Meanwhile::Edited => {
            world.set_time(world.now() + SignedDuration::from_secs(1));
            world.edit_night(athlete, 1);
        }
    }
    // The second worker may have to wait for the first, so the first continues as soon as the second has tried to take
    // the lease.
    let mut once = false;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    world.stage.table_wire.decide(move |seen| {
        if seen.operation == "UpdateItem" && !std::mem::replace(&mut once, true) {
            let _ = tell.send(());
        }
        None
    });
    let mut joined = start(Arc::clone(second), message);
    tokio::select! {
        biased;
        verdict = &mut joined => {
            hand_back(world, message.clone(), verdict.unwrap());
            None
        }
        _ = told.recv() => Some(joined),
    }
}

/// Presses *Disconnect*.
pub(crate) async fn disconnect(world: &mut World, athlete: usize) {
    let now = world.now();
    let one = &mut world.athletes[athlete];
    one.tell(now, "disconnects");
    // The content of the page does not matter here: the checks read the table.
    let pressed = world.stage.disconnect(one.user).await;
    if pressed.is_ok() {
        one.causes.insert(Cause::Disconnected);
    }
}

fn start(process: Arc<Connector>, message: &Received) -> JoinHandle<Disposition> {
    let Received { body, attempts, .. } = message.clone();
    let batch = vec![WorkerMessage { id: "0".to_owned(), body, receipt: None, attempts }];
    tokio::spawn(async move {
        let verdicts = process.work(batch, Deadline::within(INVOCATION)).await;
        verdicts.into_iter().next().map_or(Disposition::Done, |(_, verdict)| verdict)
    })
}

async fn finished(working: JoinHandle<Disposition>) -> Disposition {
    working.await.unwrap()
}

pub(crate) fn hand_back(world: &World, message: Received, verdict: Disposition) {
    if let Disposition::RetryAfter(delay) = verdict {
        world.stage.process.waiting.put_back(message, delay);
    }
}

pub(crate) fn heal(world: &World) {
    for wire in [&world.stage.oura_wire, &world.stage.smartabase_wire, &world.stage.table_wire] {
        wire.heal();
        wire.take_log();
    }
    world.apply_conditions();
}

fn watch(world: &World) -> Course {
    let course = Course::default();
    let (kept, written) = (Arc::clone(&course), Arc::clone(&course));
    world.stage.table_wire.decide(move |seen| {
        if seen.operation == "UpdateItem" {
            written.lock().unwrap().push(Step::Written);
        }
        None
    });
    world.stage.oura_wire.decide(move |seen| {
        let step = if Request::Token.is(seen) { Step::Refreshed } else { Step::UsedAccess };
        kept.lock().unwrap().push(step);
        None
    });
    course
}

/// How often each grant of an athlete has been refreshed.
fn generations(world: &World, athlete: usize) -> Vec<u64> {
    world.stage.oura.grants(&world.athletes[athlete].person).iter().map(|grant| grant.generation).collect()
}

/// Records grants that the scene may have lost: with an answer that never came, or with a worker that died before it
/// could store the tokens. A grant whose access token was already used must not be lost.
fn excuse(
    world: &mut World,
    athlete: usize,
    before: &[u64],
    adventure: Adventure,
    fired: bool,
    died: bool,
    course: &[Step],
) {
    let unanswered = match adventure {
        Adventure::Fault { at: Spot { request: Request::Token, .. }, how } => {
            fired && matches!(how, Break::AnswerLost | Break::AnswerHalved | Break::UnwellAfterwards | Break::Html)
        }
        Adventure::Death { .. } => died && !used_last(course),
        _ => false,
    };
    if !unanswered {
        return;
    }
    let now = world.now();
    for (grant, generation) in generations(world, athlete).into_iter().enumerate() {
        if before.get(grant).is_some_and(|before| *before < generation) {
            let one = &mut world.athletes[athlete];
            one.tell(now, "the answer to a refresh died on its way");
            one.causes.insert(Cause::GrantLost);
            one.spent.insert(generation - 1);
            one.lost += 1;
        }
    }
}

/// Whether an access token was used after the last refresh.
fn used_last(course: &[Step]) -> bool {
    let last = course.iter().rposition(|step| *step == Step::Refreshed);
    last.is_none_or(|last| course[last..].contains(&Step::UsedAccess))
}

/// Whether the fault on a wire has occurred.
pub(crate) struct Fired(Arc<Mutex<bool>>);

impl Fired {
    pub(crate) fn happened(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

/// Lets the request at `at` fail.
pub(crate) fn strike(world: &World, at: Spot, how: Break) -> Fired {
    let (fired, mut count) = (Fired(Arc::default()), 0);
    let told = Arc::clone(&fired.0);
    at.request.wire(world).decide(move |seen| {
        if !at.request.is(seen) {
            return None;
        }
        count += 1;
        (count == at.nth).then(|| {
            *told.lock().unwrap() = true;
            how.fault(at.request, seen)
        })
    });
    fired
}

fn stand_still(world: &World, at: Spot, after: bool) -> Gate {
    let gate = Gate::new();
    let (held, mut count) = (gate.clone(), 0);
    at.request.wire(world).decide(move |seen| {
        count += u64::from(at.request.is(seen));
        let here = at.request.is(seen) && count == at.nth;
        here.then(|| if after { Fault::HoldAfter(held.clone()) } else { Fault::HoldBefore(held.clone()) })
    });
    gate
}

impl Request {
    pub(crate) fn wire(self, world: &World) -> &Wire {
        match self {
            Self::Collection(_) | Self::Person | Self::Token | Self::Revocation => &world.stage.oura_wire,
            Self::Search | Self::Import => &world.stage.smartabase_wire,
            Self::Table(_) => &world.stage.table_wire,
        }
    }

    pub(crate) fn is(self, seen: &Seen) -> bool {
        match self {
            Self::Collection(name) => seen.path.strip_prefix("/v2/usercollection/") == Some(name),
            Self::Person => seen.path.ends_with("/personal_info"),
            Self::Token => seen.path.ends_with("-token") || seen.path.ends_with("/token"),
            Self::Revocation => seen.path.ends_with("-revoke") || seen.path.ends_with("/revoke"),
            Self::Search => seen.path.ends_with("/eventsearch"),
            Self::Import => seen.path.ends_with("/eventsimport"),
            Self::Table(operation) => seen.operation == operation,
        }
    }
}

impl Break {
    pub(crate) fn fault(self, request: Request, seen: &Seen) -> Fault {
        if let Request::Table(_) = request {
            return self.of_the_table();
        }
        match self {
            Self::NeverArrives => Fault::DropBefore,
            Self::AnswerLost => Fault::DropAfter,
            Self::AnswerHalved => Fault::Truncate,
            Self::Unwell => Fault::Answer(Answer::status(503)),
            Self::UnwellAfterwards => Fault::Replace(Answer::status(500)),
            Self::Html => Fault::Replace(Answer::html()),
            Self::Throttled => {
                let answer = Answer::status(429).header("retry-after", "40");
                Fault::Answer(if request == Request::Token {
                    answer
                } else {
                    answer.header("x-ratelimit-tier", "token")
                })
            }
            Self::NothingNamed => {
                let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
                let form = &body["events"][0]["formName"];
                let result = json!({"state": "SUCCESSFULLY_IMPORTED", "message": "", "ids": []});
                Fault::Replace(Answer::json(&json!({
                    "result": {"state": "SUCCESSFULLY_IMPORTED"},
                    "eventImportResultForForm": [{"formName": form, "eventImportResults": result}],
                })))
            }
        }
    }

    /// The fault for a request to the table. The SDK itself repeats errors that may pass. It returns a refusal, which
    /// DynamoDB sends when a role has just been changed.
    fn of_the_table(self) -> Fault {
        let refusal = |code: &str| {
            let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"not now"}}"#);
            Answer::status(400).header("content-type", "application/x-amz-json-1.0").body(&body)
        };
        match self {
            Self::NeverArrives | Self::Unwell => Fault::Answer(refusal("AccessDeniedException")),
            Self::AnswerLost | Self::UnwellAfterwards | Self::Html | Self::NothingNamed => {
                Fault::Replace(refusal("AccessDeniedException"))
            }
            Self::AnswerHalved => Fault::DropAfter,
            Self::Throttled => Fault::Answer(refusal("ThrottlingException")),
        }
    }
}
