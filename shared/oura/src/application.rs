//! Checks whether Oura knows the application, without using any grant.

use http::StatusCode;
use http::header::LOCATION;
use oauth2::CsrfToken;
use tokio::time::Instant;
use url::Url;

use crate::{ApiError, Client, ClientCredentials, TokenError};
use crate::{answer, oauth};

/// Whether Oura accepts a callback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// Registered: Oura redirects browsers to exactly this address.
    Registered,
    /// Oura refuses to redirect to it: it is not registered for this client id, or the client id is unknown.
    Refused,
    /// Unknown: Oura answered with its own page, such as a sign-in page, before it checked the address.
    Untold,
}

impl Client {
    /// Checks whether the token server accepts the client id and secret, by sending a made-up refresh token. The server
    /// checks the client first (RFC 6749, section 5.2). It answers `invalid_client` to an unknown client. To a known
    /// client it answers `invalid_grant`, which is the success here. Sends one POST, never repeats it, and affects no
    /// grant.
    ///
    /// A token server never answers a made-up token with a success, so any success is [`TokenError::Unusable`]. This
    /// includes a web page or an empty body. In a real refresh these two would mean that the token may be spent.
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

    /// Checks whether `redirect` is registered, if Oura's response shows it.
    ///
    /// Requests the consent page with a response type that does not exist. A server reports this error by a redirect to
    /// the application, but only if the address is registered; otherwise it shows the error in the browser (RFC 6749,
    /// section 4.1.2.1). Oura does not publish whether it checks this before a person has signed in, hence
    /// [`Callback::Untold`].
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
            // The response is a page of Oura's own, even if it is too large or can't be decompressed.
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

/// Whether an address equals the callback address, apart from query and fragment.
fn leads_to(back: &Url, redirect: &Url) -> bool {
    let (mut back, mut redirect) = (back.clone(), redirect.clone());
    for url in [&mut back, &mut redirect] {
        url.set_query(None);
        url.set_fragment(None);
    }
    back == redirect
}
