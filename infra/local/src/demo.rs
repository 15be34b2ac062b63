//! The demonstration: a squad with the real connector and simulated services. Everything it prints comes from the data
//! in the simulated services and from requests counted on the wires. If a promise is not kept, it exits with an error.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use local::{Cast, Cost, Stage};
use sim::oura::{Life, Person};
use sim::smartabase::User;

#[derive(Args)]
pub(crate) struct Options {
    /// Exit after the demonstration.
    #[arg(long)]
    once: bool,
}

/// Oura id, first name, last name, zone, and whether the person's days are regular.
const SQUAD: [(&str, &str, &str, &str, bool); 6] = [
    ("ada", "Ada", "Okafor", "Europe/Berlin", true),
    ("ben", "Ben", "Tahana", "Pacific/Auckland", true),
    ("cleo", "Cleo", "Martin", "America/Denver", true),
    ("dev", "Dev", "Sharma", "Asia/Kathmandu", false),
    ("eva", "Eva", "Lindqvist", "Europe/Stockholm", false),
    ("finn", "Finn", "Byrne", "Europe/Dublin", true),
];

/// The last person is left for the viewer to connect.
const CONNECTED: usize = SQUAD.len() - 1;

const FIRST_USER: i64 = 1001;
const NIGHTS: &str = "Oura Readiness and Sleep Summary";
const DAYS: &str = "Oura Activity Summary";
const STANDINGS: &str = "Oura Refresh Token";

/// The demonstration begins on the morning after this night.
const MONDAY: Date = date(2026, 3, 2);
const TUESDAY: Date = date(2026, 3, 3);

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Stage::set(cast()).await?;
    println!("The Oura connector for Smartabase, with both services simulated. It is Tuesday 3 March 2026, 16:00 UTC.");

    step("Enrol: everybody on the roster with a UUID gets a personal link in the form “Authorise Oura Data”.");
    let enrolled = stage.process.enrol().await?;
    ensure!(enrolled.told == SQUAD.len(), "not everybody has a link");
    for (user, (_, first, last, ..)) in users() {
        println!("   {:<16} {}", format!("{first} {last}"), shortened(&stage.link(user)?));
    }
    spent(&stage.cost());

    step("Connect: the athlete opens the link, presses one button, and approves at Oura.");
    for (user, (person, first, ..)) in users().take(CONNECTED) {
        let visit = stage.connect(user, person).await?;
        ensure!(visit.status == 200, "{first} could not connect: {}", visit.page);
    }
    println!("   {CONNECTED} athletes connected; {} is left for you.", SQUAD[CONNECTED].1);
    spent(&stage.cost());

    step("Backfill: the last 30 days of each follow at once.");
    stage.settle().await;
    records(&stage);
    monday_night(&stage)?;
    spent(&stage.cost());

    step("Staff read in the form “Oura Refresh Token” how everybody stands.");
    standings(&stage)?;

    step("Tick: the schedule fires every 15 minutes. The first looks at the window once with the ledger at hand.");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await?;
    spent(&stage.cost());

    step("Tick again, and nothing has changed at Oura.");
    stage.pass(SignedDuration::from_mins(15));
    stage.process.tick().await?;
    println!("   the schedule:");
    spent(&stage.cost());
    stage.settle().await;
    println!("   the syncs:");
    let cost = stage.cost();
    spent(&cost);
    unchanged(&cost)?;

    step("Ada edits her bedtime in the Oura app, and the next tick corrects the one event, in place.");
    revise(&stage).await?;
    spent(&stage.cost());

    ensure!(stage.smartabase.duplicates().is_empty(), "a date has two events");
    ensure!(stage.oura.violations().is_empty(), "Oura was misused: {:?}", stage.oura.violations());
    ensure!(stage.smartabase.violations().is_empty(), "Smartabase was misused: {:?}", stage.smartabase.violations());
    println!("\nEverything promised happened.");
    if options.once { Ok(()) } else { stay(&stage).await }
}

fn cast() -> Cast {
    let since = MONDAY.saturating_sub(90.days());
    let people = SQUAD.iter().map(|(id, first, last, zone, regular)| {
        let life = if *regular { Life::Regular { since } } else { Life::Varied { since } };
        Person::new(id, &format!("{first} {last}"), zone).living(life)
    });
    let users = users().map(|(user, (id, first, last, ..))| User::new(user, &format!("athlete-{id}"), first, last));
    let now = TUESDAY.at(16, 0, 0, 0).to_zoned(TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |now| now.timestamp());
    Cast { now, people: people.collect(), users: users.collect(), ..Cast::new() }
}

fn users() -> impl Iterator<Item = (i64, &'static (&'static str, &'static str, &'static str, &'static str, bool))> {
    (FIRST_USER..).zip(&SQUAD)
}

/// The last nights of the connected athletes, as Smartabase holds them.
fn records(stage: &Stage) {
    let nights: Vec<Date> = (0..5).rev().map(|back| MONDAY.saturating_sub(back.days())).collect();
    print!("\n   {NIGHTS}\n   {:<16}", "sleep · readiness");
    for night in &nights {
        print!(" {:>14}", night.strftime("%a %d %b").to_string());
    }
    println!("   nights   days");
    for (user, (_, first, last, ..)) in users().take(CONNECTED) {
        print!("   {:<16}", format!("{first} {last}"));
        for night in &nights {
            let cell = stage.smartabase.event_on(user, NIGHTS, *night).map_or_else(
                || "–".to_owned(),
                |event| {
                    let value = |label| event.value(label).filter(|text| !text.is_empty()).unwrap_or("–").to_owned();
                    format!("{} · {}", value("Sleep Score"), value("Readiness Score"))
                },
            );
            print!(" {cell:>14}");
        }
        let count = |form| stage.smartabase.events_of(user, form).len();
        println!("   {:>6} {:>6}", count(NIGHTS), count(DAYS));
    }
    println!();
}

