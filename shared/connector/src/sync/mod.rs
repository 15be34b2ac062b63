//! Syncs one athlete. This is the hot path, and it almost always finds nothing new.
//!
//! - **Window.** A tick fetches the last days ([`Connector::window`]). If the records have the same digest as at the
//!   last confirmed sync, the sync writes nothing. Otherwise it takes the athlete's lease and delivers the records that
//!   differ (`delivery`). It stores the new digest together with the last confirmation.
//! - **Missing days.** The connection stores the first day that the forms still lack (`backfill_from`). Backfill jobs
//!   deliver these days in chunks. If such a job is lost, every tick delivers one chunk.
//! - **What adds missing days.** Days that left the window while the athlete could not be synced are added by the first
//!   sync after the pause. A window that could not be delivered in full is added by the sync that found it so.
//!
//! **Invariant**: no day leaves the window unless it was delivered or is stored as missing.
//!
//! **Invariant**: a digest is stored only when every record of the window is confirmed, and removed before the first of
//! them is sent again.

mod fetch;

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use oura::Days;
use runtime::Deadline;
use store::{BackfillDebt, Claim, Connection, Fenced, Finish, Holds, Settle, Status, WindowDigest};

use crate::delivery::Delivery;
use crate::error::until;
use crate::forms::{self, DateRule, Documents, Record};
use crate::lease::Lease;
use crate::tokens::AuthorizedConnection;
use crate::{Connector, JobError};

/// How often a sync writes the connection of an unchanged athlete, to show that the athlete is still synced.
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(1);

/// Days of history per chunk. With two forms and the day before, this is well under the 100 records of one request.
const CHUNK: i64 = 31;

/// A pause of up to this many days needs no backfill. The data of those days is still in the window. Data that Oura
/// publishes late was looked for almost as long as usual.
const PAUSE: i64 = 2;

/// How long to wait before the next try when another worker holds the athlete's lease.
const BUSY: Duration = Duration::from_secs(10);

/// The result of a sync without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// Oura has no new data; no record was written.
    Unchanged,
    /// This many records were written to Smartabase, and all are confirmed.
    Wrote(usize),
    /// Some records could not be written or confirmed; the note says why and who must repair it.
    Partly {
        /// Records confirmed.
        wrote: usize,
        /// What the operator must repair, in words.
        note: String,
    },
    /// There was nothing to do; the text says why.
    Skipped(&'static str),
}

/// The result of a tick's sync, and whether it changed what the staff forms show of the connection.
pub(crate) struct Round {
    pub(crate) result: Result<Synced, JobError>,
    pub(crate) news: bool,
}

/// Which days a sync delivers, and so what its success proves.
#[derive(Clone, Copy)]
enum Goal {
    /// The days that every tick fetches.
    Window,
    /// A chunk of history, and the first day of the next chunk, if there is one.
    History(Option<Date>),
}

impl Connector {
    /// Syncs an athlete's window, and then one chunk of the missing days.
    pub(crate) async fn sync(&self, connection: Connection, holds: &Holds, deadline: Deadline) -> Round {
        if let Some(why) = self.idle(&connection, holds) {
            return Round { result: Ok(Synced::Skipped(why)), news: false };
        }
        if let Err(setback) = self.site_answers(holds, deadline).await {
            return Round { result: Err(setback), news: false };
        }
        let before = shown(&connection);
        let mut session = match self.session(connection, deadline).await {
            Ok(session) => session,
            Err(setback) => return Round { result: Err(setback), news: false },
        };
        let result = self.bring_window(&mut session, holds, deadline).await;
        let news = shown(&session.connection) != before;
        Round { result: self.end(session, result, deadline).await, news }
    }

