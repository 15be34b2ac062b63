//! Makes a pilot's file with invented athletes and days, to look at the console and to measure it:
//!
//! ```sh
//! cargo run -p operator --example crowd -- crowd.sqlite 2000 60
//! cargo connector --local crowd.sqlite console
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use connector::forms::Forms;
use dynamo::Dynamo;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use store::{
    AthleteId, BackfillDebt, Claim, Enrolment, Finish, KeyVersion, Keyring, NewConnection, RecordKey, SealPurpose,
    Service, Status, Store, StoredGrant, Told, WindowDigest, Written, schema,
};
use tokio::time::Instant;

/// The name of the table in a pilot's file.
const TABLE: &str = "connector";

const FIRST: [&str; 10] = ["Ada", "Ben", "Chidi", "Dana", "Elif", "Finn", "Grace", "Hana", "Idris", "Jo"];
const LAST: [&str; 10] =
    ["Okafor", "Sample", "Ødegaard", "Ng", "Yılmaz", "O’Neill", "Villanueva-Montgomery", "Sato", "Bello", "王"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, athletes, days] = arguments.as_slice() else { anyhow::bail!("give a file, athletes and days") };
    let (athletes, days): (u64, i64) = (athletes.parse()?, days.parse()?);
    ensure!(!Path::new(file).exists(), "{file} is there already");
    let dynamo = Dynamo::at(file).await?;
    schema::create_table(&dynamo.client(), TABLE).await?;
    let crowd = Crowd {
        store: Store::new(dynamo.client(), TABLE),
        keyring: Keyring::new(KeyVersion { id: "local".to_owned(), secret: "made up".into() }),
        forms: Forms::shipped()?.events.iter().map(|form| form.name.to_string()).collect(),
        now: Timestamp::now(),
        days,
    };
    for number in 0..athletes {
        crowd.add(number).await.with_context(|| format!("athlete {number}"))?;
    }
    let why = "Smartabase refuses our username or password: check the smartabase secret";
    let until = crowd.now + SignedDuration::from_mins(4);
    crowd.store.set_hold(Service::Smartabase, until, why, soon()).await?;
    println!("{athletes} athletes, {days} days");
    Ok(())
}

struct Crowd {
    store: Store,
    keyring: Keyring,
    forms: Vec<String>,
    now: Timestamp,
    days: i64,
}

