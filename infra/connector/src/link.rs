//! `connector link ATHLETE`: the personal link, when the one in the profile form is out of reach.

use clap::Args;
use connector::Link;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::failure::Failure;
use crate::installation::Installation;
use crate::report::{Ending, Report, remark};
use crate::roster::Roster;
use crate::when;

#[derive(Args)]
pub(crate) struct Options {
    /// The athlete: UUID, Smartabase user id, or a part of the name that is nobody else’s.
    athlete: String,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    athlete: &'a str,
    name: &'a str,
    link: &'a str,
    expires: Timestamp,
}

/// How long a link is good for when the one in the form hardly is any more.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A link that expires sooner than this is of no use to somebody who reads messages once a day.
const HARDLY: SignedDuration = SignedDuration::from_hours(24);

pub(crate) async fn run(options: &Options, installation: &Installation) -> Result<Report, Failure> {
    let roster = Roster::read(&installation.store).await?;
    let athlete = roster.find(&options.athlete)?;
    let Some(enrolment) = &athlete.enrolment else {
        return Err(Failure::Failed(format!(
            "{} was never enrolled, so no link opens: check the UUID in Smartabase, then run the enrolment",
            athlete.id
        )));
    };
    let (settings, keyring) = (installation.settings()?, installation.keyring().await?);
    let now = Timestamp::now();
    // The same link as in the form as long as that is good: it expires with it.
    let expires = if enrolment.link_expires > now + HARDLY { enrolment.link_expires } else { now + LIFETIME };
    let link = Link::new(&keyring, athlete.id.clone(), expires).to_url(settings.page("connect"));
    remark(&format!(
        "{}; good until {}. Whoever has it can connect or disconnect this athlete.",
        athlete.name(),
        when::time(expires, now, &installation.zone())
    ));
    let (id, name) = (athlete.id.as_str(), athlete.name());
    let printed = Printed { athlete: id, name, link: link.as_str(), expires };
    Ok(Report::new(Ending::Fine, &printed, link.as_str()))
}
