//! The scenarios, as they go when nothing fails.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use connector::forms::Forms;
use e2e::{ADA, BEN, NIGHTS, living};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, ToSpan};
use local::{Cast, Stage, site_forms};
use sim::oura::{Kind, Life, Period};
use sim::smartabase::User;
use store::Status;

use crate::failure_mode::FailureMode;
use crate::harness::{Harness, PERIOD, Shown};
use crate::request::{Remote, Target};

/// A sequence of actions. In each case, one of its requests fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    FirstSync,
    Backfill,
    ChangedNight,
    DeletedEvent,
    KeptFields,
    Refresh,
    RefusedToken,
    Connect,
    Reconnect,
    Disconnect,
    Enrol,
    Rescue,
    Adoption,
    LateImport,
}

/// A field that the staff added, and what they wrote into it.
const COMMENT: &str = "Comment";
const WORDS: &str = "flew in from Lima";

/// The site carries the late import out after twice this time. Syncs that are retried run after the first half. Both
/// halves together are shorter than a lease, which lasts a minute longer than an invocation.
const LATE: SignedDuration = SignedDuration::from_secs(45);

const TODAY: Date = date(2026, 3, 3);

/// Oura's day of the night that Oura revises.
const REVISED: Date = date(2026, 3, 2);

impl Scenario {
    pub(crate) const ALL: [Self; 14] = [
        Self::FirstSync,
        Self::Backfill,
        Self::ChangedNight,
        Self::DeletedEvent,
        Self::KeptFields,
        Self::Refresh,
        Self::RefusedToken,
        Self::Connect,
        Self::Reconnect,
        Self::Disconnect,
        Self::Enrol,
        Self::Rescue,
        Self::Adoption,
        Self::LateImport,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FirstSync => "first sync",
            Self::Backfill => "backfill",
            Self::ChangedNight => "changed night",
            Self::DeletedEvent => "deleted event",
            Self::KeptFields => "kept fields",
            Self::Refresh => "refresh",
            Self::RefusedToken => "refused token",
            Self::Connect => "connect",
            Self::Reconnect => "reconnect",
            Self::Disconnect => "disconnect",
            Self::Enrol => "enrol",
            Self::Rescue => "rescue",
            Self::Adoption => "adoption",
            Self::LateImport => "late import",
        }
    }

    /// The days of history that a new connection brings.
    fn history(self) -> i64 {
        match self {
            Self::Backfill => 32,
            Self::Connect | Self::Reconnect => 4,
            _ => 0,
        }
    }

    /// How many days before today Ada first wore her ring.
    fn worn(self) -> i64 {
        if self == Self::Backfill { 31 } else { 3 }
    }

    /// Oura's days for which the forms must agree with Oura in the end.
    pub(crate) fn days(self) -> (Date, Date) {
        (TODAY.saturating_sub(self.worn().days()), TODAY.saturating_add(1.day()))
    }

    /// Sets up the state before the requests that may fail.
    pub(crate) async fn open(self, patient: bool) -> Harness {
        let ada = User::new(ADA, "uuid-ada", "Ada", "Sample");
        let ben = User::new(BEN, "uuid-ben", "Ben", "Sample");
        let cast = Cast {
            people: vec![living("ada", "Europe/Berlin", Life::Blank), living("ben", "Europe/Berlin", Life::Blank)],
            users: if self == Self::Enrol { vec![ben] } else { vec![ada.clone(), ben] },
            variables: vec![("LOOKBACK_DAYS", "4".to_owned()), ("BACKFILL_DAYS", self.history().to_string())],
            ..Cast::new()
        };
        let mut house = Harness::open(cast, patient).await;
        for (person, days) in [("ada", self.worn()), ("ben", 2)] {
            for ago in 1..=days {
                house.stage.oura.live_regular_day(person, TODAY.saturating_sub(ago.days()));
            }
        }
        assert!(house.enrol().await);
        let ada_too = !matches!(self, Self::Connect | Self::Enrol);
        house.join(BEN, "ben").await;
        match self {
            Self::FirstSync => house.join(ADA, "ada").await,
            Self::Backfill => {
                house.told().await;
                house.join(ADA, "ada").await;
            }
            _ => {
                if ada_too {
                    house.join(ADA, "ada").await;
                }
                house.told().await;
            }
        }
        house.stage.pass(PERIOD);
        match self {
            Self::FirstSync | Self::Backfill | Self::Connect | Self::Disconnect => {}
            Self::ChangedNight => {
                house.revise("ada");
                house.revise("ben");
                house.both_sleep();
            }
            Self::LateImport => {
                house.revise("ada");
                house.both_sleep();
                house.watch.keep_import();
            }
            Self::DeletedEvent => {
                house.revise("ada");
                assert!(house.stage.smartabase.delete_event(house.revised(ADA)));
            }
            Self::KeptFields => {
                house.keep_comments().await;
                house.revise("ada");
                house.comment(ADA);
            }
            Self::Refresh => {
                house.stage.pass(SignedDuration::from_hours(24));
                house.both_sleep();
            }
            Self::RefusedToken => {
                for person in ["ada", "ben"] {
                    house.stage.oura.expire_access_tokens(person);
                }
                house.both_sleep();
            }
            Self::Reconnect => {
                house.stage.oura.withdraw("ada");
                house.tick().await;
                house.work_off().await;
                assert_eq!(house.connection("uuid-ada").await.unwrap().status, Status::NeedsConsent);
                house.sleeps("ada");
            }
            Self::Enrol => house.stage.smartabase.set_user(ada),
            Self::Rescue => {
                house.stage.pass(SignedDuration::from_hours(24));
                house.both_sleep();
                house.lose_the_table_while_saving().await;
            }
            Self::Adoption => {
                house.forget_everything().await;
                assert!(house.enrol().await);
                house.join(ADA, "ada").await;
                house.join(BEN, "ben").await;
            }
        }
        house
    }

    /// Runs the scenario. Returns `None` if a person did not succeed, as far as that person can see.
    pub(crate) async fn act(self, house: &mut Harness) -> Option<()> {
        match self {
            Self::FirstSync
            | Self::ChangedNight
            | Self::DeletedEvent
            | Self::KeptFields
            | Self::Refresh
            | Self::RefusedToken
            | Self::Adoption => {
                house.tick().await;
                house.work_off().await;
                Some(())
            }
            Self::LateImport => {
                house.tick().await;
                house.work_off().await;
                // By the time the site carries the import out, Oura has revised the night.
                house.revise_to("ada", 18_630);
                house.work_until(house.stage.clock.now() + LATE).await;
                house.stage.pass(LATE);
                if let Some(import) = house.watch.kept_import() {
                    import.carry_out(&house.stage).await;
                }
                Some(())
            }
            Self::Backfill => {
                house.work_off().await;
                Some(())
            }
            Self::Rescue => {
                house.work_off().await;
                // Jobs that came back still wait when the next tick comes, because the worker is behind.
                house.stage.pass(PERIOD);
                house.tick().await;
                house.work_off().await;
                Some(())
            }
            Self::Connect | Self::Reconnect | Self::Disconnect => {
                let done = self.insist(house).await;
                house.work_off().await;
                done
            }
            Self::Enrol => self.insist(house).await,
        }
    }

    /// Asserts that what the staff wrote is unchanged.
    pub(crate) fn staff_are_undisturbed(self, stage: &Stage) {
        if self == Self::KeptFields {
            let event = stage.smartabase.event_on(ADA, NIGHTS, REVISED.saturating_sub(1.day())).unwrap();
            assert_eq!(event.value(COMMENT), Some(WORDS));
        }
    }

    /// Does what a person repeats until a page confirms it.
    pub(crate) async fn insist(self, house: &mut Harness) -> Option<()> {
        let ok = |page: Option<Shown>| page.filter(|page| page.status == 200).map(drop);
        match self {
            Self::Connect | Self::Reconnect => ok(house.visit(ADA, "ada").await),
            Self::Disconnect => ok(house.disconnect(ADA).await),
            Self::Enrol => house.enrol().await.then_some(()),
            _ => Some(()),
        }
    }
}

