//! A session at the site, which v3 requires and v1 does not. The v2 login opens it.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Error;
use crate::schema::{FormSchema, FormSummary, read_schema, read_summaries};
use crate::site::Credentials;
use crate::transport::Transport;

/// A session. It lasts some minutes; the exact time is not published. Use it at once and drop it.
pub struct Session {
    transport: Transport,
    id: SecretString,
}

/// Without its id, which is as secret as the password while the session lasts.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a session with one request that is never repeated.
    ///
    /// The site refuses a login with status 200 and a message, whatever the reason is. The password may be wrong;
    /// [`sign_in`](Client::sign_in) checks that first. Or the account needs a second factor or single sign-on, or must
    /// agree to something. The result is [`Error::Refused`] with the site's message.
    pub async fn open_session(&self, credentials: &Credentials, deadline: Instant) -> Result<Session, Error> {
        let body = LoginBody {
            username: &credentials.username,
            password: credentials.password.expose_secret(),
            login_properties: LoginProperties {
                app_name: self.site().application(),
                // Wall clock without a zone, as the vendor's client sends it.
                client_time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            },
        };
        let id = self.transport.log_in(credentials, &body, deadline).await?;
        Ok(Session { transport: self.transport.clone(), id })
    }
}

impl Session {
    /// The event and profile forms that the account can see.
    ///
    /// [`Error::NotFound`], [`Error::NotJson`] and [`Error::Forbidden`] mean that the site does not offer v3, or not to
    /// this account.
    pub async fn forms(&self, deadline: Instant) -> Result<Vec<FormSummary>, Error> {
        let answer = self.transport.get("forms/summaries", &self.id, deadline).await?;
        read_summaries(&answer)
    }

    /// The fields of one form.
    pub async fn schema(&self, form: &FormSummary, deadline: Instant) -> Result<FormSchema, Error> {
        let path = format!("forms/{}/{}", form.kind.as_str(), form.id);
        let answer = self.transport.get(&path, &self.id, deadline).await?;
        read_schema(&answer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginBody<'a> {
    username: &'a str,
    password: &'a str,
    login_properties: LoginProperties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginProperties<'a> {
    app_name: &'a str,
    client_time: String,
}
