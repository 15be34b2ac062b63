//! Explains why a request to Smartabase or Oura failed, and what to do about it.

use oura::TokenError;
use runtime::Secrets;
use smartabase::{Error, Site};

use crate::failure::Failure;

/// What an error means to the operator.
pub(crate) struct Explained {
    /// Its name, for scripts.
    pub(crate) name: &'static str,
    pub(crate) says: String,
    pub(crate) remedy: String,
    pub(crate) about: About,
}

/// The cause of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The username and password, or the client id and secret, are wrong.
    Credentials,
    /// Something else that the operator or an administrator has to correct.
    Installation,
    /// The service is the cause; it may recover by itself.
    Moment,
}

/// Where the installation's secrets are stored, and so where the operator corrects them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// Secrets Manager.
    Manager,
    /// The environment variables of the pilot's `serve`.
    Environment,
}

impl Keeper {
    pub(crate) fn of(secrets: &Secrets) -> Self {
        match secrets {
            Secrets::Manager(_) => Self::Manager,
            Secrets::Given(_) => Self::Environment,
        }
    }
}

/// Explains why a call that reads from the site failed.
pub(crate) fn site(site: &Site, keeper: Keeper, error: &Error) -> Explained {
    let address = "check the site’s address (SmartabaseUrl, or SMARTABASE_URL of a pilot), host and site name, as its users open it";
    let (name, says, remedy) = match error {
        Error::WrongCredentials => (
            "password-refused",
            format!("{site} refuses the username or the password"),
            format!(
                "{}: with the username, not an e-mail address, and with care, since wrong passwords may lock the account",
                match keeper {
                    Keeper::Manager => "fill the secret anew with `connector secrets set smartabase`",
                    Keeper::Environment =>
                        "correct SMARTABASE_USERNAME and SMARTABASE_PASSWORD, here and in the environment of `serve`",
                }
            ),
        ),
        Error::Forbidden => (
            "permission-missing",
            format!("{site} does not let the account do this"),
            "give the account the permissions that docs/deploy.md lists in its first step".to_owned(),
        ),
        Error::NotFound => ("site-missing", format!("there is no Smartabase site at {site}"), address.to_owned()),
        Error::NotJson { starts: "html", .. } => (
            "site-is-a-web-page",
            format!("{site} answers with a web page in place of the API"),
            format!("{address}; if it is right, ask Teamworks support to switch the API on"),
        ),
        Error::Unwell { status: None } => {
            ("site-unreachable", format!("{site} can’t be reached"), format!("check the network, and {address}"))
        }
        Error::Rejected { .. } => (
            "site-refuses",
            format!("{site}: {error}"),
            format!("{address}; if it is right, look for a firewall in between"),
        ),
        Error::Throttled { .. }
        | Error::Unwell { .. }
        | Error::Uncertain { .. }
        | Error::NotJson { .. }
        | Error::Refused { .. }
        | Error::Unexpected { .. }
        | Error::CursorRepeats
        | Error::TooLarge
        | Error::BatchSize { .. } => return passing("site-unwell", format!("{site}: {error}")),
    };
    let about = if *error == Error::WrongCredentials { About::Credentials } else { About::Installation };
    Explained { name, says, remedy, about }
}

/// Explains why Oura's token server did not accept the application's credentials.
pub(crate) fn token_server(keeper: Keeper, error: &TokenError) -> Explained {
    let (name, says, remedy) = match error {
        TokenError::InvalidClient => (
            "oura-client-refused",
            "Oura does not know this client id with this client secret".to_owned(),
            match keeper {
                Keeper::Manager => {
                    "copy both from the developer portal with `connector secrets set oura`; an application of the older \
                     token server needs the OuraTokenUrl of that server"
                }
                Keeper::Environment => {
                    "copy both from the developer portal to OURA_CLIENT_ID and OURA_CLIENT_SECRET, here and in the \
                     environment of `serve`; an application of the older token server needs the OURA_TOKEN_URL of that \
                     server"
                }
            },
        ),
        TokenError::Refused { code } => (
            "oura-token-address-wrong",
            format!("what is at OuraTokenUrl does not deal with this application ({code})"),
            "correct OuraTokenUrl, or leave it at its default",
        ),
        TokenError::Unusable { why } => (
            "oura-token-address-wrong",
            format!("what is at OuraTokenUrl is no token server: it answers with {why}"),
            "correct OuraTokenUrl, or leave it at its default",
        ),
        TokenError::Unwell { why } => (
            "oura-unreachable",
            format!("Oura’s token server can’t be reached ({why})"),
            "check the network, and OuraTokenUrl",
        ),
        TokenError::InvalidGrant | TokenError::Throttled(_) | TokenError::Uncertain { .. } => {
            return passing("oura-unwell", error.to_string());
        }
    };
    let about = if *error == TokenError::InvalidClient { About::Credentials } else { About::Installation };
    Explained { name, says, remedy: remedy.to_owned(), about }
}

fn passing(name: &'static str, says: String) -> Explained {
    Explained { name, says, remedy: "try again in some minutes".to_owned(), about: About::Moment }
}

impl From<Explained> for Failure {
    fn from(explained: Explained) -> Self {
        Self::Failed(format!("{}: {}", explained.says, explained.remedy))
    }
}
