use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Somebody with a ring and an Oura account.
#[derive(Debug, Clone)]
pub struct Person {
    /// The Oura user id, as `personal_info` gives it.
    pub id: String,
    /// Shown on the consent page, where the person at the browser is chosen.
    pub name: String,
    /// Where the person lives; local days and offsets follow it.
    pub zone: TimeZone,
    /// Given by `personal_info` with the scope `email`.
    pub email: String,
    /// How this person's days come about.
    pub life: Life,
    /// Whether the membership is paid. Without it every collection answers 403, `personal_info` included.
    pub member: bool,
    /// Whether the Oura app on the person's phone is too old, so that everything answers 426, `personal_info` included.
    pub outdated_app: bool,
}

/// How a person's days come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not by themselves: there is only what a test puts there.
    Blank,
    /// Every day has one night of sleep, its scores and an activity; synced soon after waking.
    Regular {
        /// The first day with documents.
        since: Date,
    },
    /// As people live: naps, late naps, rests and deleted periods, two long sleeps a day, nights without a ring, missing
    /// values, sleep seen in progress, late syncs and nights revised afterwards.
    Varied {
        /// The first day with documents.
        since: Date,
    },
}

impl Person {
    /// A paying member with a [`Life::Blank`].
    ///
    /// # Panics
    /// When `zone` is not the name of a time zone, such as `Asia/Kathmandu`.
    #[must_use]
    pub fn new(id: &str, name: &str, zone: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            zone: TimeZone::get(zone).expect("the name of a time zone"),
            email: format!("{id}@example.org"),
            life: Life::Blank,
            member: true,
            outdated_app: false,
        }
    }

    /// The same person with another life.
    #[must_use]
    pub fn living(mut self, life: Life) -> Self {
        self.life = life;
        self
    }
}
