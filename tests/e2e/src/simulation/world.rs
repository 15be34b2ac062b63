//! The world of a story: both services, the table, the queue, several workers, and what the story itself knows of each
//! athlete.

use std::collections::BTreeSet;
use std::sync::Arc;

use connector::{Connector, Counters, CredentialGuard, Queue};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use local::{Cast, Stage, site_forms};
use runtime::{Clock, Given, Secrets};
use sim::oura::{Life, Person};
use sim::smartabase::User;
use store::{AthleteId, KeyVersion, Keyring, Store};
use url::Url;

use super::conditions::{Conditions, Outages};
use super::reconnect::{GUESTS, Guest};
use super::story::{Rotation, Scale, Tick};
use crate::{DAYS, NIGHTS};

/// How many processes work on the queue.
pub(crate) const WORKERS: usize = 3;

/// The day before the first.
pub(crate) const EVE: Date = Date::constant(2026, 3, 2);

/// Where the athletes live, by number. The zones are on both sides of the site, which is in UTC, and some change their
/// clocks within sixty days.
const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/Denver", "Asia/Kathmandu", "Australia/Melbourne", "UTC", "America/Lima"];

pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) workers: Vec<Worker>,
    pub(crate) athletes: Vec<Athlete>,
    pub(crate) guests: Vec<Guest>,
    /// The conditions since the tick began.
    pub(crate) conditions: Conditions,
    pub(crate) outages: Outages,
    pub(crate) vault: Vault,
    /// When nights were edited since the last check. What Oura showed in between may have been sent.
    pub(crate) edited: Vec<Timestamp>,
    /// The event form that is missing on the site.
    lacking: Option<&'static str>,
}

/// A process that works on the queue, with its own clock.
pub(crate) struct Worker {
    clock: Clock,
    /// How far its clock is ahead of the true time.
    pub(crate) ahead: SignedDuration,
    /// The process with all requests over the wires, where they can fail.
    pub(crate) wired: Arc<Connector>,
    /// The same process without the wires, for ticks without faults.
    direct: Arc<Connector>,
    /// Whether it still uses the secrets from before the last rotation.
    late: bool,
}

/// What the story knows of an athlete.
pub(crate) struct Athlete {
    pub(crate) number: u32,
    pub(crate) user: i64,
    pub(crate) person: String,
    pub(crate) id: AthleteId,
    /// What may be wrong with the connection since the last successful visit. Nothing else may be wrong.
    pub(crate) causes: BTreeSet<Cause>,
    /// The generations, counted at Oura, whose refresh token was used for an answer that no worker received.
    pub(crate) spent: BTreeSet<u64>,
    /// How often that happened.
    pub(crate) lost: usize,
    /// How often the athlete has edited a night.
    pub(crate) edits: u64,
    /// The evenings whose event staff have deleted.
    pub(crate) deleted: BTreeSet<Date>,
    /// Whether a fault may have left wrong records that no tick has corrected yet.
    pub(crate) disturbed: bool,
    /// Whether something in this tick may prevent a sync of the athlete.
    pub(crate) eventful: bool,
    /// The time since which nothing has prevented a sync of the athlete.
    pub(crate) uneventful_since: Option<Timestamp>,
    /// Whether an access token was used before the table was written after its issue.
    pub(crate) used_before_stored: bool,
    /// The day on which the membership is paid again.
    pub(crate) member_again: Option<u32>,
    /// What happened, for the reader of a failure.
    pub(crate) tale: Vec<String>,
}

/// Why an athlete may have to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The athlete has never connected.
    Unconnected,
    Withdrawn,
    ScopeWithdrawn,
    Disconnected,
    Lapsed,
    /// A refresh succeeded, and its answer was lost on the network or with the worker that had it.
    GrantLost,
    /// A guest has connected the athlete's ring.
    Lent,
}

/// The secrets, as the operator has them.
pub(crate) struct Vault {
    keys: Vec<KeyVersion>,
    client_secret: String,
    password: String,
}

