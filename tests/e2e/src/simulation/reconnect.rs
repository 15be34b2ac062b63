//! Athletes who connect again before Oura has received an earlier revocation, and rings that a guest wears in the
//! meantime.
//!
//! A *guest* is a user of the site who borrows rings. Guests are not among the athletes of the story, and only faults
//! that affect all jobs affect their jobs. While a guest has a ring, its owner cannot connect.

use local::Visit;
use sim::wire::{Fault, Gate};
use store::{AthleteId, Connection, Status};

use super::check::Broken;
use super::scene;
use super::story::{Break, Kind, Request, Scale, Spot, Tick};
use super::visit::{connection, generation, visit, visited};
use super::world::{Cause, World};
use crate::deadline;

/// How many rings can be lent at a time.
pub(crate) const GUESTS: i64 = 2;

/// What a healthy athlete does about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconnect {
    /// Disconnects while the revocation fails at Oura, and connects again at once.
    AtOnce { how: Break },
    /// Disconnects, and connects again while the page still waits for Oura's answer to the revocation.
    Meanwhile,
    /// Tries to disconnect, but the table fails, so the athlete stays connected. Then the grant is refreshed.
    NotDisconnected { how: Break },
    /// Disconnects while the revocation fails at Oura, and a guest connects the ring. After `ticks` ticks the guest
    /// disconnects in the same way, and the athlete connects again at once.
    Lent { how: Break, ticks: u32 },
}

/// A user of the site who borrows rings.
pub(crate) struct Guest {
    pub(crate) user: i64,
    pub(crate) id: AthleteId,
    pub(crate) loan: Option<Loan>,
}

/// A ring that a guest wears.
#[derive(Clone, Copy)]
pub(crate) struct Loan {
    /// The owner of the ring, by index.
    pub(crate) athlete: usize,
    how: Break,
    /// After how many ticks it ends.
    ticks: u32,
}

impl Guest {
    pub(crate) fn new(number: i64) -> Self {
        Self { user: 1001 + number, id: AthleteId::parse(&format!("uuid-guest-{number}")).unwrap(), loan: None }
    }
}

impl Scale {
    /// What an athlete does about the connection before this tick.
    pub(crate) fn reconnect(&self, athlete: u32, tick: Tick) -> Option<Reconnect> {
        let mut draw = self.draw("reconnect", &[athlete.into(), tick.day.into(), tick.minute.into()]);
        let chance = draw.u16(0..1000);
        let breaks = [Break::NeverArrives, Break::AnswerLost, Break::Unwell, Break::UnwellAfterwards];
        let (how, ticks) = (breaks[draw.usize(0..breaks.len())], draw.u32(1..6));
        match chance {
            _ if !self.has(Kind::Revocations) => None,
            0..8 => Some(Reconnect::AtOnce { how }),
            8..10 => Some(Reconnect::Meanwhile),
            10..13 => Some(Reconnect::NotDisconnected { how }),
            13..18 => Some(Reconnect::Lent { how, ticks }),
            _ => None,
        }
    }
}

impl World {
    /// Whether a guest wears this athlete's ring.
    pub(crate) fn is_lent(&self, athlete: usize) -> bool {
        self.guests.iter().any(|guest| guest.loan.is_some_and(|loan| loan.athlete == athlete))
    }

    /// Lets a healthy athlete disconnect or try to; returns whether the athlete was healthy.
    pub(crate) async fn reconnect(&mut self, athlete: usize, reconnect: Reconnect) -> bool {
        let one = &self.athletes[athlete];
        let in_order = one.causes.is_empty() && one.member_again.is_none();
        if !in_order || self.conditions.cdn.is_some() {
            return false;
        }
        let now = self.now();
        self.athletes[athlete].tell(now, format!("{reconnect:?}"));
        match reconnect {
            Reconnect::AtOnce { how } => {
                self.disconnect_unrevoked(athlete, how).await;
                visit(self, athlete).await;
            }
            Reconnect::Meanwhile => self.connect_meanwhile(athlete).await,
            Reconnect::NotDisconnected { how } => {
                let at = Spot { request: Request::Table("TransactWriteItems"), nth: 1 };
                scene::strike(self, at, how);
                scene::disconnect(self, athlete).await;
                scene::heal(self);
                if connection(self, athlete).await.is_some_and(|connection| connection.grant.is_some()) {
                    self.athletes[athlete].causes.remove(&Cause::Disconnected);
                }
                self.stage.oura.expire_access_tokens(&self.athletes[athlete].person);
            }
            Reconnect::Lent { how, ticks } => {
                let free = self.guests.iter().position(|guest| guest.loan.is_none());
                let Some(guest) = free else { return false };
                self.disconnect_unrevoked(athlete, how).await;
                self.lend(athlete, guest, how, ticks).await;
            }
        }
        true
    }

