//! `connector doctor`: one check for every precondition of the product. For each failed check it says what to do.
//!
//! The checks change nothing: they write no record, use no grant and take no message from a queue. They try a password
//! once, and not at all while a hold is in force because Smartabase refused it. If an earlier check failed, the checks
//! that depend on it are skipped and say so. If a check can't find the answer from outside, its result is unknown and
//! says how to find out.

mod athletes;
mod checkup;
mod deployment;
mod oura;
mod smartabase;
mod table;

use checkup::Checkup;

use crate::failure::Failure;
use crate::installation::{Installation, Place, soon};
use crate::progress::Progress;
use crate::report::Report;
use table::Memory;

pub(crate) async fn run(installation: &Installation, json: bool) -> Result<Report, Failure> {
    let (mut checkup, progress) = (Checkup::default(), Progress::of(json));
    progress.now("reading the table");
    let memory = table::check(&mut checkup, installation).await;
    let mut period = None;
    match installation.connector() {
        Ok(connector) => {
            period = Some(connector.settings.period);
            checkup.pass("settings", "every parameter can be read");
            progress.now("reading the secrets");
            let (secrets, deadline) = (&connector.secrets, soon());
            let account = checkup.secret("smartabase-secret", secrets.smartabase(deadline).await);
            let application = checkup.secret("oura-secret", secrets.oura(deadline).await);
            let key = checkup.secret("key", secrets.keyring(deadline).await);
            progress.now("asking Smartabase");
            smartabase::check(&mut checkup, &connector, account.as_deref(), memory).await;
            progress.now("asking Oura");
            oura::check(&mut checkup, &connector, application.as_deref(), key.as_deref()).await;
        }
        Err(failure) => {
            checkup.fail("settings", "settings-wrong", failure.to_string(), "then ask again");
            checkup.skip_all(&["smartabase-secret", "oura-secret", "key"], "settings");
            checkup.skip_all(&smartabase::CHECKS, "settings");
            checkup.skip_all(&oura::CHECKS, "settings");
        }
    }
    progress.now("looking at the athletes");
    match memory {
        Memory::Lost => checkup.skip(athletes::SYNCS, "table"),
        _ => athletes::check(&mut checkup, &installation.store, period).await,
    }
    if let Place::Stack(stack) = &installation.place {
        progress.now("asking AWS");
        deployment::check(&mut checkup, stack).await;
    }
    Ok(checkup.report())
}
