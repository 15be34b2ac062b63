//! One case: a scenario, one of its requests and how that request fails. Afterwards it checks everything that must
//! hold.

use std::fmt;
use std::time::Duration;

use e2e::{ADA, BEN, DAYS, LINKS, NIGHTS, keeps_secrets, told_truly};
use sim::oura::Violation;
use store::Status;

use crate::failure_mode::{FailureMode, Then};
use crate::harness::{Harness, PERIOD};
use crate::request::{Remote, Target};
use crate::scenario::Scenario;

/// After how many periods, at most, the state must be correct again.
const ROUNDS: usize = 16;

/// What fails, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) target: Target,
    pub(crate) way: FailureMode,
    /// Whether the database client retries failed requests, as it does when deployed.
    pub(crate) patient: bool,
}

/// A scenario and what fails in it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) strike: Option<Strike>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario.name())?;
        let Some(Strike { target, way, patient }) = &self.strike else { return write!(f, " / unharmed") };
        write!(f, " / {target} / {}{}", way.name(), if *patient { ", repeated" } else { "" })
    }
}

/// The two athletes of every scenario.
const ATHLETES: [(i64, &str, &str); 2] = [(ADA, "ada", "uuid-ada"), (BEN, "ben", "uuid-ben")];

impl Case {
    /// Runs the case and returns the requests that the scenario made.
    ///
    /// Panics if a promise is broken.
    pub(crate) async fn run(&self) -> Vec<Target> {
        let mut house = self.scenario.open(self.strike.as_ref().is_some_and(|strike| strike.patient)).await;
        house.begin(self.strike.as_ref().map(|strike| (strike.target.clone(), strike.way)));
        let mut done = self.scenario.act(&mut house).await;
        let (seen, struck) = house.watch.end();
        if let Some(Strike { target, .. }) = &self.strike {
            // How often the staff forms are written depends on which of two requests is first. All other requests are
            // the same in every run.
            let made = struck || target.is_telling();
            assert!(made, "the request was never made; these were: {}", list(&seen));
        }
        self.isolated(&house).await;
        let lost = self.lost(&house).await;
        self.settle(&mut house, &mut done, &lost).await;
        self.reconnect(&mut house, &lost).await;
        self.must_be_true(&house, &lost).await;
        seen
    }

    /// Runs ticks until there is nothing left to do.
    async fn settle(&self, house: &mut Harness, done: &mut Option<()>, lost: &[&str]) {
        for _ in 0..ROUNDS {
            house.stage.pass(PERIOD);
            let _ = house.stage.cost();
            if done.is_none() {
                *done = self.scenario.insist(house).await;
            }
            house.tick().await;
            house.work_until(house.stage.clock.now() + PERIOD).await;
            let cost = house.stage.cost();
            if done.is_some() && cost.smartabase.is_empty() && is_quiet(house, lost).await {
                return;
            }
        }
        let mut states = Vec::new();
        for (_, _, uuid) in ATHLETES {
            if let Some(connection) = house.connection(uuid).await {
                states.push(connection);
            }
        }
        panic!("not quiet after {ROUNDS} rounds; {} messages, {states:?}", house.stage.process.waiting.len());
    }

