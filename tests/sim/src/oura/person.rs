use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A person with a ring and an Oura account.
#[derive(Debug, Clone)]
pub struct Person {
    /// The Oura user id, as `personal_info` returns it.
    pub id: String,
    /// The name on the consent page, where the person is chosen.
    pub name: String,
    /// The person's time zone, which decides local days and offsets.
    pub zone: TimeZone,
    /// Returned by `personal_info` with the scope `email`.
    pub email: String,
    /// How this person's days are generated.
    pub life: Life,
    /// Whether the membership is paid. Without it every collection answers 403, `personal_info` included.
    pub member: bool,
    /// Whether the Oura app on the person's phone is too old. Then everything answers 426, `personal_info` included.
    pub outdated_app: bool,
}

/// How a person's days are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not at all: only what a test puts exists.
    Blank,
    /// Every day has one night of sleep, its scores and an activity, synced soon after waking.
    Regular {
        /// The first day with documents.
        since: Date,
    },
    /// Days as people live them: naps, late naps, rests and deleted periods, two long sleeps a day, nights without a
    /// ring, missing values, sleep in progress, late syncs, and nights that are revised later.
    Varied {
        /// The first day with documents.
        since: Date,
    },
}

impl Person {
    /// A paying member with a [`Life::Blank`].
    ///
    /// # Panics
    /// If `zone` is not the name of a time zone, such as `Asia/Kathmandu`.
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
