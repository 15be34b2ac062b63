//! `connector secrets set`: fills a secret, with values that the service itself has accepted.
//!
//! The values come from the keyboard, the secret ones unseen, or from standard input. They are in no argument, which
//! other users of the machine could read, and in nothing that is printed.

use std::io::{IsTerminal, Read, Write, stderr, stdin};

use aws_sdk_secretsmanager::Client;
use clap::{Args, Subcommand, ValueEnum};
use runtime::{SecretError, SecretName, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::aws;
use crate::failure::Failure;
use crate::installation::{Installation, Place, soon};
use crate::report::{Ending, Report, remark};
use crate::services::{self, About, Explained};
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Asks for the values of a secret, has the service say that they are right, and stores them.
    Set(Options),
}

#[derive(Args)]
pub(crate) struct Options {
    /// Which secret.
    secret: Which,
    /// Read the values from standard input, as JSON: {"client_id": "...", "client_secret": "..."} or {"username": "...",
    /// "password": "..."}.
    #[arg(long)]
    stdin: bool,
    /// Store the values although the service could not be asked. What it refuses is never stored.
    #[arg(long)]
    unverified: bool,
}

/// The secrets that people fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// The Oura application’s client id and client secret.
    Oura,
    /// The Smartabase account’s username and password.
    Smartabase,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Stored {
    secret: Which,
    /// Whether the service said that the values are right.
    verified: bool,
}

/// What the service said.
enum Verdict {
    Right,
    Wrong(String),
    Untold(String),
}

impl Command {
    pub(crate) async fn run(&self, installation: &Installation) -> Result<Report, Failure> {
        let Self::Set(options) = self;
        let Place::Stack(stack) = &installation.place else { return Err(nothing_to_store(options.secret)) };
        let settings = installation.settings()?;
        let (value, verdict) = match options.secret {
            Which::Oura => application(options.stdin, settings).await?,
            Which::Smartabase => account(options.stdin, settings).await?,
        };
        let verified = match verdict {
            Verdict::Right => true,
            Verdict::Untold(why) if options.unverified => {
                remark(&format!("connector: stored unverified: {why}"));
                false
            }
            Verdict::Untold(why) => {
                return Err(Failure::Failed(format!(
                    "nothing was stored, because nobody could say whether it is right: {why}; or give --unverified"
                )));
            }
            Verdict::Wrong(why) => return Err(Failure::Failed(format!("nothing was stored: {why}"))),
        };
        store(stack, options.secret, &value).await?;
        let accepted = if verified { "accepted by the service and " } else { "" };
        let name = options.secret.name();
        let text = format!("the {name} secret is {accepted}stored; running functions use it within five minutes");
        Ok(Report::new(Ending::Fine, &Stored { secret: options.secret, verified }, text))
    }
}

impl Which {
    fn name(self) -> SecretName {
        match self {
            Self::Oura => SecretName::Oura,
            Self::Smartabase => SecretName::Smartabase,
        }
    }
}

async fn application(piped_in: bool, settings: Settings) -> Result<(SecretString, Verdict), Failure> {
    let credentials = if piped_in {
        piped()?
    } else {
        oura::ClientCredentials {
            client_id: asked("Client id of the Oura application")?,
            client_secret: asked_unseen("Client secret")?,
        }
    };
    let (id, secret) = (&credentials.client_id, credentials.client_secret.expose_secret());
    filled(id, secret)?;
    let client = oura::Client::new(settings.oura).map_err(|error| Failure::Failed(error.to_string()))?;
    let answer = client.recognises(&credentials, soon().instant()).await;
    let verdict = answer.map_or_else(|error| Verdict::of(&services::token_server(&error)), |()| Verdict::Right);
    Ok((json!({"client_id": id, "client_secret": secret}).to_string().into(), verdict))
}

