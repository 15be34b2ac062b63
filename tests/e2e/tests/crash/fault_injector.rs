//! Observes all three wires: gives every request a name, makes one of them fail, and checks when tokens are used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use e2e::{LateRequest, athlete};
use local::Stage;
use serde_json::Value;
use sim::wire::{Answer, Fault, Gate, Seen};
use store::{Keyring, SealPurpose, Sealed};

use crate::failure_mode::FailureMode;
use crate::request::{Remote, Target, what};

/// State of Ada's first import, which is answered 504 and carried out later.
#[derive(Default)]
enum Late {
    /// The site carries out imports before it answers.
    #[default]
    No,
    /// The next import will be kept back.
    Awaited,
    Kept(LateRequest),
}

/// Observes the wires; see the module.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Sight>>);

#[derive(Default)]
struct Sight {
    /// Whether requests are counted.
    watching: bool,
    counts: HashMap<(Remote, String), usize>,
    seen: Vec<Target>,
    aim: Option<(Target, FailureMode, Gate)>,
    struck: bool,
    late: Late,
    keyring: Option<Keyring>,
    /// Access tokens whose pair was sent to the table.
    kept: HashSet<String>,
    /// Requests that used an access token before its pair was sent to the table.
    hasty: Vec<String>,
}

impl Watch {
    /// Installs itself on the wires of a stage.
    pub(crate) async fn over(stage: &Stage) -> Self {
        let watch = Self::default();
        let keyring = stage.process.connector.secrets.keyring(e2e::deadline()).await.unwrap();
        watch.with(|sight| sight.keyring = Some((*keyring).clone()));
        let wires = [
            (Remote::Oura, &stage.oura_wire),
            (Remote::Smartabase, &stage.smartabase_wire),
            (Remote::Table, &stage.table_wire),
        ];
        for (remote, wire) in wires {
            let watch = watch.clone();
            wire.decide(move |seen| watch.with(|sight| sight.meet(remote, seen)));
        }
        watch
    }

    /// Starts counting requests. The request in `aim` fails.
    pub(crate) fn begin(&self, aim: Option<(Target, FailureMode, Gate)>) {
        self.with(|sight| {
            sight.watching = true;
            sight.struck = false;
            sight.aim = aim;
            sight.counts.clear();
            sight.seen.clear();
        });
    }

    /// Stops counting. No request fails from here on. Returns the requests counted, and whether the one aimed at
    /// failed.
    pub(crate) fn end(&self) -> (Vec<Target>, bool) {
        self.with(|sight| {
            sight.watching = false;
            (std::mem::take(&mut sight.seen), sight.struck)
        })
    }

    /// Answers Ada's first import with 504 and keeps it back, unless `aim` makes it fail in another way.
    pub(crate) fn keep_import(&self) {
        self.with(|sight| sight.late = Late::Awaited);
    }

    /// Takes the import that was kept back, so that the site can carry it out.
    pub(crate) fn kept_import(&self) -> Option<LateRequest> {
        self.with(|sight| match std::mem::take(&mut sight.late) {
            Late::Kept(import) => Some(import),
            Late::No | Late::Awaited => None,
        })
    }

    /// Requests that used an access token before its pair was stored.
    pub(crate) fn hasty(&self) -> Vec<String> {
        self.with(|sight| sight.hasty.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Sight) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl Sight {
    fn meet(&mut self, remote: Remote, seen: &Seen) -> Option<Fault> {
        let what = what(remote, seen);
        match remote {
            Remote::Table => self.keep(&serde_json::from_slice(&seen.body).unwrap_or_default()),
            Remote::Oura => self.is_kept(&what, seen),
            Remote::Smartabase => {}
        }
        if !self.watching {
            return None;
        }
        let nth = self.counts.entry((remote, what.clone())).or_default();
        *nth += 1;
        let target = Target { remote, what, nth: *nth };
        let struck = self.aim.as_ref().filter(|(aim, ..)| !self.struck && *aim == target);
        let fault = struck.map(|(_, way, gate)| way.fault(remote, gate));
        self.struck |= fault.is_some();
        let fault = fault.or_else(|| self.keep_back(&target, seen));
        self.seen.push(target);
        fault
    }

    fn keep_back(&mut self, target: &Target, seen: &Seen) -> Option<Fault> {
        let first = target.nth == 1 && target.what == "eventsimport nights of ada";
        if !first || !matches!(self.late, Late::Awaited) {
            return None;
        }
        self.late = Late::Kept(LateRequest::of(seen));
        Some(Fault::Answer(Answer::status(504)))
    }

    /// Opens every token pair in a write to the table.
    fn keep(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(sealed) = object.get("B").and_then(Value::as_str) {
                    self.open(sealed);
                }
                object.values().for_each(|value| self.keep(value));
            }
            Value::Array(list) => list.iter().for_each(|value| self.keep(value)),
            _ => {}
        }
    }

    fn open(&mut self, sealed: &str) {
        let Ok(sealed) = Sealed::from_base64(sealed) else { return };
        let keyring = self.keyring.as_ref().unwrap();
        let opened = ["uuid-ada", "uuid-ben"]
            .iter()
            .find_map(|uuid| keyring.open(SealPurpose::Grant, &athlete(uuid), &sealed).ok());
        let Some(opened) = opened else { return };
        let pair: Value = serde_json::from_slice(secrecy::ExposeSecret::expose_secret(&opened)).unwrap();
        self.kept.insert(pair["access"].as_str().unwrap().to_owned());
    }

    /// `personal_info` is exempt: a connect asks it before it stores the connection, which needs the account. If the
    /// process dies there, the athlete connects again.
    fn is_kept(&mut self, what: &str, seen: &Seen) {
        let bearer = seen.headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| !self.kept.contains(token)) && what != "personal_info" {
            self.hasty.push(what.to_owned());
        }
    }
}
