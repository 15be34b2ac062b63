//! The product in one process with both services simulated, for a test that drives it from outside with a browser.
//!
//! It prints the addresses of the forms as one line of JSON. Then it reads orders from standard input and answers each
//! with one line. It ends when standard input ends, so it can't be left behind. The clock stays at the morning of
//! Tuesday 3 March 2026 until an order moves it. Syncs run only on an order. Every athlete is enrolled and none is
//! connected.

use anyhow::Context;
use connector::Link;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, ToSpan};
use local::{Cast, Stage};
use runtime::Deadline;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::oura::{Life, Person};
use sim::smartabase::{Form, User};
use sim::wire::{Answer, Fault, When};
use std::time::Duration;
use store::AthleteId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

/// An order, such as `{"order":"pass","minutes":10}`.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    /// Time passes.
    Pass { minutes: i64 },
    /// Runs a tick, then the jobs that it queued.
    Tick,
    /// Runs the queued jobs.
    Settle,
    /// Links are renewed.
    Enrol,
    /// The person withdraws every consent in the Oura app.
    Withdraw { person: String },
    /// The person withdraws one scope.
    WithdrawScope { person: String, scope: String },
    /// The person's paid membership ends.
    Lapse { person: String },
    /// The person's Oura app becomes too old for Oura.
    OutdateApp { person: String },
    /// The person takes the ring off: no more nights from now on.
    StopWearing { person: String },
    /// An administrator removes the first field from the form of nights.
    LoseField,
    /// Oura answers requests to this path with only this status.
    OuraAnswers { path: String, status: u16 },
    /// Oura no longer accepts the connector's secret.
    ChangeClientSecret,
    /// Every request to the table fails.
    CutTable,
    /// Services and table answer again.
    Heal,
    /// A valid link of an athlete who was never enrolled.
    StrangersLink,
    /// Invalid requests that either service has received, in words.
    Violations,
}

/// Oura id, first and last name: ordinary names first, then difficult ones that a page must display.
const ATHLETES: [(&str, &str, &str); 6] = [
    ("ada", "Ada", "Okafor"),
    ("ben", "Ben", "Tahana"),
    ("cleo", "Cleo", "Martin"),
    ("maryam", "مريم", "الزهراني"),
    ("rhys", "Rhys <b>&amp;</b>", "D’Arcy-O'Neil 🏉"),
    ("aleksandra", "Aleksandra-Konstantinovna", "Wolfeschlegelsteinhausenbergerdorffpapadimitriou"),
];

const SINCE: Date = date(2025, 12, 1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let people = ATHLETES.map(|(id, first, last)| {
        Person::new(id, &format!("{first} {last}"), "Europe/Berlin").living(Life::Regular { since: SINCE })
    });
    let users =
        (1001..).zip(ATHLETES).map(|(user, (id, first, last))| User::new(user, &format!("uuid-{id}"), first, last));
    let cast = Cast { people: people.into(), users: users.collect(), ..Cast::new() };
    let stage = Stage::set(cast).await?;
    stage.process.enrol().await?;
    say(&json!({
        "site": stage.smartabase_wire.url(),
        "connector": stage.process.connector.settings.public_url,
    }))
    .await?;
    let mut orders = BufReader::new(stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        say(&obey(serde_json::from_str(&order)?, &stage).await?).await?;
    }
    Ok(())
}

async fn say(what: &Value) -> anyhow::Result<()> {
    let mut output = stdout();
    output.write_all(format!("{what}\n").as_bytes()).await?;
    Ok(output.flush().await?)
}

async fn obey(order: Order, stage: &Stage) -> anyhow::Result<Value> {
    match order {
        Order::Pass { minutes } => stage.pass(SignedDuration::from_mins(minutes)),
        Order::Tick => stage.tick().await?,
        Order::Settle => stage.settle().await,
        Order::Enrol => {
            stage.process.enrol().await?;
        }
        Order::Withdraw { person } => stage.oura.withdraw(&person),
        Order::WithdrawScope { person, scope } => stage.oura.withdraw_scope(&person, &scope),
        Order::Lapse { person } => stage.oura.set_member(&person, false),
        Order::OutdateApp { person } => stage.oura.set_outdated_app(&person, true),
        Order::StopWearing { person } => stage.oura.change_person(&person, |person| person.life = Life::Blank),
        Order::LoseField => {
            let form = stage.process.connector.forms.events.first().context("there is no form")?;
            let kept = form.fields.iter().skip(1).map(|field| field.label.clone());
            stage.smartabase.set_form(Form::event(form.name.as_str(), kept));
        }
        Order::OuraAnswers { path, status } => {
            stage.oura_wire.inject(When::every().path(path), Fault::Answer(Answer::status(status)));
        }
        Order::ChangeClientSecret => stage.oura.configure(|settings| "another".clone_into(&mut settings.client_secret)),
        Order::CutTable => stage.table_wire.inject(When::every(), Fault::DropBefore),
        Order::Heal => {
            stage.oura_wire.heal();
            stage.table_wire.heal();
        }
        Order::StrangersLink => return strangers_link(stage).await,
        Order::Violations => {
            let oura = stage.oura.violations().into_iter().map(|violation| format!("{violation:?}"));
            let smartabase = stage.smartabase.violations().into_iter().map(|violation| format!("{violation:?}"));
            return Ok(oura.chain(smartabase).collect());
        }
    }
    Ok(Value::Null)
}

async fn strangers_link(stage: &Stage) -> anyhow::Result<Value> {
    let connector = &stage.process.connector;
    let keyring = connector.secrets.keyring(Deadline::within(Duration::from_secs(10))).await?;
    let stranger = AthleteId::parse("uuid-stranger").ok().context("not an athlete's id")?;
    let expires = stage.clock.now() + 24.hours();
    Ok(json!(Link::new(&keyring, stranger, expires).to_url(connector.settings.page("connect"))))
}