    /// Delivers the first chunk of `days`. Returns also the first day of the next chunk, if there is one.
    pub(crate) async fn backfill(
        &self,
        connection: Connection,
        days: Days,
        holds: &Holds,
        deadline: Deadline,
    ) -> Result<(Synced, Option<Date>), JobError> {
        if let Some(why) = self.idle(&connection, holds) {
            return match self.pause(&connection, holds) {
                Some(after) => Err(JobError::Busy { after, why }),
                // The connection stores the missing days; they are delivered once the athlete has acted.
                None => Ok((Synced::Skipped(why), None)),
            };
        }
        self.site_answers(holds, deadline).await.map_err(|setback| setback.not_begun("Smartabase is down"))?;
        let (chunk, next) = chunk(days.first, days.last);
        let mut session = self.session(connection, deadline).await?;
        let synced = self.bring(&mut session, chunk, Goal::History(next), holds, deadline).await;
        Ok((self.end(session, synced, deadline).await?, next))
    }

    async fn bring_window(
        &self,
        session: &mut AuthorizedConnection,
        holds: &Holds,
        deadline: Deadline,
    ) -> Result<Synced, JobError> {
        let window = self.window();
        let synced = self.bring(session, window, Goal::Window, holds, deadline).await?;
        let Some(owed) = session.connection.backfill_from else { return Ok(synced) };
        let (days, next) = chunk(owed, window.last);
        // A problem with the window's records would also affect older ones, so no chunk is tried. If the same chunk was
        // tried less than an hour ago and the window is unchanged, it is not tried again yet.
        let in_vain = session.connection.brought.is_some_and(|brought| {
            brought.first == days.first && self.clock.now().duration_since(brought.at) < HEARTBEAT
        });
        match synced {
            Synced::Partly { .. } => return Ok(synced),
            Synced::Unchanged if in_vain => return Ok(synced),
            _ => {}
        }
        let more = self.bring(session, days, Goal::History(next), holds, deadline).await?;
        Ok(synced.and(more))
    }

    /// The first day that was not fetched for as many days as usual, because the last sync was more than [`PAUSE`] days
    /// ago. Causes are a lapsed membership, a refused password or a stopped function. Days before the athlete connected
    /// do not count, because a new connection has its own backfill.
    fn missed(&self, connection: &Connection) -> Option<Date> {
        let last = connection.last_sync.filter(|last| *last >= connection.connected_at)?;
        let (then, now) = (self.window_at(last).first, self.window().first);
        (then.saturating_add(PAUSE.days()) < now).then_some(then)
    }

    /// Ends a session: releases its lease. If the lease must run out instead, a failed job comes back after that.
    async fn end(
        &self,
        session: AuthorizedConnection,
        result: Result<Synced, JobError>,
        deadline: Deadline,
    ) -> Result<Synced, JobError> {
        let runs_out = session.lease.as_ref().and_then(Lease::runs_out);
        self.release(&session.connection.athlete, session.lease, deadline).await;
        match runs_out {
            Some(lease) => result.map_err(|setback| setback.no_sooner_than(until(lease, self.clock.now()))),
            None => result,
        }
    }

