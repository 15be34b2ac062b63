//! Whether Oura knows the application, found out without anybody's grant.

use http::StatusCode;
use http::header::LOCATION;
use oauth2::CsrfToken;
use tokio::time::Instant;
use url::Url;

use crate::{ApiError, Client, ClientCredentials, TokenError};
use crate::{answer, oauth};

/// What Oura makes of a callback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// Registered: Oura sends browsers back to it, letter for letter.
    Registered,
    /// Oura refuses to send anybody there: not registered for this client id, or the client id is unknown.
    Refused,
    /// Oura answered with a page of its own, such as one to sign in, before it looked at the address.
    Untold,
}

impl Client {
    /// Finds out whether the token server accepts the client id and secret, by offering it a refresh token that nobody
    /// has. The server looks at the client first (RFC 6749, section 5.2): `invalid_client` from one it does not know,
    /// `invalid_grant` from one it does, which is the success here. One POST, never repeated; no grant is touched.
    ///
    /// A success of any kind is no token server's answer to a token that nobody has: [`TokenError::Unusable`], also when
    /// it is a page or empty, which of a real token could mean that it was spent.
    pub async fn recognises(&self, credentials: &ClientCredentials, deadline: Instant) -> Result<(), TokenError> {
        let made_up = CsrfToken::new_random().into_secret().into();
        match self.refresh(credentials, &self.endpoints().token, &made_up, deadline).await {
            Err(TokenError::InvalidGrant) => Ok(()),
            Err(TokenError::Uncertain { why }) if oauth::NOT_OF_A_TOKEN_SERVER.contains(&why) => {
                Err(TokenError::Unusable { why })
            }
            Err(error) => Err(error),
            Ok(_) => Err(TokenError::Unusable { why: "a grant for a token that was never issued" }),
        }
    }

    /// Finds out whether `redirect` is registered, as far as Oura tells.
    ///
    /// Asks the consent page for a response type that does not exist. A server reports that to the application, by
    /// redirecting to its address, but only if the address is registered, and else tells the browser (RFC 6749, section
    /// 4.1.2.1). Whether Oura does so before anybody has signed in is not published, hence [`Callback::Untold`].
    pub async fn callback(&self, client_id: &str, redirect: &Url, deadline: Instant) -> Result<Callback, ApiError> {
        let mut url = self.endpoints().authorize.clone();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "unsupported"),
            ("client_id", client_id),
            ("redirect_uri", redirect.as_str()),
            ("state", CsrfToken::new_random().secret()),
        ]);
        let answer = answer::receive(self.tokens.get(url), deadline, answer::SMALL_LIMIT).await;
        let answer = match answer {
            Ok(answer) => answer,
            // A page of any length is a page.
            Err(answer::Lost::TooLarge | answer::Lost::Garbled) => return Ok(Callback::Untold),
            Err(lost) => return Err(lost.into()),
        };
        let back = || Url::parse(answer.headers.get(LOCATION)?.to_str().ok()?).ok();
        match answer.status {
            status if status.is_redirection() && back().is_some_and(|back| leads_to(&back, redirect)) => {
                Ok(Callback::Registered)
            }
            status if status.is_success() || status.is_redirection() => Ok(Callback::Untold),
            StatusCode::BAD_REQUEST => Ok(Callback::Refused),
            _ => Err(answer.refusal()),
        }
    }
}

/// Whether an address is the callback's, with something more in the query.
fn leads_to(back: &Url, redirect: &Url) -> bool {
    let (mut back, mut redirect) = (back.clone(), redirect.clone());
    for url in [&mut back, &mut redirect] {
        url.set_query(None);
        url.set_fragment(None);
    }
    back == redirect
}
