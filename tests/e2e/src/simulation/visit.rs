//! What athletes do: they visit the connect page, sleep, edit their nights and withdraw consent.

use jiff::ToSpan;
use jiff::civil::Date;
use local::Visit;
use serde_json::json;
use sim::oura::{Kind, Period, Tier};
use store::Connection;

use super::scene::disconnect;
use super::story::Counter;
use super::world::{Cause, World};
use crate::{NIGHTS, deadline};

/// An athlete opens the link and completes the consent, as far as the network allows.
pub(crate) async fn visit(world: &mut World, athlete: usize) {
    let before = generation(world, athlete).await;
    let one = &world.athletes[athlete];
    let visit = world.stage.connect(one.user, &one.person).await;
    visited(world, athlete, before, visit).await;
}

/// The generation of an athlete's connection; 0 without a connection.
pub(crate) async fn generation(world: &World, athlete: usize) -> u64 {
    connection(world, athlete).await.map_or(0, |connection| connection.generation)
}

/// Records the outcome of a visit that began at generation `before`.
pub(crate) async fn visited(world: &mut World, athlete: usize, before: u64, visit: anyhow::Result<Visit>) {
    let after = connection(world, athlete).await;
    let now = world.now();
    let connected = after.is_some_and(|connection| connection.generation > before && connection.grant.is_some());
    let lent = world.is_lent(athlete);
    let one = &mut world.athletes[athlete];
    one.eventful = true;
    if connected {
        // Consent neither renews a membership nor returns a lent ring.
        one.causes.retain(|cause| match cause {
            Cause::Lapsed => one.member_again.is_some(),
            Cause::Lent => lent,
            _ => false,
        });
    }
    let page = visit.map_or_else(|error| error.to_string(), |visit| visit.status.to_string());
    one.tell(now, format!("visits: {page}{}", if connected { ", connected" } else { "" }));
}

pub(crate) async fn connection(world: &World, athlete: usize) -> Option<Connection> {
    world.store().connection(&world.athletes[athlete].id, deadline().instant()).await.unwrap()
}

/// Applies one event to an athlete between two ticks.
pub(crate) async fn happen(world: &mut World, athlete: usize, day: u32, happening: Counter) {
    let now = world.now();
    let one = &mut world.athletes[athlete];
    one.tell(now, format!("{happening:?}"));
    one.eventful |= !matches!(happening, Counter::Edited { .. } | Counter::Removed { .. } | Counter::Added { .. });
    match happening {
        Counter::Edited { back } => world.edit_night(athlete, back),
        Counter::Removed { back } => {
            let day = world.today().saturating_sub(back.days());
            world.stage.oura.remove_night(&world.athletes[athlete].person, day);
        }
        Counter::Added { back } => {
            let day = world.today().saturating_sub((back + 1).days());
            let begins = day.saturating_sub(1.days()).at(20, 0, 0, 0);
            let period = Period { kind: Kind::LongSleep, begins, minutes: 600, finished: true };
            world.stage.oura.put_period(&world.athletes[athlete].person, day, period);
        }
        Counter::Deleted { back } => world.delete_event(athlete, back),
        Counter::Withdrawn => {
            world.stage.oura.withdraw(&one.person);
            one.causes.insert(Cause::Withdrawn);
        }
        Counter::ScopeWithdrawn => {
            world.stage.oura.withdraw_scope(&one.person, "daily");
            one.causes.insert(Cause::ScopeWithdrawn);
        }
        Counter::Disconnected => disconnect(world, athlete).await,
        Counter::Renewed => visit(world, athlete).await,
        Counter::Expired => world.stage.oura.expire_access_tokens(&one.person),
        Counter::Lapsed { days } => {
            world.stage.oura.set_member(&one.person, false);
            one.causes.insert(Cause::Lapsed);
            one.member_again = Some(day + days);
        }
        Counter::Throttled { minutes } => {
            world.stage.oura.throttle(Tier::Token, &one.person, now + jiff::SignedDuration::from_mins(minutes));
        }
    }
}

impl World {
    /// Changes the sleep of the night of `back` days ago, if there is one.
    pub(crate) fn edit_night(&mut self, athlete: usize, back: i64) {
        let day = self.today().saturating_sub(back.days());
        self.revise(athlete, day);
    }

    /// Adds tonight's sleep now, as for an athlete who lives far east of the site. Its record has no event yet.
    pub(crate) fn sleep_early(&mut self, athlete: usize) {
        let begins = self.today().at(10, 0, 0, 0);
        let period = Period { kind: Kind::LongSleep, begins, minutes: 480, finished: true };
        let tomorrow = self.today().saturating_add(1.days());
        self.stage.oura.put_period(&self.athletes[athlete].person, tomorrow, period);
    }

    fn revise(&mut self, athlete: usize, day: Date) {
        let now = self.now();
        let one = &mut self.athletes[athlete];
        one.edits += 1;
        // Each edit writes new values: an edit that changes nothing would not trigger a delivery.
        let seconds = 60 * (60 + one.edits);
        self.edited.push(now);
        let person = &self.athletes[athlete].person;
        if self.stage.oura.night(person, day).is_some() {
            self.stage.oura.revise_night(person, day, |night| {
                night["total_sleep_duration"] = json!(7 * 3600 + seconds);
                night["deep_sleep_duration"] = json!(3600 + seconds);
                night["average_hrv"] = json!(seconds / 60);
            });
        }
    }

    /// Staff delete the event of a night, and the athlete edits the night. So the connector's next update is of an
    /// event that does not exist.
    fn delete_event(&mut self, athlete: usize, back: i64) {
        let day = self.today().saturating_sub((back + 1).days());
        let Ok(evening) = day.yesterday() else { return };
        let one = &self.athletes[athlete];
        let Some(event) = self.stage.smartabase.event_on(one.user, NIGHTS, evening) else { return };
        if self.stage.oura.night(&one.person, day).is_some() {
            self.stage.smartabase.delete_event(event.id);
            self.athletes[athlete].deleted.insert(evening);
            self.revise(athlete, day);
        }
    }
}