    async fn bring(
        &self,
        session: &mut AuthorizedConnection,
        days: Days,
        goal: Goal,
        holds: &Holds,
        deadline: Deadline,
    ) -> Result<Synced, JobError> {
        if session.connection.oura_user.is_none() {
            self.settle_owner(session, days, deadline).await?;
        }
        let documents = self.fetch(session, days, deadline).await?;
        let records = self.forms.records(&documents, days);
        let digest = forms::digest(&self.forms, &records);
        let athlete = session.connection.athlete.clone();
        let missed = self.missed(&session.connection);
        let unchanged = missed.is_none() && session.connection.digest.as_deref() == Some(digest.as_str());
        let now = self.clock.now();
        // Oura answered, so the old status and note are out of date. Problems with single records get a new note below.
        let Connection { generation, connected_at, status, note, backfill_from, .. } = &session.connection;
        let (generation, connected_at, status) = (*generation, *connected_at, *status);
        let mended = matches!(goal, Goal::Window) && unchanged && note.is_some() && backfill_from.is_none();
        if status != Status::Active {
            self.store.set_status(&athlete, generation, Status::Active, None, None, now, deadline.instant()).await?;
        } else if mended {
            self.store.set_note(&athlete, connected_at, None, deadline.instant()).await?;
        }
        if status != Status::Active || mended {
            session.connection.status = Status::Active;
            session.connection.note = None;
        }
        if matches!(goal, Goal::Window) && unchanged {
            if session.connection.last_sync.is_none_or(|last| now.duration_since(last) >= HEARTBEAT) {
                self.store.heartbeat(&athlete, now, deadline.instant()).await?;
            }
            return Ok(Synced::Unchanged);
        }
        for lost in &documents.unreadable {
            tracing::warn!(%athlete, collection = lost.collection, id = lost.id, field = lost.field, "unreadable document");
        }
        if let Some(until) = holds.smartabase.as_ref().map(|hold| hold.until).filter(|until| *until > now) {
            let wait = until.duration_since(now).unsigned_abs();
            return Err(JobError::retry(wait, "Smartabase refuses our credentials; waiting before the next attempt"));
        }
        let fence = self.lease(session, deadline).await?;
        let Some(lease) = session.lease.as_mut() else { return Err(JobError::Superseded) };
        let delivery = self.deliver(&session.connection, lease, &documents, &records, days, deadline).await?;
        let note = (!delivery.notes.is_empty()).then(|| delivery.notes.join("; "));
        let last_day = self.last_night(&records).max(session.connection.last_day);
        let finish = Finish {
            digest: match goal {
                Goal::Window if delivery.complete() => WindowDigest::Set(digest),
                Goal::Window => WindowDigest::Clear,
                Goal::History(_) => WindowDigest::Keep,
            },
            note: note.clone(),
            last_day,
            backfill: debt(goal, days, session.connection.backfill_from, missed, &delivery),
            // Only a sync of the whole window ends a pause; one that was cut short does not.
            synced: delivery.setback.is_none() && (matches!(goal, Goal::Window) || missed.is_none()),
            // Problems named in the note do not block the next chunk. After an error the same chunk is tried again.
            brought: (matches!(goal, Goal::History(_)) && delivery.setback.is_none())
                .then_some((days.first, days.last)),
            released: delivery.runs_out().is_none(),
            now: self.clock.now(),
        };
        let (debt, released) = (finish.backfill, finish.released);
        let Delivery { written, confirmed: wrote, setback, .. } = delivery;
        let user = session.connection.user_id;
        let confirmed = self.store.confirm(&athlete, user, fence, &written, finish, deadline.instant()).await?;
        if released {
            session.lease = None;
        }
        if matches!(confirmed, Fenced::Lost) {
            return Err(JobError::Superseded);
        }
        session.connection.note.clone_from(&note);
        session.connection.last_day = last_day;
        match debt {
            BackfillDebt::Keep => {}
            BackfillDebt::From(owed) => session.connection.backfill_from = Some(owed),
            BackfillDebt::Paid => session.connection.backfill_from = None,
        }
        match (setback, note) {
            (Some(setback), _) => Err(setback),
            (None, Some(note)) => Ok(Synced::Partly { wrote, note }),
            (None, None) if wrote == 0 => Ok(Synced::Unchanged),
            (None, None) => Ok(Synced::Wrote(wrote)),
        }
    }

    /// The fence of this session's lease: the one that a refresh took, or a new one on the connection as it was read.
    /// If another worker had the lease since that read, the claim fails, because the documents fetched here may be
    /// older than what that worker wrote.
    async fn lease(&self, session: &mut AuthorizedConnection, deadline: Deadline) -> Result<u64, JobError> {
        match session.lease.as_ref().map(|lease| (lease.fence(), lease.runs_out())) {
            None => {}
            Some((fence, None)) => return Ok(fence),
            Some((_, Some(runs_out))) => {
                let wait = until(runs_out, self.clock.now());
                return Err(JobError::retry(
                    wait,
                    "a request to Smartabase is in doubt; waiting for the lease to run out",
                ));
            }
        }
        match self.claim(&session.connection, deadline).await? {
            Claim::Won(connection) => {
                let fence = connection.fence;
                session.lease = Lease::of(&connection);
                session.connection = connection;
                Ok(fence)
            }
            Claim::Held { .. } | Claim::Unsettled { .. } => {
                Err(JobError::Busy { after: BUSY, why: "another worker is syncing this athlete" })
            }
            Claim::Moved | Claim::Gone => Err(JobError::Superseded),
        }
    }