impl Crowd {
    /// Enrols an athlete and, in most cases, connects them and adds some days. The number decides which problem they
    /// have.
    async fn add(&self, number: u64) -> anyhow::Result<()> {
        let athlete = AthleteId::parse(&format!("uuid-{number}"))?;
        let pick =
            |names: [&'static str; 10], place: u64| names.into_iter().cycle().nth(usize::try_from(place % 10).ok()?);
        let enrolment = Enrolment {
            athlete: athlete.clone(),
            user_id: 30_000 + number,
            name: [pick(FIRST, number), pick(LAST, number / 10 + number * 3)].map(Option::unwrap_or_default).join(" "),
            link_expires: self.now + SignedDuration::from_hours(24 * 20),
            basis: "made up".to_owned(),
            told: self.now,
            links_from: None,
            staff: Told::default(),
        };
        self.store.put_enrolment(&enrolment, soon()).await?;
        if number % 37 == 11 {
            return Ok(()); // never connected
        }
        let since = if number % 9 == 4 { self.days / 3 } else { self.days + 40 };
        self.connect(&athlete, 30_000 + number, since).await?;
        let today = self.now.to_zoned(TimeZone::UTC).date();
        let since_stopped = i64::try_from(number % 9)? + 1;
        let stopped = (number % 23 == 5).then(|| today - (since_stopped + 1).days());
        let (mut in_time, mut late) = (Vec::new(), Vec::new());
        for date in (today - self.days.days()).series(1.day()).take_while(|date| *date < today) {
            let chance = chance_of(number, date);
            let missing =
                chance < 4 || (number % 41 == 7 && date > today - 9.days()) || stopped.is_some_and(|day| date >= day);
            if !missing {
                if chance < 8 { late.push(date) } else { in_time.push(date) }
            }
        }
        let last = in_time.last().max(late.last()).copied();
        self.confirm(&athlete, &late, last, 0, false).await?;
        self.confirm(&athlete, &in_time, last, since, number % 53 == 3).await?;
        if number % 61 == 8 {
            self.intend(&athlete, today - 1.day()).await?;
        }
        if stopped.is_some() {
            let at = self.days_ago(since_stopped);
            let status = if number.is_multiple_of(2) { Status::NeedsConsent } else { Status::MembershipLapsed };
            self.store.set_status(&athlete, 1, status, None, None, at, soon()).await?;
        }
        if number % 97 == 13 {
            self.store.disconnect(&athlete, 1, self.now - SignedDuration::from_hours(100), soon()).await?;
        }
        Ok(())
    }

    async fn connect(&self, athlete: &AthleteId, user_id: u64, days_ago: i64) -> anyhow::Result<()> {
        let grant = StoredGrant {
            sealed: self.keyring.seal(SealPurpose::Grant, athlete, b"made up")?,
            token_url: "https://oura.test/token".parse()?,
            expires_at: self.now + SignedDuration::from_hours(20),
        };
        let new = NewConnection {
            athlete: athlete.clone(),
            status: Status::Active,
            note: None,
            user_id,
            oura_user: Some(format!("oura-{user_id}")),
            scopes: "daily".to_owned(),
            grant,
            held_until: None,
            backfill_from: None,
            now: self.days_ago(days_ago),
        };
        self.store.connect(&new, soon()).await?;
        Ok(())
    }

    /// Confirms the records of these dates as of so many days ago. On request, also notes that a form lacks a field.
    async fn confirm(
        &self,
        athlete: &AthleteId,
        dates: &[Date],
        last_day: Option<Date>,
        days_ago: i64,
        noted: bool,
    ) -> anyhow::Result<()> {
        let (user, fence) = self.claim(athlete).await?;
        let written: Vec<_> = self
            .forms
            .iter()
            .flat_map(|form| dates.iter().map(move |date| RecordKey { form: form.clone(), date: *date }))
            .map(|key| (key, Written { event: 2_000_000, digest: "made up".to_owned() }))
            .collect();
        let note = "the form \"Oura Activity Summary\" does not have the fields Steps: add them, or take them out of forms.toml";
        let finish = Finish {
            digest: WindowDigest::Clear,
            note: noted.then(|| note.to_owned()),
            last_day,
            backfill: BackfillDebt::Keep,
            brought: None,
            synced: true,
            released: true,
            now: self.days_ago(days_ago),
        };
        self.store.confirm(athlete, user, fence, &written, finish, soon()).await?;
        self.store.heartbeat(athlete, self.now - SignedDuration::from_mins(7), soon()).await?;
        Ok(())
    }

    /// Leaves one record sent and not confirmed.
    async fn intend(&self, athlete: &AthleteId, date: Date) -> anyhow::Result<()> {
        let (_, fence) = self.claim(athlete).await?;
        let intended = self.forms.iter().map(|form| RecordKey { form: form.clone(), date }).collect();
        self.store.intend(athlete, fence, &intended, soon()).await?;
        self.store.release(athlete, fence, soon()).await?;
        Ok(())
    }

    /// The athlete's Smartabase user, and the fence of a new lease on the connection.
    async fn claim(&self, athlete: &AthleteId) -> anyhow::Result<(u64, u64)> {
        let until = self.now + SignedDuration::from_secs(1);
        match self.store.claim(athlete, "the crowd", self.now, until, None, soon()).await? {
            Claim::Won(connection) => Ok((connection.user_id, connection.fence)),
            other => anyhow::bail!("{other:?}"),
        }
    }

    fn days_ago(&self, days: i64) -> Timestamp {
        self.now - SignedDuration::from_hours(24 * days)
    }
}

/// A number from 0 to 99 that depends only on athlete and date.
fn chance_of(number: u64, date: Date) -> u64 {
    let day = u64::try_from(date.day()).unwrap_or(0) + 31 * u64::try_from(date.month()).unwrap_or(0);
    let mixed = (number * 1_000 + day).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) % 100
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}