impl World {
    pub(crate) async fn set(scale: &Scale) -> Self {
        let athletes: Vec<_> = scale.athletes.iter().map(|number| Athlete::new(*number)).collect();
        let since = EVE.saturating_sub(40.days());
        let person = |athlete: &Athlete| {
            let zone = ZONES[athlete.number as usize % ZONES.len()];
            // Every fourth athlete has a regular life, the others a varied one.
            let life = if athlete.number.is_multiple_of(4) { Life::Regular { since } } else { Life::Varied { since } };
            Person::new(&athlete.person, &athlete.person, zone).living(life)
        };
        let guests: Vec<_> = (0..GUESTS).map(Guest::new).collect();
        let users = athletes.iter().map(|one| (one.user, &one.id, one.number.to_string()));
        let users = users.chain(guests.iter().map(|guest| (guest.user, &guest.id, "Guest".to_owned())));
        let settings =
            sim::oura::Settings { revocation_ends: scale.revocation_ends(), ..sim::oura::Settings::default() };
        let stage = Stage::set(Cast {
            now: instant(Tick { day: 0, minute: 0 }),
            people: athletes.iter().map(person).collect(),
            users: users.map(|(user, id, name)| User::new(user, id.as_str(), "Player", &name)).collect(),
            oura: settings,
            ..Cast::new()
        })
        .await
        .unwrap();
        let vault = Vault {
            keys: vec![KeyVersion { id: "first".to_owned(), secret: "the root key of the stage".into() }],
            client_secret: "client-secret".to_owned(),
            password: "api-password".to_owned(),
        };
        let workers = (0..WORKERS).map(|_| Worker::beside(&stage, &vault)).collect();
        Self {
            stage,
            workers,
            athletes,
            guests,
            conditions: Conditions::FINE,
            outages: Outages::default(),
            vault,
            edited: Vec::new(),
            lacking: None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stage.clock.now()
    }

    /// Moves the true time to `instant`, and all clocks with it.
    pub(crate) fn set_time(&self, instant: Timestamp) {
        self.stage.clock.advance(instant.duration_since(self.now()));
        for worker in &self.workers {
            worker.clock.advance((instant + worker.ahead).duration_since(worker.clock.now()));
        }
    }

    /// Today's date at the site.
    pub(crate) fn today(&self) -> Date {
        self.now().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Replaces a secret at the service, then in the installation. The workers for which `late` is true do not see the
    /// new one yet.
    pub(crate) fn rotate(&mut self, rotation: Rotation, late: impl Fn(usize) -> bool) {
        let number = self.vault.keys.len();
        match rotation {
            Rotation::RootKey => {
                let secret = format!("the root key of the stage, version {number}");
                self.vault.keys.push(KeyVersion { id: format!("version-{number}"), secret: secret.into() });
            }
            Rotation::OuraSecret => {
                self.vault.client_secret.push('+');
                let secret = self.vault.client_secret.clone();
                self.stage.oura.configure(|settings| settings.client_secret = secret);
            }
            Rotation::Password => {
                self.vault.password.push('+');
                self.stage.smartabase.set_password(&self.vault.password);
            }
        }
        self.vault.give(self.stage.secrets().unwrap());
        for (number, worker) in self.workers.iter_mut().enumerate() {
            worker.late = late(number);
            if worker.late && rotation == Rotation::RootKey {
                // A late worker seals with the version it has, and reads the new version when it meets it.
                worker.each(|given| given.replace_keyring(self.vault.keyring(self.vault.keys.len() - 2)));
            } else if !worker.late {
                worker.each(|given| self.vault.give(given));
            }
        }
    }

    /// Removes one of the site's two event forms, or none, and restores the other.
    pub(crate) fn let_lack(&mut self, form: Option<usize>) {
        let lacking = form.map(|form| [NIGHTS, DAYS][form]);
        if lacking == self.lacking {
            return;
        }
        let now = self.now();
        let forms = site_forms(&self.stage.process.connector.forms);
        for form in forms.into_iter().filter(|form| [NIGHTS, DAYS].contains(&form.name.as_str())) {
            if lacking == Some(form.name.as_str()) {
                self.stage.smartabase.remove_form(&form.name);
            } else {
                self.stage.smartabase.set_form(form);
            }
        }
        for one in &mut self.athletes {
            one.tell(now, format!("the site lacks {lacking:?}"));
        }
        self.lacking = lacking;
    }

    /// Whether the site has every form.
    pub(crate) fn has_every_form(&self) -> bool {
        self.lacking.is_none()
    }

    /// Gives the late workers the new secrets.
    pub(crate) fn catch_up(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| worker.late) {
            worker.late = false;
            worker.each(|given| self.vault.give(given));
        }
    }
}

/// The time of a tick.
pub(crate) fn instant(tick: Tick) -> Timestamp {
    let midnight = EVE.saturating_add((i64::from(tick.day) + 1).days()).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    midnight.timestamp() + SignedDuration::from_mins(i64::from(tick.minute))
}

impl Worker {
    fn beside(stage: &Stage, vault: &Vault) -> Self {
        let clock = Clock::manual(stage.clock.now());
        let model = &stage.process.connector;
        let build = |direct: bool| {
            let mut settings = model.settings.clone();
            let mut store = model.store.clone();
            if direct {
                settings.site = smartabase::Site::parse(&stage.smartabase.url()).unwrap();
                // Requests for tokens still use the wire, because a grant names the address that issued it.
                settings.oura.api = Url::parse(&stage.oura.url()).unwrap();
                store = Store::new(stage.dynamo.client(), store.table());
            }
            Arc::new(Connector {
                oura: oura::Client::new(settings.oura.clone()).unwrap(),
                smartabase: smartabase::Client::new(settings.site.clone()).unwrap(),
                store,
                queue: Queue::InProcess(stage.process.waiting.clone()),
                forms: model.forms.clone(),
                secrets: Secrets::Given(vault.given()),
                clock: clock.clone(),
                credential_guard: CredentialGuard::default(),
                counters: Counters::default(),
                settings,
            })
        };
        Self { wired: build(false), direct: build(true), clock, ahead: SignedDuration::ZERO, late: false }
    }