    /// Stores which Oura account the grant opens, if Oura did not say so at connect because the membership had lapsed.
    async fn settle_owner(
        &self,
        session: &mut AuthorizedConnection,
        days: Days,
        deadline: Deadline,
    ) -> Result<(), JobError> {
        let user = self.oura_user(session, days, deadline).await?;
        let (athlete, generation) = (&session.connection.athlete, session.connection.generation);
        match self.store.settle_owner(athlete, generation, user.as_str(), deadline.instant()).await? {
            Settle::Settled => {
                session.connection.oura_user = Some(user.as_str().to_owned());
                Ok(())
            }
            Settle::Taken => Err(JobError::NeedsAthlete(Status::OuraAccountTaken)),
            Settle::Superseded => Err(JobError::Superseded),
        }
    }

    /// Why this athlete must not be synced now; `None` if the sync may go on.
    fn idle(&self, connection: &Connection, holds: &Holds) -> Option<&'static str> {
        let now = self.clock.now();
        match connection.status {
            Status::Disconnected => Some("disconnected"),
            Status::NeedsConsent if !Self::may_be_accepted_again(connection) => Some("waiting for the athlete"),
            Status::NeedsConsent if connection.held_until.is_none_or(|until| until > now) => {
                Some("waiting for the athlete; one look a day")
            }
            Status::ScopeMissing | Status::OuraAccountTaken => Some("waiting for the athlete"),
            Status::MembershipLapsed if connection.held_until.is_some_and(|until| until > now) => {
                Some("Oura gives this athlete no data; one look a day")
            }
            Status::Active | Status::MembershipLapsed | Status::NeedsConsent => {
                let held = connection.held_until.is_some_and(|until| until > now);
                let quiet = holds.oura.as_ref().is_some_and(|hold| hold.until > now);
                (held || quiet).then_some("Oura asked for a pause")
            }
        }
    }

    /// How long Oura has asked an active athlete's syncs to wait; `None` if the sync is skipped for another reason.
    fn pause(&self, connection: &Connection, holds: &Holds) -> Option<Duration> {
        let until = connection.held_until.max(holds.oura.as_ref().map(|hold| hold.until))?;
        (connection.status == Status::Active).then(|| until.duration_since(self.clock.now()).unsigned_abs())
    }

    /// The latest date of a night among the records.
    fn last_night(&self, records: &[Record]) -> Option<Date> {
        let night = |record: &&Record| {
            self.forms.events.get(record.form).is_some_and(|form| form.date == DateRule::EveningBefore)
        };
        records.iter().filter(night).map(|record| record.date).max()
    }
}

impl Synced {
    /// Combines two results into one.
    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Partly { wrote, note }, Self::Partly { wrote: more, note: other }) => {
                let note = if note == other { note } else { format!("{note}; {other}") };
                Self::Partly { wrote: wrote + more, note }
            }
            (Self::Partly { wrote, note }, more) | (more, Self::Partly { wrote, note }) => {
                Self::Partly { wrote: wrote + more.wrote(), note }
            }
            (Self::Unchanged | Self::Skipped(_), more) => more,
            (one, Self::Unchanged | Self::Skipped(_)) => one,
            (Self::Wrote(one), Self::Wrote(more)) => Self::Wrote(one + more),
        }
    }

    fn wrote(&self) -> usize {
        match self {
            Self::Wrote(wrote) | Self::Partly { wrote, .. } => *wrote,
            Self::Unchanged | Self::Skipped(_) => 0,
        }
    }
}

