//! Whole-product tests: the connector in this process, simulated Oura and Smartabase on real sockets, a real table, and
//! a wire in front of each that counts and fails.
//!
//! This library is the vocabulary of those tests; the tests are in `tests/whole`.

use jiff::civil::Date;
use local::Cast;
use sim::oura::{Life, Person};
use sim::smartabase::User;

/// The event form of nights.
pub const NIGHTS: &str = "Oura Readiness and Sleep Summary";

/// The event form of days.
pub const DAYS: &str = "Oura Activity Summary";

/// Ada's Smartabase user id.
pub const ADA: i64 = 1001;

/// Ben's Smartabase user id.
pub const BEN: i64 = 1002;

/// Ada in Berlin and Ben in Lima, both with a ring worn since the beginning of the year and on the roster, on the
/// morning of Tuesday 3 March 2026.
#[must_use]
pub fn ada_and_ben() -> Cast {
    let since = Date::constant(2026, 1, 1);
    let person = |id: &str, name: &str, zone: &str| Person::new(id, name, zone).living(Life::Regular { since });
    Cast {
        people: vec![person("ada", "Ada Sample", "Europe/Berlin"), person("ben", "Ben Sample", "America/Lima")],
        users: vec![
            User::new(ADA, "uuid-ada", "Ada", "Sample").in_group("Squad"),
            User::new(BEN, "uuid-ben", "Ben", "Sample").in_group("Squad"),
        ],
        ..Cast::new()
    }
}