    /// The process with the wires or without.
    pub(crate) fn process(&self, wired: bool) -> Arc<Connector> {
        Arc::clone(if wired { &self.wired } else { &self.direct })
    }

    /// Moves only this worker's clock. Call it with `-by` to move it back.
    pub(crate) fn jump(&self, by: SignedDuration) {
        self.clock.advance(by);
    }

    fn each(&self, change: impl Fn(&Given)) {
        for process in [&self.wired, &self.direct] {
            if let Secrets::Given(given) = &process.secrets {
                change(given);
            }
        }
    }
}

impl Athlete {
    fn new(number: u32) -> Self {
        Self {
            number,
            user: 2001 + i64::from(number),
            person: format!("p{number}"),
            id: AthleteId::parse(&format!("uuid-{number}")).unwrap(),
            causes: [Cause::Unconnected].into(),
            spent: BTreeSet::new(),
            lost: 0,
            disturbed: false,
            eventful: false,
            uneventful_since: None,
            used_before_stored: false,
            edits: 0,
            deleted: BTreeSet::new(),
            member_again: None,
            tale: Vec::new(),
        }
    }

    pub(crate) fn tell(&mut self, at: Timestamp, what: impl Into<String>) {
        self.tale.push(format!("{}  {}", at.strftime("%d %b %H:%M:%S"), what.into()));
    }
}

impl Vault {
    /// The keyring of a worker that seals with the version at `current` and can open all versions.
    fn keyring(&self, current: usize) -> Keyring {
        let current = current.min(self.keys.len() - 1);
        let mut keyring = Keyring::new(self.keys[current].clone());
        for (number, version) in self.keys.iter().enumerate() {
            if number != current {
                keyring.add(version.clone());
            }
        }
        keyring
    }

    /// The keyring that seals with the newest version.
    pub(crate) fn newest(&self) -> Keyring {
        self.keyring(self.keys.len() - 1)
    }

    fn given(&self) -> Given {
        let oura = oura::ClientCredentials {
            client_id: "client".to_owned(),
            client_secret: self.client_secret.clone().into(),
        };
        let smartabase =
            smartabase::Credentials { username: "api.account".to_owned(), password: self.password.clone().into() };
        Given::new(oura, smartabase, self.newest())
    }

    fn give(&self, given: &Given) {
        given.replace_oura(oura::ClientCredentials {
            client_id: "client".to_owned(),
            client_secret: self.client_secret.clone().into(),
        });
        given.replace_smartabase(smartabase::Credentials {
            username: "api.account".to_owned(),
            password: self.password.clone().into(),
        });
        given.replace_keyring(self.newest());
    }
}