/// How a delivery changes the missing days. A window that could not be delivered in full is missing from its first day
/// on, because the problem may be repaired only after that day has left the window. The first sync after a pause adds
/// the days that the pause missed.
fn debt(goal: Goal, days: Days, owed: Option<Date>, missed: Option<Date>, delivery: &Delivery) -> BackfillDebt {
    let complete = delivery.complete();
    match goal {
        Goal::Window if delivery.setback.is_none() => {
            let since = missed.or((!complete).then_some(days.first));
            match (since, owed) {
                (Some(since), owed) => BackfillDebt::From(owed.map_or(since, |owed| owed.min(since))),
                (None, Some(owed)) if owed >= days.first => BackfillDebt::Paid,
                (None, _) => BackfillDebt::Keep,
            }
        }
        // An operator's resync of other days does not change the missing days.
        Goal::History(next) if complete && owed.is_some_and(|owed| days.contains(owed)) => {
            next.map_or(BackfillDebt::Paid, BackfillDebt::From)
        }
        Goal::Window | Goal::History(_) => BackfillDebt::Keep,
    }
}

/// The parts of a connection that the staff forms show and a sync can change.
fn shown(connection: &Connection) -> (Status, Option<String>, Option<Date>, u64) {
    (connection.status, connection.note.clone(), connection.last_day, connection.generation)
}

/// The first chunk of the days from `first` to `last`, and the first day after it, if any days are left.
fn chunk(first: Date, last: Date) -> (Days, Option<Date>) {
    let end = first.saturating_add((CHUNK - 1).days());
    if end >= last { (Days { first, last }, None) } else { (Days { first, last: end }, end.tomorrow().ok()) }
}

impl Documents {
    /// Whether everything was read, so that a missing record means that Oura has none.
    pub(crate) fn all_read(&self) -> bool {
        self.unreadable.is_empty() && self.refused.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn any_day() -> impl Strategy<Value = Date> {
        let around = |day: Date| (-400i64..400).prop_map(move |days| day.saturating_add(days.days()));
        prop_oneof![around(date(2026, 1, 1)), around(Date::MIN), around(Date::MAX)]
    }

    fn any_synced() -> impl Strategy<Value = Synced> {
        prop_oneof![
            Just(Synced::Unchanged),
            Just(Synced::Skipped("waiting")),
            (0usize..9).prop_map(Synced::Wrote),
            (0usize..9, "[ab]").prop_map(|(wrote, note)| Synced::Partly { wrote, note }),
        ]
    }

    fn note(synced: &Synced) -> &str {
        if let Synced::Partly { note, .. } = synced { note } else { "" }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn chunks_cover_a_range_exactly(one in any_day(), other in any_day(), length in 0i64..400) {
            let (first, last) = (one, other.min(one.saturating_add(length.days())).max(one));
            let mut from = Some(first);
            let mut covered_to = first.yesterday().ok();
            while let Some(begin) = from {
                let (days, next) = chunk(begin, last);
                prop_assert_eq!(days.first, begin);
                prop_assert!(days.first <= days.last && days.last <= last);
                prop_assert!((days.last - days.first).get_days() < 31, "too many for one request");
                prop_assert!(next.is_none_or(|next| days.last.tomorrow().ok() == Some(next)), "a gap or an overlap");
                covered_to = Some(days.last);
                from = next;
            }
            prop_assert_eq!(covered_to, Some(last));
        }

        #[test]
        fn chunk_of_a_backwards_range_has_no_days(one in any_day(), other in any_day()) {
            prop_assume!(one > other);
            let (days, next) = chunk(one, other);
            prop_assert!(!days.contains(one) && !days.contains(other) && next.is_none());
        }

        #[test]
        fn combined_results_add_their_counts_and_keep_both_notes(one in any_synced(), other in any_synced()) {
            let both = one.clone().and(other.clone());
            prop_assert_eq!(both.wrote(), one.wrote() + other.wrote());
            let partly = |synced: &Synced| matches!(synced, Synced::Partly { .. });
            prop_assert_eq!(partly(&both), partly(&one) || partly(&other));
            prop_assert!(note(&both).contains(note(&one)) && note(&both).contains(note(&other)));
            prop_assert_eq!(one.clone().and(Synced::Unchanged) == Synced::Unchanged, matches!(one, Synced::Unchanged | Synced::Skipped(_)));
        }
    }
}
