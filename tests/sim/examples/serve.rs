//! Both simulators in a process of their own, on the machine's clock, for a connector that runs somewhere else.
//!
//! It says where they are in one line of JSON, then takes orders from standard input and answers each with one line. It
//! ends when standard input does, so it can't be left behind. It knows three people, `ada`, `ben` and `cyd`, who are
//! users 1001 to 1003 of the site under UUIDs that give that away, and no form.

use std::io::{BufRead, Write};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde_json::{Value, json};
use sim::oura::{Collection, Life, Oura, Person, TokenErrorStatus, TokenServer};
use sim::smartabase::{Form, Smartabase, User};
use sim::{oura, smartabase};

/// What can be asked of the process; `{"order":"documents","person":"ada",...}`.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    /// The site gets an event form.
    EventForm { name: String, fields: Vec<String> },
    /// The site gets a profile form.
    ProfileForm { name: String, fields: Vec<String> },
    /// The site gives the account another password.
    SetPassword { password: String },
    /// Oura's portal gives the application another secret.
    SetClientSecret { secret: String },
    /// Every access token of the person stops working before its time.
    ExpireAccessTokens { person: String },
    /// Oura's token servers go down, or come back.
    TokenServersDown { down: bool },
    /// Oura's portal learns where the application may be called back.
    RegisterRedirect { url: String },
    /// What Oura shows of one collection for one day.
    Documents { person: String, collection: String, day: Date },
    /// The night's sleep of a day, as Oura shows it; null when there is none.
    Night { person: String, day: Date },
    /// The person edits a night: one of its values changes.
    ReviseNight { person: String, day: Date, field: String, value: Value },
    /// Whether Oura holds no grant of the person any more.
    Revoked { person: String },
    /// Every code and token that Oura ever gave out.
    Issued,
    /// What either service was sent that it should not have been, in words.
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
