//! Runs both simulators in a process of their own, on the machine's clock, for a connector that runs somewhere else.
//!
//! It prints the addresses as one line of JSON. Then it reads orders from standard input and answers each with one
//! line. It exits when standard input is closed, so it cannot outlive its caller. It knows three people, `ada`, `ben`
//! and `cyd`, who are users 1001 to 1003 of the site, with UUIDs such as `uuid-ada`. The site has no forms at first.

use std::io::{BufRead, Write};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde_json::{Value, json};
use sim::oura::{Collection, Life, Oura, Person, TokenErrorStatus, TokenServer};
use sim::smartabase::{Form, Smartabase, User};
use sim::{oura, smartabase};

/// An order to the process: `{"order":"documents","person":"ada",...}`.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    /// Adds an event form to the site.
    EventForm { name: String, fields: Vec<String> },
    /// Adds a profile form to the site.
    ProfileForm { name: String, fields: Vec<String> },
    /// Changes the account's password at the site.
    SetPassword { password: String },
    /// Changes the application's secret at Oura.
    SetClientSecret { secret: String },
    /// Lets every access token of the person stop working early.
    ExpireAccessTokens { person: String },
    /// Oura's token servers go down, or come back.
    TokenServersDown { down: bool },
    /// Registers an address at Oura to which the application may redirect.
    RegisterRedirect { url: String },
    /// Returns what Oura shows of one collection for one day.
    Documents { person: String, collection: String, day: Date },
    /// Returns the night's sleep of a day as Oura shows it; null if there is none.
    Night { person: String, day: Date },
    /// Changes one value of the person's night.
    ReviseNight { person: String, day: Date, field: String, value: Value },
    /// Returns whether all grants of the person are revoked.
    Revoked { person: String },
    /// Returns every code and token that Oura ever issued.
    Issued,
    /// Returns, in words, what a client did at either service that it must not do.
    Violations,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let since = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().checked_sub(60.days())?;
    let people =
        [("ada", "Ada Sample", "Europe/Berlin"), ("ben", "Ben Sample", "UTC"), ("cyd", "Cyd Sample", "America/Lima")];
    let oura = Oura::start(oura::Config {
        people: people
            .iter()
            .map(|(id, name, zone)| Person::new(id, name, zone).living(Life::Regular { since }))
            .collect(),
        ..oura::Config::default()
    })
    .await?;
    let account = smartabase::Config::default();
    let (username, password) = (account.username.clone(), account.password.clone());
    let users = people.iter().zip(1001..).map(|((id, name, _), user)| {
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        User::new(user, &format!("uuid-of-{id}"), first, last)
    });
    let site = Smartabase::start(smartabase::Config { users: users.collect(), ..account }).await?;
    let application = oura::Settings::default();
    println!(
        "{}",
        json!({
            "oura": {
                "authorize": oura.authorize_url(),
                "token": oura.token_url(TokenServer::New),
                "revoke": oura.revoke_url(TokenServer::New),
                "api": oura.url(),
            },
            "application": { "client_id": application.client_id, "client_secret": application.client_secret },
            "smartabase": { "url": site.url(), "username": username, "password": password },
            "athletes": people.iter().map(|(id, ..)| (*id, format!("uuid-of-{id}"))).collect::<std::collections::BTreeMap<_, _>>(),
        })
    );
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            let answer = obey(serde_json::from_str(&line?)?, &oura, &site);
            let mut output = std::io::stdout().lock();
            writeln!(output, "{answer}")?;
            output.flush()?;
        }
        Ok(())
    })
    .await?
}

fn obey(order: Order, oura: &Oura, site: &Smartabase) -> Value {
    match order {
        Order::EventForm { name, fields } => site.set_form(Form::event(&name, fields)),
        Order::ProfileForm { name, fields } => site.set_form(Form::profile(&name, fields)),
        Order::SetPassword { password } => site.set_password(&password),
        Order::SetClientSecret { secret } => oura.configure(|settings| settings.client_secret = secret),
        Order::ExpireAccessTokens { person } => oura.expire_access_tokens(&person),
        Order::TokenServersDown { down } => oura.configure(|settings| {
            settings.token_error_status =
                if down { TokenErrorStatus::Unavailable } else { TokenErrorStatus::Documented };
        }),
        Order::RegisterRedirect { url } => oura.register_redirect(&url),
        Order::Documents { person, collection, day } => {
            let collection = Collection::ALL.into_iter().find(|other| other.name() == collection);
            return json!(collection.map(|collection| oura.documents_of(&person, collection, day)));
        }
        Order::Night { person, day } => return json!(oura.night(&person, day)),
        Order::ReviseNight { person, day, field, value } => {
            return oura.revise_night(&person, day, |night| night[field] = value);
        }
        Order::Revoked { person } => return json!(oura.grants(&person).iter().all(|grant| grant.revoked)),
        Order::Issued => return json!(oura.issued()),
        Order::Violations => {
            let mut violations: Vec<String> =
                oura.violations().iter().map(|violation| format!("{violation:?}")).collect();
            violations.extend(site.violations().iter().map(|violation| format!("{violation:?}")));
            return json!(violations);
        }
    }
    Value::Null
}
