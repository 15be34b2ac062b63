//! Checks the Smartabase site: the account, the athletes it can see, their UUIDs, and the forms.

use std::collections::{BTreeMap, HashSet};

use connector::Connector;
use connector::forms::Wanted;
use connector::forms::check::{Fault, Finding};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use smartabase::{Credentials, Error, FormKind, Roster, UserId};
use store::AthleteId;

use super::checkup::Checkup;
use super::table::Memory;
use crate::forms::{survey, unoffered};
use crate::installation::soon;
use crate::remote_errors::{self, Keeper};

const SIGN_IN: &str = "smartabase-sign-in";
const ROSTER: &str = "roster";
const GROUP: &str = "group";
const UUIDS: &str = "uuids";
const FORMS: &str = "forms";
const READING: &str = "forms-reading";

/// The checks of this file, in order.
pub(super) const CHECKS: [&str; 6] = [SIGN_IN, ROSTER, GROUP, UUIDS, FORMS, READING];

/// The site, and the account that the installation uses there.
struct Visit<'a> {
    connector: &'a Connector,
    account: &'a Credentials,
}

pub(super) async fn check(checkup: &mut Checkup, connector: &Connector, account: Option<&Credentials>, memory: Memory) {
    let Some(account) = account else { return checkup.skip_all(&CHECKS, "smartabase-secret") };
    if memory == Memory::SmartabaseOnHold {
        return checkup.skip_all(&CHECKS, "smartabase-hold");
    }
    let visit = Visit { connector, account };
    if !visit.signs_in(checkup).await {
        return checkup.skip_all(CHECKS.get(1..).unwrap_or_default(), SIGN_IN);
    }
    let somebody = visit.people(checkup).await;
    let findings = visit.forms(checkup).await;
    visit.reading(checkup, somebody, &findings).await;
}

impl Visit<'_> {
    /// Signs in with exactly one request, whatever its outcome.
    async fn signs_in(&self, checkup: &mut Checkup) -> bool {
        match self.connector.smartabase.sign_in(self.account, soon().instant()).await {
            Ok(()) => {
                checkup.pass(SIGN_IN, format!("{} lets the account in", self.connector.smartabase.site()));
                true
            }
            Err(error) => {
                self.failed(checkup, SIGN_IN, &error);
                false
            }
        }
    }

    /// Reads the roster. Returns one athlete, if there is any.
    async fn people(&self, checkup: &mut Checkup) -> Option<UserId> {
        let roster = match self.connector.smartabase.roster(self.account, soon().instant()).await {
            Ok(roster) => roster,
            Err(error) => {
                self.failed(checkup, ROSTER, &error);
                checkup.skip_all(&[GROUP, UUIDS], ROSTER);
                return None;
            }
        };
        let unread = roster.unreadable.first().map_or(String::new(), |first| {
            format!(
                "; {} of the answer can't be read, the first: {}",
                counted(roster.unreadable.len(), "entry"),
                first.what
            )
        });
        checkup.pass(ROSTER, format!("the account sees {}{unread}", counted(roster.users.len(), "user")));
        let group = match &self.connector.settings.group {
            None => {
                checkup.pass(GROUP, "no group is set: everybody the account sees takes part");
                Some(None)
            }
            Some(name) => self.members(checkup, name).await.map(Some),
        };
        match group {
            None => checkup.skip(UUIDS, GROUP),
            Some(group) => uuids(checkup, &roster, group.as_ref()),
        }
        roster.users.first().map(|user| user.id)
    }

    async fn members(&self, checkup: &mut Checkup, name: &str) -> Option<HashSet<UserId>> {
        match self.connector.smartabase.group_members(self.account, name, soon().instant()).await {
            Ok(members) if members.is_empty() => {
                let says = format!("the group {name:?} has no members, or there is none of this name");
                checkup.fail(GROUP, "group-empty", says, "correct SmartabaseGroup, letter for letter");
                None
            }
            Ok(members) => {
                checkup.pass(GROUP, format!("the group {name:?} has {}", counted(members.len(), "member")));
                Some(members.into_iter().collect())
            }
            Err(error) => {
                self.failed(checkup, GROUP, &error);
                None
            }
        }
    }

    /// Compares the forms with forms.toml. Returns the findings, if the site shows its forms.
    async fn forms(&self, checkup: &mut Checkup) -> Vec<Finding> {
        let (site, forms) = (&self.connector.smartabase, &self.connector.forms);
        match survey(site, self.account, forms).await {
            Ok(findings) if findings.is_empty() => {
                checkup.pass(FORMS, format!("{} are as forms.toml has them", counted(forms.wanted().len(), "form")));
                findings
            }
            Ok(findings) => {
                for finding in &findings {
                    checkup.fail(FORMS, finding.name(), finding.to_string(), finding.remedy());
                }
                findings
            }
            Err(error) if unoffered(&error) => {
                let says = format!("{} does not show its forms to this account ({error})", site.site());
                let remedy =
                    "compare them by eye with `connector forms spec`, or ask Teamworks support for the v3 interface";
                checkup.unknown(FORMS, says, remedy);
                Vec::new()
            }
            Err(error) => {
                self.failed(checkup, FORMS, &error);
                Vec::new()
            }
        }
    }

    /// Reads each form as a sync does, for one user and today. Write permission only shows in a real write.
    async fn reading(&self, checkup: &mut Checkup, somebody: Option<UserId>, findings: &[Finding]) {
        let Some(user) = somebody else { return checkup.skip(READING, ROSTER) };
        // An earlier check has already reported missing forms.
        let missing = |form: &Wanted<'_>| findings.iter().any(|finding| finding.form == *form.form && is_none(finding));
        let mut read = 0;
        for form in self.connector.forms.wanted().iter().filter(|form| !missing(form)) {
            match self.read(form, user).await {
                Ok(()) => read += 1,
                Err(Error::Forbidden) => {
                    let says = format!("the account may not read the form {:?}", form.form.as_str());
                    let remedy = "give the account permission to read and write it, for every athlete";
                    checkup.fail(READING, "form-forbidden", says, remedy);
                }
                Err(error) => self.failed(checkup, READING, &error),
            }
        }
        if read > 0 {
            checkup.pass(READING, format!("{} can be read; writing shows at the first sync", counted(read, "form")));
        }
    }

    async fn read(&self, form: &Wanted<'_>, user: UserId) -> Result<(), Error> {
        let (site, deadline) = (&self.connector.smartabase, soon().instant());
        match form.kind {
            FormKind::Event => {
                let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
                site.events(self.account, form.form, user, today, today, deadline).await.map(drop)
            }
            FormKind::Profile => site.profiles(self.account, form.form, &[user], deadline).await.map(drop),
        }
    }

    fn failed(&self, checkup: &mut Checkup, check: &'static str, error: &Error) {
        checkup.explained(
            check,
            remote_errors::site(self.connector.smartabase.site(), Keeper::of(&self.connector.secrets), error),
        );
    }
}

