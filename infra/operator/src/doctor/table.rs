//! Checks the table, and the holds in it.

use jiff::Timestamp;
use store::{Hold, Service};

use super::checkup::Checkup;
use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::time_format;

/// The state of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// The table can't be read.
    Lost,
    /// A hold on Smartabase is in force, so the checks must not call it either. A wrong password may be the reason.
    SmartabaseOnHold,
    /// No hold prevents calls to Smartabase.
    Free,
}

pub(super) async fn check(checkup: &mut Checkup, installation: &Installation) -> Memory {
    let (store, deadline) = (&installation.store, soon().instant());
    match tokio::try_join!(store.hold(Service::Oura, deadline), store.hold(Service::Smartabase, deadline)) {
        Ok((oura, smartabase)) => {
            checkup.pass("table", "the table can be read");
            in_force(checkup, installation, "oura-hold", oura);
            let held = in_force(checkup, installation, "smartabase-hold", smartabase);
            if held { Memory::SmartabaseOnHold } else { Memory::Free }
        }
        Err(error) => {
            checkup.fail("table", "table-unreadable", Failure::from(error).to_string(), "then ask again");
            checkup.skip("oura-hold", "table");
            checkup.skip("smartabase-hold", "table");
            Memory::Lost
        }
    }
}

/// Whether a hold is in force.
fn in_force(checkup: &mut Checkup, installation: &Installation, check: &'static str, hold: Option<Hold>) -> bool {
    let now = Timestamp::now();
    match hold.filter(|hold| hold.until > now) {
        None => {
            checkup.pass(check, "no pause is in force");
            false
        }
        Some(hold) => {
            let until = time_format::time(hold.until, now, &installation.zone());
            let says = format!("nobody calls it until {until}: {}", hold.why);
            checkup.fail(check, "on-hold", says, "mend what it says, and wait: what is owed is sent afterwards");
            true
        }
    }
}