    /// Athletes whose valid refresh token is neither in the table nor on the queue. That can happen when the response
    /// to a refresh is lost, or when a process dies before it has stored the token. Only these athletes may be asked to
    /// connect again.
    async fn lost(&self, house: &Harness) -> Vec<&'static str> {
        let may_lose = self.strike.as_ref().is_some_and(|Strike { target, way, .. }| {
            way.then() == Some(Then::Die) || (target.is_refresh() && way.arrives())
        });
        let mut lost = Vec::new();
        if may_lose {
            // Requests that the dead process had already sent for the other athlete may still be processed.
            tokio::time::sleep(Duration::from_millis(20)).await;
            for (_, person, uuid) in ATHLETES {
                let grants = house.stage.oura.grants(person);
                // A grant that was never refreshed is one that a visit failed to store. The athlete repeats the visit.
                let living = grants.iter().rfind(|grant| !grant.revoked && grant.generation > 0);
                if let Some(token) = living.and_then(|grant| grant.refresh_token.as_deref())
                    && !house.holds(uuid, token).await
                {
                    lost.push(uuid);
                }
            }
        }
        lost
    }

    /// One athlete's failure does not affect the other. At most one of the two is not synced at once, unless the
    /// process died or the request was for both.
    async fn isolated(&self, house: &Harness) {
        let Some(strike) = &self.strike else { return };
        let shared = strike.way.then().is_some()
            || (strike.way == FailureMode::Throttled && strike.target.remote != Remote::Table)
            || (strike.target.remote == Remote::Table && !strike.target.what.contains("ATHLETE#uuid-"))
            || (strike.target.remote == Remote::Smartabase && !strike.target.what.contains(" of "))
            || strike.target.what.starts_with("BatchGetItem of 5");
        let both = matches!(
            self.scenario,
            Scenario::FirstSync
                | Scenario::ChangedNight
                | Scenario::Refresh
                | Scenario::RefusedToken
                | Scenario::Adoption
        );
        if shared || !both {
            return;
        }
        let mut served = 0;
        for (_, _, uuid) in ATHLETES {
            served += usize::from(house.connection(uuid).await.is_some_and(|connection| connection.digest.is_some()));
        }
        assert!(served > 0, "both athletes suffer");
    }

    /// An athlete whose refresh token was lost sees it on the page and connects again. Then everything works as before.
    async fn reconnect(&self, house: &mut Harness, lost: &[&str]) {
        for (user, person, uuid) in ATHLETES.into_iter().filter(|(_, _, uuid)| lost.contains(uuid)) {
            let Some(connection) = house.connection(uuid).await else { continue };
            if connection.status == Status::NeedsConsent {
                let page = house.look(user).await.unwrap();
                assert!(page.text.contains("Connect your Oura ring again"), "{}", page.text);
                let page = house.visit(user, person).await.unwrap();
                assert_eq!(page.status, 200, "{}", page.text);
                self.settle(house, &mut Some(()), lost).await;
            }
        }
    }

    async fn must_be_true(&self, house: &Harness, lost: &[&str]) {
        let stage = &house.stage;
        assert_eq!(stage.smartabase.duplicates(), []);
        assert_eq!(stage.smartabase.violations(), []);
        assert_eq!(stage.smartabase.refused_logins(), 0);
        let mut violations = stage.oura.violations();
        for (_, person, _) in ATHLETES.iter().filter(|(_, _, uuid)| lost.contains(uuid)) {
            // Sending the token once is the only way to find out that it was spent.
            let reused = |violation: &Violation| matches!(violation, Violation::RefreshTokenReused { person: name, .. } if name == person);
            if let Some(once) = violations.iter().position(reused) {
                violations.remove(once);
            }
        }
        assert_eq!(violations, []);
        assert_eq!(house.watch.hasty(), Vec::<String>::new(), "an access token was used before its pair was stored");
        assert_eq!(stage.process.waiting.bodies(), Vec::<String>::new());
        assert_eq!(stage.process.waiting.dead_letters(), []);
        keeps_secrets(stage).await;
        self.scenario.staff_are_undisturbed(stage);
        let (begin, end) = self.scenario.days();
        for (user, person, uuid) in ATHLETES {
            let connection = house.connection(uuid).await;
            let gone = self.scenario == Scenario::Disconnect && user == ADA;
            let never = self.scenario == Scenario::Enrol && user == ADA;
            let status = connection.as_ref().map(|connection| connection.status);
            match (gone, never) {
                (true, _) => {
                    assert_eq!(status, Some(Status::Disconnected));
                    assert!(
                        stage.oura.grants(person).iter().all(|grant| grant.revoked),
                        "a grant is left behind at Oura"
                    );
                }
                (_, true) => assert_eq!(status, None),
                _ => {
                    assert_eq!(status, Some(Status::Active), "{uuid}");
                    assert_eq!(connection.and_then(|connection| connection.note), None);
                    assert!(stage.oura.grants(person).iter().any(|grant| !grant.revoked), "no grant is alive");
                }
            }
            assert!(stage.smartabase.profile(user, LINKS).is_some(), "no link");
            if never {
                assert_eq!(
                    (stage.smartabase.events_of(user, NIGHTS), stage.smartabase.events_of(user, DAYS)),
                    (vec![], vec![])
                );
            } else {
                told_truly(stage, user, person, begin, end);
            }
        }
    }
}

/// Whether the only remaining action is one that an athlete must take.
async fn is_quiet(house: &Harness, lost: &[&str]) -> bool {
    let now = house.stage.clock.now();
    let mut quiet = house.stage.process.waiting.is_empty();
    for (_, _, uuid) in ATHLETES {
        let Some(connection) = house.connection(uuid).await else { continue };
        quiet &= connection.lease.is_none_or(|lease| lease.until <= now) && connection.refresh_begun.is_none();
        quiet &= match connection.status {
            Status::Active => connection.digest.is_some() && connection.backfill_from.is_none(),
            Status::NeedsConsent => lost.contains(&uuid),
            _ => true,
        };
    }
    quiet
}

/// Lists requests, one per line.
pub(crate) fn list(targets: &[Target]) -> String {
    targets.iter().flat_map(|target| ["\n  ".to_owned(), target.to_string()]).collect()
}
