//! `connector secrets set` fills a secret with values that the service itself has accepted.
//!
//! The values come from the keyboard, with secret values not echoed, or from standard input. They are never arguments,
//! which other users of the machine could read, and the command never prints them.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, stdin};

use aws_sdk_secretsmanager::Client;
use clap::{Args, Subcommand, ValueEnum};
use runtime::{SecretError, SecretName, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use crate::aws;
use crate::failure::Failure;
use crate::installation::{Installation, Place, soon};
use crate::remote_errors::{self, About, Explained, Keeper};
use crate::report::{Ending, Report, ask, remark};
use crate::stack::Stack;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask for the values of a secret, verify them with the service, and store them.
    Set(Options),
}

#[derive(Args)]
pub(crate) struct Options {
    /// The secret to fill.
    secret: Which,
    /// Read the values from standard input, as JSON: {"client_id": "...", "client_secret": "..."} or {"username":
    /// "...", "password": "..."}.
    #[arg(long)]
    stdin: bool,
    /// Store the values even if the service can’t be reached to verify them. Refused values are never stored.
    #[arg(long)]
    unverified: bool,
}

/// The secrets that the operator fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// The Oura application’s client id and client secret.
    Oura,
    /// The Smartabase account’s username and password.
    Smartabase,
}

/// The `--json` output.
#[derive(Serialize)]
struct Stored {
    secret: Which,
    /// Whether the service verified the values.
    verified: bool,
}

/// The service's answer about the values.
enum CheckResult {
    Right,
    Wrong(String),
    Untold(String),
}

impl Command {
    pub(crate) async fn run(&self, installation: &Installation) -> Result<Report, Failure> {
        let Self::Set(options) = self;
        let Place::Stack(stack) = &installation.place else { return Err(nothing_to_store(options.secret)) };
        let settings = installation.settings()?;
        let (name, secret) = if options.stdin { piped(options.secret)? } else { asked(options.secret)? };
        if name.trim().is_empty() || secret.expose_secret().trim().is_empty() {
            return Err(Failure::usage("both values are needed, and neither may be empty"));
        }
        let [(first, _), (second, _)] = options.secret.values();
        let value = json!({first: name, second: secret.expose_secret()}).to_string().into();
        let verdict = match options.secret {
            Which::Oura => application(name, secret, settings).await?,
            Which::Smartabase => account(name, secret, settings).await?,
        };
        let verified = match verdict {
            CheckResult::Right => true,
            CheckResult::Untold(why) if options.unverified => {
                remark(&format!("connector: stored unverified: {why}"));
                false
            }
            CheckResult::Untold(why) => {
                return Err(Failure::Failed(format!(
                    "nothing was stored, because nobody could say whether it is right: {why}; or give --unverified"
                )));
            }
            CheckResult::Wrong(why) => return Err(Failure::Failed(format!("nothing was stored: {why}"))),
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

    /// The two values, the secret one last: the JSON key of each, and its prompt.
    fn values(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Oura => [("client_id", "Client id of the Oura application"), ("client_secret", "Client secret")],
            Self::Smartabase => [("username", "Username of the Smartabase account"), ("password", "Password")],
        }
    }
}

async fn application(
    client_id: String,
    client_secret: SecretString,
    settings: Settings,
) -> Result<CheckResult, Failure> {
    let client = oura::Client::new(settings.oura).map_err(|error| Failure::Failed(error.to_string()))?;
    let credentials = oura::ClientCredentials { client_id, client_secret };
    let answer = client.recognises(&credentials, soon().instant()).await;
    Ok(answer.map_or_else(
        |error| CheckResult::of(&remote_errors::token_server(Keeper::Manager, &error)),
        |()| CheckResult::Right,
    ))
}

async fn account(username: String, password: SecretString, settings: Settings) -> Result<CheckResult, Failure> {
    let client = smartabase::Client::new(settings.site).map_err(|error| Failure::Failed(error.to_string()))?;
    // Send exactly one request: wrong passwords may lock the account.
    let answer = client.sign_in(&smartabase::Credentials { username, password }, soon().instant()).await;
    Ok(answer.map_or_else(
        |error| CheckResult::of(&remote_errors::site(client.site(), Keeper::Manager, &error)),
        |()| CheckResult::Right,
    ))
}

impl CheckResult {
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

/// Explains in a sentence why a secret can't be read.
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

/// Prompts for both values. The second is not echoed.
fn asked(secret: Which) -> Result<(String, SecretString), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask at: give --stdin, and the values as JSON on standard input",
        ));
    }
    let unreadable = |error| Failure::Failed(format!("the terminal can’t be read: {error}"));
    let [(_, first), (_, second)] = secret.values();
    ask(&format!("{first}: "));
    let mut name = String::new();
    stdin().read_line(&mut name).map_err(unreadable)?;
    let unseen = rpassword::prompt_password(format!("{second} (not shown): ")).map_err(unreadable)?;
    Ok((name.trim().to_owned(), unseen.into()))
}

/// The largest secret that Secrets Manager stores, in bytes.
const LONGEST: u64 = 65_536;

/// Reads both values from standard input.
fn piped(secret: Which) -> Result<(String, SecretString), Failure> {
    let mut text = String::new();
    let read = stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::Failed(format!("standard input can’t be read: {error}")))?;
    let text = SecretString::from(text);
    // The parser's own message quotes the input, which may be secret.
    let values: Option<BTreeMap<String, SecretString>> = serde_json::from_str(text.expose_secret()).ok();
    let [first, second] = secret.values().map(|(name, _)| values.as_ref().and_then(|values| values.get(name)));
    let (Some(name), Some(secret)) = (first, second) else {
        return Err(Failure::usage(
            "what came on standard input is not the JSON that `connector secrets set --help` shows",
        ));
    };
    Ok((name.expose_secret().to_owned(), secret.clone()))
}