    async fn connect_meanwhile(&mut self, athlete: usize) {
        let before = generation(self, athlete).await;
        let visit = self.disconnect_and_connect(athlete).await;
        scene::heal(self);
        let now = self.now();
        let one = &mut self.athletes[athlete];
        one.tell(now, "disconnects");
        one.causes.insert(Cause::Disconnected);
        one.eventful = true;
        if let Some(visit) = visit {
            visited(self, athlete, before, visit).await;
        }
    }

    /// Disconnects, and connects again while Oura's answer is held back. Returns no visit if no revocation was sent.
    async fn disconnect_and_connect(&self, athlete: usize) -> Option<anyhow::Result<Visit>> {
        let one = &self.athletes[athlete];
        let gate = Gate::new();
        let held = gate.clone();
        self.stage.oura_wire.decide(move |seen| Request::Revocation.is(seen).then(|| Fault::HoldAfter(held.clone())));
        let mut disconnecting = std::pin::pin!(self.stage.disconnect(one.user));
        tokio::select! {
            biased;
            _ = &mut disconnecting => None,
            () = gate.reached() => {
                let visit = self.stage.connect(one.user, &one.person).await;
                gate.open();
                let _ = disconnecting.await;
                Some(visit)
            }
        }
    }

    async fn disconnect_unrevoked(&mut self, athlete: usize, how: Break) {
        scene::strike(self, Spot { request: Request::Revocation, nth: 1 }, how);
        scene::disconnect(self, athlete).await;
        scene::heal(self);
    }

    async fn lend(&mut self, athlete: usize, guest: usize, how: Break, ticks: u32) {
        let (now, user) = (self.now(), self.guests[guest].user);
        let visited = self.stage.connect(user, &self.athletes[athlete].person).await;
        self.guests[guest].loan = Some(Loan { athlete, how, ticks });
        self.athletes[athlete].causes.insert(Cause::Lent);
        let page = visited.map_or_else(|error| error.to_string(), |visit| visit.status.to_string());
        self.athletes[athlete].tell(now, format!("guest {user} connects the ring: {page}"));
        // Until Oura has named the account of the ring, either athlete may connect it.
        let known = self.guest_connection(guest).await.is_some_and(|connection| connection.oura_user.is_some());
        if !known {
            self.give_back(guest).await;
        }
    }

    /// Ends loans before a tick: guests whose time is over disconnect, and the owners connect again at once.
    pub(crate) async fn end_loans(&mut self, all: bool) {
        for guest in 0..self.guests.len() {
            let Some(loan) = &mut self.guests[guest].loan else { continue };
            loan.ticks = loan.ticks.saturating_sub(1);
            let Loan { athlete, how, ticks } = *loan;
            if ticks == 0 || all {
                if !all {
                    scene::strike(self, Spot { request: Request::Revocation, nth: 1 }, how);
                }
                self.give_back(guest).await;
                scene::heal(self);
                visit(self, athlete).await;
            }
        }
    }

    async fn give_back(&mut self, guest: usize) {
        let (now, user) = (self.now(), self.guests[guest].user);
        let Some(Loan { athlete, .. }) = self.guests[guest].loan else { return };
        let page = self.stage.disconnect(user).await;
        let page = page.map_or_else(|error| error.to_string(), |visit| visit.status.to_string());
        self.guests[guest].loan = None;
        self.athletes[athlete].tell(now, format!("guest {user} disconnects: {page}"));
    }

    async fn guest_connection(&self, guest: usize) -> Option<Connection> {
        self.store().connection(&self.guests[guest].id, deadline().instant()).await.unwrap()
    }

    /// Checks that every guest with a ring is connected.
    pub(crate) async fn guests_are_connected(&self) -> Result<(), Broken> {
        for (place, guest) in self.guests.iter().enumerate() {
            let Some(loan) = guest.loan else { continue };
            let connection = self.guest_connection(place).await;
            let status = connection.as_ref().map(|connection| connection.status);
            if status != Some(Status::Active) {
                let status = status.map_or("gone", Status::name);
                let how = format!("the connection of guest {}, who has the ring, is {status}", guest.user);
                return Err(Broken {
                    promise: "nobody is asked to act without cause",
                    athlete: Some(loan.athlete),
                    how,
                });
            }
            self.consent_lives(loan.athlete, &guest.id, connection.as_ref())?;
        }
        Ok(())
    }
}
