//! `connector link ATHLETE` prints the personal link, for an operator who can't read the profile form. With `--renew`
//! it ends every earlier link and prints a new one, in case a link has leaked.

use clap::Args;
use connector::{LINK_LIFETIME, Link};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use store::{ConnectionUpdate, Enrolment};

use crate::failure::Failure;
use crate::installation::{Installation, soon};
use crate::report::{Ending, Report, remark};
use crate::roster::Roster;
use crate::time_format;

#[derive(Args)]
pub(crate) struct Options {
    /// The athlete: UUID, Smartabase user id, or a unique part of the name.
    athlete: String,
    /// End every earlier link of the athlete. The one in the form ends too; the next enrolment replaces it.
    #[arg(long)]
    renew: bool,
}

/// The `--json` output.
#[derive(Serialize)]
struct Printed<'a> {
    athlete: &'a str,
    name: &'a str,
    link: &'a str,
    expires: Timestamp,
}

/// How long a new link is valid, when the one in the form is about to expire.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The shortest useful validity, for athletes who read their messages once a day.
const HARDLY: SignedDuration = SignedDuration::from_hours(24);

/// How far the clocks of this machine and of the functions may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

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
    let expires = if options.renew {
        end_links(enrolment, now, installation).await?
    } else if enrolment.link_expires > now + HARDLY {
        // While the form's link is valid, print the same link. Both have the same expiry.
        enrolment.link_expires
    } else {
        enrolment.links_from.map_or(now + LIFETIME, |from| from.max(now + LIFETIME))
    };
    let link = Link::new(&keyring, athlete.id.clone(), expires).to_url(settings.page("connect"));
    remark(&format!(
        "{}; good until {}. Whoever has it can connect or disconnect this athlete.",
        athlete.name(),
        time_format::time(expires, now, &installation.zone())
    ));
    if options.renew {
        remark(
            "Every earlier link has ended. The next enrolment writes a new one into the form; run it now if the athlete needs it",
        );
    }
    let (id, name) = (athlete.id.as_str(), athlete.name());
    let printed = Printed { athlete: id, name, link: link.as_str(), expires };
    Ok(Report::new(Ending::Fine, &printed, link.as_str()))
}

/// Ends every link issued until now, and returns the expiry of the new one. An expiry identifies a link, so the new
/// expiry is later than every earlier one.
async fn end_links(enrolment: &Enrolment, now: Timestamp, installation: &Installation) -> Result<Timestamp, Failure> {
    let latest = enrolment.link_expires.max(now + LINK_LIFETIME);
    let expires = Timestamp::from_second((latest + SKEW).as_second()).unwrap_or(latest);
    let (athlete, store) = (&enrolment.athlete, &installation.store);
    match store.end_links(athlete, enrolment.user_id, expires, soon().instant()).await {
        Ok(ConnectionUpdate::Done) => Ok(expires),
        Ok(ConnectionUpdate::Superseded | ConnectionUpdate::Gone) => {
            Err(Failure::Failed(format!("the enrolment of {athlete} was changed at the same moment: try again")))
        }
        Err(error) => Err(Failure::Failed(format!("the earlier links may still open ({error}): try again"))),
    }
}