impl Harness {
    async fn join(&mut self, user: i64, person: &str) {
        let page = self.visit(user, person).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text);
    }

    /// Adds a field of the staff to the form of the nights, and deploys a connector whose configuration keeps it.
    async fn keep_comments(&mut self) {
        let shipped = include_str!("../../../../infra/forms.toml");
        let told = shipped.replacen("start = \"21:00\"", &format!("keep = [\"{COMMENT}\"]\nstart = \"21:00\""), 1);
        let forms = Forms::parse(&told).unwrap();
        let mut nights = site_forms(&forms).swap_remove(0);
        assert_eq!(nights.name, NIGHTS);
        nights.fields.push(COMMENT.to_owned());
        self.stage.smartabase.set_form(nights);
        self.deploy(forms).await;
    }

    /// Fills in that field, as a coach does.
    fn comment(&self, user: i64) {
        let comment = (COMMENT.to_owned(), WORDS.to_owned());
        assert!(self.stage.smartabase.edit_event(self.revised(user), |event| event.rows[0].push(comment)));
    }

    /// Runs one tick and all its jobs.
    async fn told(&mut self) {
        self.tick().await;
        self.work_off().await;
    }

    /// Adds a night that ended this morning.
    fn sleeps(&self, person: &str) {
        let begins = TODAY.yesterday().unwrap().at(22, 30, 0, 0);
        let period = Period { kind: Kind::LongSleep, begins, minutes: 420, finished: true };
        self.stage.oura.put_period(person, TODAY, period);
    }

    /// Oura revises the night before last.
    fn revise(&self, person: &str) {
        self.revise_to(person, 18_030);
    }

    fn revise_to(&self, person: &str, seconds: i64) {
        self.stage.oura.revise_night(person, REVISED, |night| night["total_sleep_duration"] = seconds.into());
    }

    /// The event of that night.
    fn revised(&self, user: i64) -> i64 {
        self.stage.smartabase.event_on(user, NIGHTS, REVISED.saturating_sub(1.day())).unwrap().id
    }

    fn both_sleep(&self) {
        self.sleeps("ada");
        self.sleeps("ben");
    }

    /// The table stops answering while the worker saves Ada's refreshed grant, so the worker sends the grant to the
    /// queue.
    async fn lose_the_table_while_saving(&mut self) {
        let save = Target {
            remote: Remote::Table,
            what: "UpdateItem ATHLETE#uuid-ada/CONNECTION grant+token_url+expires_at+scopes".to_owned(),
            nth: 1,
        };
        self.begin(Some((save, FailureMode::HangsBefore)));
        self.tick().await;
        self.work().await;
        let (_, struck) = self.watch.end();
        assert!(struck);
        let bodies = self.stage.process.waiting.bodies();
        assert!(bodies.iter().any(|body| body.contains("rescue")), "{bodies:?}");
        self.forget_the_proof().await;
    }

    /// Deletes the row that says when the password was last accepted. Whether that was within a minute depends on how
    /// far the clock moved while a request hung, which differs between runs.
    async fn forget_the_proof(&self) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let key = [("pk", text("HOLD#smartabase")), ("sk", text("CREDENTIALS"))];
        self.forget(key.map(|(name, value)| (name.to_owned(), value)).into()).await;
    }

    /// Deletes every item of the table.
    async fn forget_everything(&self) {
        let table = self.stage.process.connector.store.table();
        let items = self.stage.dynamo.client().scan().table_name(table).send().await.unwrap();
        for mut item in items.items.unwrap() {
            item.retain(|name, _| name == "pk" || name == "sk");
            self.forget(item).await;
        }
    }

    /// Deletes the item with this key directly, not over the wire.
    async fn forget(&self, key: HashMap<String, AttributeValue>) {
        let table = self.stage.process.connector.store.table();
        self.stage.dynamo.client().delete_item().table_name(table).set_key(Some(key)).send().await.unwrap();
    }
}