async fn account(piped_in: bool, settings: Settings) -> Result<(SecretString, Verdict), Failure> {
    let credentials = if piped_in {
        piped()?
    } else {
        smartabase::Credentials {
            username: asked("Username of the Smartabase account")?,
            password: asked_unseen("Password")?,
        }
    };
    let (username, password) = (&credentials.username, credentials.password.expose_secret());
    filled(username, password)?;
    let client = smartabase::Client::new(settings.site).map_err(|error| Failure::Failed(error.to_string()))?;
    // One request, whatever comes of it: wrong passwords may lock the account.
    let answer = client.sign_in(&credentials, soon().instant()).await;
    let verdict = answer.map_or_else(|error| Verdict::of(&services::site(client.site(), &error)), |()| Verdict::Right);
    Ok((json!({"username": username, "password": password}).to_string().into(), verdict))
}

impl Verdict {
    fn of(explained: &Explained) -> Self {
        let sentence = format!("{}: {}", explained.says, explained.remedy);
        match explained.about {
            About::Credentials => Self::Wrong(sentence),
            About::Installation | About::Moment => Self::Untold(sentence),
        }
    }
}

async fn store(stack: &Stack, which: Which, value: &SecretString) -> Result<(), Failure> {
    let arn = match which {
        Which::Oura => stack.output("OuraSecretArn")?,
        Which::Smartabase => stack.output("SmartabaseSecretArn")?,
    };
    let request = Client::new(&stack.aws).put_secret_value().secret_id(arn).secret_string(value.expose_secret());
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(aws::explain("store the secret", &error, &stack.aws)),
    }
}

/// A secret that can't be read, as a sentence.
pub(crate) fn unusable(error: &SecretError) -> Failure {
    let (says, remedy) = told(error);
    Failure::Failed(format!("{says}: {remedy}"))
}

/// What is wrong with a secret, and what to do.
pub(crate) fn told(error: &SecretError) -> (String, String) {
    match error {
        SecretError::Unfilled { name: SecretName::Key, command }
        | SecretError::Malformed { name: SecretName::Key, command } => {
            ("the root key is empty".to_owned(), format!("fill it with `{command}`"))
        }
        SecretError::Unfilled { name, .. } => {
            (format!("the {name} secret is not filled"), format!("fill it with `connector secrets set {name}`"))
        }
        SecretError::Malformed { name, .. } => (
            format!("the {name} secret is not of the form it should be"),
            format!("fill it anew with `connector secrets set {name}`"),
        ),
        SecretError::Unavailable { name, .. } => (
            format!("the {name} secret can’t be read from Secrets Manager"),
            "sign in as somebody who may read it, for example with --profile, and check the network".to_owned(),
        ),
        SecretError::KeyGone { .. } => (error.to_string(), "restore that version of the key".to_owned()),
    }
}

fn nothing_to_store(secret: Which) -> Failure {
    let variables = match secret {
        Which::Oura => "OURA_CLIENT_ID and OURA_CLIENT_SECRET",
        Which::Smartabase => "SMARTABASE_USERNAME and SMARTABASE_PASSWORD",
    };
    Failure::usage(format!(
        "a pilot’s secrets are stored nowhere: set {variables} in the environment of `serve`, then try them with \
         `connector doctor`"
    ))
}

/// Asks for something that may be seen.
fn asked(question: &str) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask at: give --stdin, and the values as JSON on standard input",
        ));
    }
    let _ = write!(stderr(), "{question}: ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|error| Failure::Failed(format!("the terminal can’t be read: {error}")))?;
    Ok(answer.trim().to_owned())
}

/// Asks for something that nobody may read over a shoulder.
fn asked_unseen(question: &str) -> Result<SecretString, Failure> {
    let answer = rpassword::prompt_password(format!("{question} (not shown): "));
    answer.map(SecretString::from).map_err(|error| Failure::Failed(format!("the terminal can’t be read: {error}")))
}

/// The longest secret that Secrets Manager keeps, in bytes.
const LONGEST: u64 = 65_536;

fn piped<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut text = String::new();
    let read = stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("standard input can’t be read: {error}")))?;
    let text = SecretString::from(text);
    // The parser's own message quotes what it can't parse.
    serde_json::from_str(text.expose_secret()).map_err(|_| {
        Failure::usage("what came on standard input is not the JSON that `connector secrets set --help` shows")
    })
}

fn filled(name: &str, secret: &str) -> Result<(), Failure> {
    if !name.trim().is_empty() && !secret.trim().is_empty() {
        return Ok(());
    }
    Err(Failure::usage("both values are needed, and neither may be empty"))
}
