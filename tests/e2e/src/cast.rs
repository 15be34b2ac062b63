use jiff::civil::Date;
use local::Cast;
use sim::oura::{Life, Person};
use sim::smartabase::User;
use store::AthleteId;

/// Ada's Smartabase user id.
pub const ADA: i64 = 1001;

/// Ben's Smartabase user id.
pub const BEN: i64 = 1002;

const SINCE: Date = Date::constant(2026, 1, 1);

/// Ada in Berlin, on the morning of Tuesday 3 March 2026. She is on the roster and has worn her ring since 1 January.
#[must_use]
pub fn ada() -> Cast {
    let user = User::new(ADA, "uuid-ada", "Ada", "Sample").in_group("Squad");
    Cast {
        people: vec![living("ada", "Europe/Berlin", Life::Regular { since: SINCE })],
        users: vec![user],
        ..Cast::new()
    }
}

/// Ada, and Ben in Lima, where it is still night when she has breakfast.
#[must_use]
pub fn ada_and_ben() -> Cast {
    let mut cast = ada();
    cast.people.push(living("ben", "America/Lima", Life::Regular { since: SINCE }));
    cast.users.push(User::new(BEN, "uuid-ben", "Ben", "Sample").in_group("Squad"));
    cast
}

/// `size` athletes in Berlin. User 2001 is Oura's `p2001`, and so on.
#[must_use]
pub fn squad(size: i64) -> Cast {
    let numbers = 2001..2001 + size;
    Cast {
        people: numbers
            .clone()
            .map(|number| living(&format!("p{number}"), "Europe/Berlin", Life::Regular { since: SINCE }))
            .collect(),
        users: numbers
            .map(|number| User::new(number, &format!("uuid-{number}"), "Player", &number.to_string()))
            .collect(),
        ..Cast::new()
    }
}

/// A person with an Oura account, in time zone `zone`.
#[must_use]
pub fn living(id: &str, zone: &str, life: Life) -> Person {
    Person::new(id, &format!("{id} at Oura"), zone).living(life)
}

/// The athlete id for this UUID.
#[must_use]
pub fn athlete(uuid: &str) -> AthleteId {
    AthleteId::parse(uuid).expect("a UUID")
}