/// Whether a finding means that the form can't be read.
fn is_none(finding: &Finding) -> bool {
    matches!(finding.fault, Fault::NoForm { .. } | Fault::WrongKind { .. } | Fault::SeveralForms)
}

/// Checks that every athlete has a UUID of their own.
fn uuids(checkup: &mut Checkup, roster: &Roster, group: Option<&HashSet<UserId>>) {
    let mut athletes: BTreeMap<AthleteId, usize> = BTreeMap::new();
    let mut without = 0;
    for user in roster.users.iter().filter(|user| group.is_none_or(|group| group.contains(&user.id))) {
        match user.uuid.as_deref().map(AthleteId::parse) {
            Some(Ok(athlete)) => *athletes.entry(athlete).or_default() += 1,
            Some(Err(_)) | None => without += 1,
        }
    }
    let shared: Vec<_> = athletes.iter().filter(|(_, users)| **users > 1).map(|(id, _)| id.to_string()).collect();
    if athletes.is_empty() {
        let says = format!("none of {} has a UUID, so nobody can be told from anybody else", counted(without, "user"));
        let remedy = "ask Teamworks support to enable UUIDs for the site, then give each athlete one";
        checkup.fail(UUIDS, "no-uuids", says, remedy);
    } else if !shared.is_empty() {
        let says = format!(
            "several users share {} ({}): none of them takes part",
            counted(shared.len(), "UUID"),
            named(&shared)
        );
        checkup.fail(UUIDS, "uuid-shared", says, "give each athlete a UUID of their own");
    } else {
        let rest = if without > 0 {
            format!("; {} left out for want of one", counted(without, "user"))
        } else {
            String::new()
        };
        checkup.pass(UUIDS, format!("{} with a UUID of their own{rest}", counted(athletes.len(), "athlete")));
    }
}

/// The first few names.
fn named(names: &[String]) -> String {
    const NAMED: usize = 5;
    let first = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// “1 form”, “3 forms”.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
