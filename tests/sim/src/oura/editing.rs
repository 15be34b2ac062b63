use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::archive::Content;
use super::{Collection, Oura, Period, World, collections, documents, life};
use crate::draw;

/// Documents. Changes are visible from the clock's present instant on, unless an instant is given.
impl Oura {
    /// What is visible of a collection now, as served without `fields`, ordered by id. Raw texts are left out.
    #[must_use]
    pub fn documents(&self, person: &str, collection: Collection) -> Vec<Value> {
        self.world().live_until_today(person);
        self.visible(person, collection, |_| true)
    }

    /// What is visible of a collection for one day.
    #[must_use]
    pub fn documents_of(&self, person: &str, collection: Collection, day: Date) -> Vec<Value> {
        self.world().live(person, day);
        self.visible(person, collection, |content| content.day() == Some(day))
    }

    fn visible(&self, person: &str, collection: Collection, wanted: impl Fn(&Content) -> bool) -> Vec<Value> {
        let mut world = self.world();
        let (now, seed) = (world.clock.now(), world.seed);
        let visible = world.archive(person).visible(collection, now).filter(|(_, content)| wanted(content));
        visible.filter_map(|(_, content)| collections::complete(collection, seed, content)).collect()
    }

    /// The night's sleep of a day as Oura shows it now: the longest finished `long_sleep`. Of several equally long
    /// ones, the one that began first.
    #[must_use]
    pub fn night(&self, person: &str, day: Date) -> Option<Value> {
        let mut nights = self.documents_of(person, Collection::Sleep, day);
        nights.retain(|night| night["type"] == "long_sleep" && !night["bedtime_end"].is_null());
        // `min` returns the first of equals, and documents are ordered by id.
        let began = |night: &Value| night["bedtime_start"].as_str().map(str::to_owned);
        nights.into_iter().min_by_key(|night| (Reverse(night["total_sleep_duration"].as_i64()), began(night)))
    }

    /// Puts a document unchanged, and replaces any with the same `id`.
    ///
    /// # Panics
    /// If the document has no `id`. All other fields may be missing or wrong.
    pub fn put_document(&self, person: &str, collection: Collection, document: Value) {
        let now = self.world().clock.now();
        self.put_document_at(person, collection, document, now);
    }

    /// Like [`Oura::put_document`], visible from `from` on: a late sync, or a future revision.
    ///
    /// # Panics
    /// If the document has no `id`. All other fields may be missing or wrong.
    pub fn put_document_at(&self, person: &str, collection: Collection, document: Value, from: Timestamp) {
        let id = document["id"].as_str().expect("a document has an id").to_owned();
        let content = Content::Exact(document);
        let mut world = self.world();
        // Generate the day first. Otherwise it would later be generated over the document.
        if let Some(day) = content.day() {
            world.live(person, day);
        }
        world.archive(person).put(collection, &id, from, content);
    }

    /// Puts a text in the place of a document, JSON or not. Every window contains it.
    pub fn put_raw(&self, person: &str, collection: Collection, id: &str, text: &str) {
        let mut world = self.world();
        let now = world.clock.now();
        world.archive(person).put(collection, id, now, Content::Raw(text.to_owned()));
    }

    /// Removes a document for good.
    pub fn remove_document(&self, person: &str, collection: Collection, id: &str) {
        let mut world = self.world();
        let now = world.clock.now();
        world.archive(person).put(collection, id, now, Content::Removed);
    }

    /// Adds a plausible sleep period and returns its id.
    pub fn put_period(&self, person: &str, day: Date, period: Period) -> String {
        let mut world = self.world();
        world.live(person, day);
        let (now, seed) = (world.clock.now(), world.seed);
        let zone = world.person(person).zone.clone();
        let name = format!("{day} {period:?}");
        let id = life::id(seed, &["period", person, &name]);
        let document = documents::sleep(&mut draw::named(seed, &["period", &id]), &id, day, period, &zone);
        world.archive(person).put(Collection::Sleep, &id, now, Content::Lived(document));
        id
    }

    /// Gives a day one regular night, its scores and its activity, whatever the person's life is. They become visible
    /// as usual: the night in the morning, the activity in the course of the day.
    pub fn live_regular_day(&self, person: &str, day: Date) {
        let mut world = self.world();
        let World { people, archives, seed, .. } = &mut *world;
        let person = people.iter().find(|other| other.id == person).expect("a person with an account");
        life::live_regular(archives.entry(person.id.clone()).or_default(), *seed, person, day);
    }

    /// Changes a document that is visible now and keeps its id. Returns the new document.
    ///
    /// # Panics
    /// If there is no document with this id.
    pub fn revise(&self, person: &str, collection: Collection, id: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut world = self.world();
        let now = world.clock.now();
        let mut content = world.archive(person).one(collection, id, now).expect("a visible document").clone();
        let (Content::Lived(document) | Content::Exact(document)) = &mut content else {
            return Value::Null;
        };
        change(document);
        let document = document.clone();
        world.archive(person).put(collection, id, now, content);
        document
    }

    /// Changes the night's sleep of a day, as when the person edits the bedtime. Returns the new document.
    ///
    /// # Panics
    /// If the day has no finished night that is visible now.
    pub fn revise_night(&self, person: &str, day: Date, change: impl FnOnce(&mut Value)) -> Value {
        let night = self.night(person, day).expect("a finished night on this day");
        let id = night["id"].as_str().unwrap_or_default();
        self.revise(person, Collection::Sleep, id, change)
    }

    /// Removes the night's sleep and the scores of a day, as when the person deletes the sleep. The activity stays.
    pub fn remove_night(&self, person: &str, day: Date) {
        for collection in [Collection::Sleep, Collection::DailySleep, Collection::DailyReadiness] {
            for document in self.documents_of(person, collection, day) {
                self.remove_document(person, collection, document["id"].as_str().unwrap_or_default());
            }
        }
    }

    /// Hides all documents of a day until the phone syncs at `until`.
    pub fn postpone(&self, person: &str, day: Date, until: Timestamp) {
        let mut world = self.world();
        world.live(person, day);
        world.archive(person).postpone(day, until);
    }
}