/// The staff form of every athlete, including the one who is not connected.
fn standings(stage: &Stage) -> anyhow::Result<()> {
    for (position, (user, (_, first, last, ..))) in users().enumerate() {
        let form =
            stage.smartabase.profile(user, STANDINGS).with_context(|| format!("staff know nothing of {first}"))?;
        let said = |label| form.value(label).unwrap_or("–");
        let connected = said("Status") != "not connected yet";
        ensure!(connected == (position < CONNECTED), "{first} is said to be {}", said("Status"));
        println!("   {:<16} {:<46} {}", format!("{first} {last}"), said("Status"), said("Last Night Received"));
    }
    Ok(())
}

/// The night that ended on Tuesday morning must be dated Monday, with Oura's own numbers.
fn monday_night(stage: &Stage) -> anyhow::Result<()> {
    for (user, (person, first, _, _, regular)) in users().take(CONNECTED) {
        let Some(night) = stage.oura.night(person, TUESDAY) else {
            ensure!(!regular, "{first} has not slept");
            continue;
        };
        let event = stage.smartabase.event_on(user, NIGHTS, MONDAY);
        let event = event.with_context(|| format!("{first}'s Monday night is missing"))?;
        let seconds = night.get("total_sleep_duration").and_then(serde_json::Value::as_f64);
        let minutes = event.value("Sleep Time (min)").and_then(|text| text.parse::<f64>().ok());
        let differs = seconds.zip(minutes).is_none_or(|(seconds, minutes)| (seconds / 60.0 - minutes).abs() > 0.06);
        ensure!(!differs, "{first}'s Monday night is not what Oura says");
    }
    println!("   Monday night’s sleep, which Oura dates Tuesday, stands under Monday for everybody who slept.");
    Ok(())
}

/// The limit for an unchanged athlete: four requests to Oura, a share of one table read, nothing else.
fn unchanged(cost: &Cost) -> anyhow::Result<()> {
    let asked = cost.oura.len();
    ensure!(asked == 4 * CONNECTED, "{asked} requests to Oura for {CONNECTED} unchanged athletes");
    ensure!(cost.smartabase.is_empty(), "Smartabase was asked about unchanged athletes");
    let reads = cost.table.operations("BatchGetItem");
    ensure!(cost.table.len() == reads, "the table was written for unchanged athletes");
    println!("   4 requests to Oura per athlete, a table read per batch, no write, no request to Smartabase.");
    Ok(())
}

async fn revise(stage: &Stage) -> anyhow::Result<()> {
    let before = stage.smartabase.event_on(FIRST_USER, NIGHTS, MONDAY).context("Ada's Monday night is missing")?;
    stage.oura.revise_night("ada", TUESDAY, |night| {
        night["total_sleep_duration"] = 25_200.into();
        night["latency"] = 1_200.into();
    });
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await?;
    let after = stage.smartabase.event_on(FIRST_USER, NIGHTS, MONDAY).context("Ada's Monday night is gone")?;
    ensure!(before.id == after.id, "the revised night became another event");
    let touched: u32 = stage.smartabase.events(NIGHTS).iter().map(|event| event.updates).sum();
    let said =
        |label: &str| (before.value(label).unwrap_or("–").to_owned(), after.value(label).unwrap_or("–").to_owned());
    let ((slept, sleeps), (lay, lies)) = (said("Sleep Time (min)"), said("Latency (min)"));
    ensure!(sleeps == "420" && lies == "20", "the revision did not arrive");
    println!(
        "   event {}: sleep {slept} → {sleeps} min, latency {lay} → {lies} min; {touched} event touched.",
        after.id
    );
    ensure!(touched == 1, "the revision touched {touched} events");
    Ok(())
}

/// Runs ticks until the process is interrupted.
async fn stay(stage: &Stage) -> anyhow::Result<()> {
    let (user, (_, first, ..)) = users().nth(CONNECTED).context("nobody is left")?;
    println!("\nThe forms, as Smartabase holds them:  {}", stage.smartabase.page_url());
    println!("Connect {first} yourself:");
    println!("   {}", stage.link(user)?);
    println!("The schedule goes on, every 15 minutes. Ctrl-C ends it.");
    let step = Duration::from_millis(250);
    let mut last = Instant::now();
    let mut due = stage.clock.now() + stage.process.connector.settings.period;
    loop {
        tokio::select! {
            () = tokio::time::sleep(step) => {}
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
        }
        stage.pass(SignedDuration::try_from(last.elapsed())?);
        last = Instant::now();
        if stage.clock.now() >= due {
            stage.process.tick().await?;
            due += stage.process.connector.settings.period;
        }
        stage.process.work_until(stage.clock.now()).await;
    }
}

fn step(what: &str) {
    println!("\n── {what}");
}

fn spent(cost: &Cost) {
    let writes = cost.table.entries.iter().filter(|entry| is_write(&entry.operation)).count();
    println!(
        "   requests: {} to Oura, {} to Smartabase, {} to the table ({} reads, {writes} writes)",
        cost.oura.len(),
        cost.smartabase.len(),
        cost.table.len(),
        cost.table.len() - writes,
    );
}

fn is_write(operation: &str) -> bool {
    ["Put", "Update", "Delete", "TransactWrite", "BatchWrite"].iter().any(|write| operation.starts_with(write))
}

/// A link without most of its signature, to shorten the line.
fn shortened(link: &str) -> String {
    link.char_indices().nth(96).map_or_else(|| link.to_owned(), |(end, _)| format!("{}…", &link[..end]))
}
