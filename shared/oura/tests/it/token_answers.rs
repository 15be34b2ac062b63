//! The token responses, member by member: the response, and its meaning for the grant.
//!
//! Each row of the tables is a response to a refresh, with its meaning. A code exchange reads the same responses in the
//! same way, with one exception: a response without a refresh token is no grant.
//!
//! Two rules explain the tables. A response with both tokens is accepted even if its other members are invalid, or make
//! the body invalid JSON, because it can't be requested again. Only the error code `invalid_grant` means that the
//! consent has ended.

use std::time::Duration;

use axum::http::{Response, StatusCode, header};
use oura::{Grant, TokenError};
use secrecy::ExposeSecret as _;

use crate::server::Server;
use crate::tokens::{exchange, refresh};

/// The meaning of a response, and what the connector does then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    /// A new pair with this lifetime in seconds and these scopes. The connector stores it, then uses it.
    Pair(u64, &'static str),
    /// A new access token without a new refresh token. The connector stores it with the refresh token that it sent,
    /// then uses it. In an exchange it is no grant.
    SameRefreshToken,
    /// A success without a grant. The stored pair stays; the worker tries the job again.
    NoGrant,
    /// Oura may have issued a pair that is lost. The stored pair stays; the worker tries the job again.
    Unknown,
    /// The request was not processed. The stored pair stays; the worker tries the job again.
    NotProcessed,
    /// Like `NotProcessed`, after the wait that the server asks for.
    Throttled,
    /// The grant has ended: the athlete has to consent again.
    ConsentLost,
    /// Oura does not know the application: the operator must act, not the athletes.
    ClientRefused,
    /// Refused with this code: the operator must act, not the athletes.
    Refused(&'static str),
}

use Means::{ClientRefused, ConsentLost, NoGrant, NotProcessed, Pair, Refused, SameRefreshToken, Throttled, Unknown};

/// The lifetime if the response does not give one, in seconds.
const HOUR: u64 = 3_600;

const YEAR: u64 = 366 * 24 * 3_600;

/// Members beside the two tokens, in a response with status 200.
const BESIDE_THE_PAIR: &[(&str, Means)] = &[
    // The lifetime: absent, null, empty, a string, another type, out of range, another name.
    ("", Pair(HOUR, "")),
    (r#""expires_in": 86400"#, Pair(86_400, "")),
    (r#""expires_in": 86400.0"#, Pair(86_400, "")),
    (r#""expires_in": "86400""#, Pair(86_400, "")),
    (r#""expires_in": " 86400.5 ""#, Pair(86_400, "")),
    (r#""expires_in": null"#, Pair(HOUR, "")),
    (r#""expires_in": 0"#, Pair(HOUR, "")),
    (r#""expires_in": "0""#, Pair(HOUR, "")),
    (r#""expires_in": -1"#, Pair(HOUR, "")),
    (r#""expires_in": """#, Pair(HOUR, "")),
    (r#""expires_in": "soon""#, Pair(HOUR, "")),
    (r#""expires_in": "NaN""#, Pair(HOUR, "")),
    (r#""expires_in": "inf""#, Pair(HOUR, "")),
    (r#""expires_in": true"#, Pair(HOUR, "")),
    (r#""expires_in": [86400]"#, Pair(HOUR, "")),
    (r#""expires_in": {"seconds": 86400}"#, Pair(HOUR, "")),
    (r#""expiresIn": 86400"#, Pair(HOUR, "")),
    (r#""expires_in": 18446744073709551615"#, Pair(YEAR, "")),
    (r#""expires_in": 1e300"#, Pair(YEAR, "")),
    (r#""expires_in": 60, "expires_in": 70"#, Pair(70, "")),
    // The scopes: every separator, prefix and case, and a JSON list.
    (r#""scope": "daily personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "extapi:daily extapi:personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "daily,personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "daily, personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "daily+personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "daily;personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "DAILY Personal""#, Pair(HOUR, "daily personal")),
    (r#""scope": "ExtApi:Daily,EXTAPI:PERSONAL""#, Pair(HOUR, "daily personal")),
    (r#""scope": ["daily", "personal"]"#, Pair(HOUR, "daily personal")),
    (r#""scope": ["extapi:daily extapi:personal"]"#, Pair(HOUR, "daily personal")),
    // A list of known scopes without `daily` means that `daily` was not granted.
    (r#""scope": "personal email""#, Pair(HOUR, "email personal")),
    (r#""scope": "extapi:email EXTAPI:SPO2Daily""#, Pair(HOUR, "email spo2daily")),
    // An unreadable list proves nothing, whatever it contains.
    (r#""scope": null"#, Pair(HOUR, "")),
    (r#""scope": """#, Pair(HOUR, "")),
    (r#""scope": [], "granted_scopes": "daily""#, Pair(HOUR, "")),
    (r#""scope": 7"#, Pair(HOUR, "")),
    (r#""scope": ["daily", 7]"#, Pair(HOUR, "")),
    (r#""scope": {"daily": true}"#, Pair(HOUR, "")),
    (r#""scope": "daily|personal""#, Pair(HOUR, "")),
    (r#""scope": "read""#, Pair(HOUR, "")),
    // An unknown name may be the new name of `daily`.
    (r#""scope": "personal something_new""#, Pair(HOUR, "")),
    (r#""scope": "openid email extapi.daily""#, Pair(HOUR, "")),
    (r#""scope": "personal daily:read""#, Pair(HOUR, "")),
    (r#""scope": "daily something_new""#, Pair(HOUR, "daily something_new")),
    // A member that is not JSON: a bare `NaN`, a raw control character in another text, an extra comma.
    (r#""expires_in": NaN"#, Pair(HOUR, "")),
    (r#""expires_in": NaN, "scope": "daily""#, Pair(HOUR, "daily")),
    ("\"owner\": \"Zo\u{1}e\", \"expires_in\": 60", Pair(60, "")),
    ("\"ow\nner\": 1, \"expires_in\": 60", Pair(60, "")),
    (r#""expires_in": 60,"#, Pair(60, "")),
    (r#""scope": "openid""#, Pair(HOUR, "")),
    (r#""scope": "<b>personal</b> email""#, Pair(HOUR, "")),
    // Unused members may have any value.
    (r#""token_type": "BEARER", "id_token": null"#, Pair(HOUR, "")),
    (r#""token_type": {"a": 1}, "id_token": 5, "new": [null]"#, Pair(HOUR, "")),
    (r#""error": null"#, Pair(HOUR, "")),
    (r#""error": """#, Pair(HOUR, "")),
    (r#""error": "invalid_grant""#, Pair(HOUR, "")),
];

/// Complete responses: the status, the body, and the meaning.
const ANSWERS: &[(u16, &str, Means)] = &[
    // The refresh token: absent, null, empty, another type, not a token, another name, nested.
    (200, r#"{"access_token": "aa"}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refresh_token": null}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refresh_token": ""}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refresh_token": 7}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refresh_token": ["rr"]}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refresh_token": "r\nr"}"#, SameRefreshToken),
    (200, r#"{"access_token": "aa", "refreshToken": "rr"}"#, SameRefreshToken),
    // White space around a token.
    (200, r#"{"access_token": "aa", "refresh_token": "rr\n"}"#, Pair(HOUR, "")),
    (200, r#"{"access_token": "\taa ", "refresh_token": " rr"}"#, Pair(HOUR, "")),
    // Not JSON, and the refresh token is missing or damaged.
    (200, r#"{"access_token": "aa", "expires_in": NaN}"#, Unknown),
    (200, "{\"access_token\": \"aa\", \"refresh_token\": \"r\nr\"}", Unknown),
    (200, r#"{"access_token": "aa", "refresh_token": rr}"#, Unknown),
    (200, r#"{"access_token": "aa", "refresh_token": "rr", "expires_in": NaN"#, Unknown),
    // The access token: the same cases.
    (200, r#"{"refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"access_token": null, "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"access_token": "", "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"access_token": 7, "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"access_token": ["aa"], "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"access_token": "a a", "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"accessToken": "aa", "refresh_token": "rr"}"#, NoGrant),
    (200, r#"{"data": {"access_token": "aa", "refresh_token": "rr"}}"#, NoGrant),
    // A success that is not a token response.
    (200, "{}", NoGrant),
    (200, "[]", NoGrant),
    (200, "null", NoGrant),
    (200, r#"[{"access_token": "aa", "refresh_token": "rr"}]"#, NoGrant),
    (200, r#"{"status": 200, "message": "ok"}"#, NoGrant),
    (200, "", Unknown),
    (204, "", Unknown),
    (200, "<html>Down for maintenance</html>", Unknown),
    (200, r#"{"access_token": "aa", "refresh_to"#, Unknown),
    (200, "access_token=aa&refresh_token=rr", Unknown),
    // An error with a success status means the same as with 400 or 401.
    (200, r#"{"error": "invalid_grant"}"#, ConsentLost),
    (200, r#"{"error": "INVALID_GRANT", "access_token": null}"#, ConsentLost),
    (200, r#"{"error": "invalid_grant", "access_token": "aa"}"#, ConsentLost),
    (202, r#"{"error": "invalid_client"}"#, ClientRefused),
    (200, r#"{"error": "invalid_request"}"#, Refused("invalid_request")),
    (200, r#"{"error": "temporarily_unavailable"}"#, Unknown),
    // Error codes: with any status, in capitals, with other members.
    (400, r#"{"error": "invalid_grant"}"#, ConsentLost),
    (401, r#"{"error": "invalid_grant", "error_description": null}"#, ConsentLost),
    (403, r#"{"error": "invalid_grant"}"#, ConsentLost),
    (400, r#"{"error": "Invalid_Grant"}"#, ConsentLost),
    (400, "\u{feff}{\"error\": \"invalid_grant\"}", ConsentLost),
    (400, r#"{"error": "invalid_client"}"#, ClientRefused),
    (401, r#"{"error": "invalid_client"}"#, ClientRefused),
    (400, r#"{"error": "invalid_request"}"#, Refused("invalid_request")),
    (400, r#"{"error": "unauthorized_client"}"#, Refused("unauthorized_client")),
    (400, r#"{"error": "server_error"}"#, Unknown),
    (400, r#"{"error": "temporarily_unavailable"}"#, Unknown),
    // A 401 without another error code is about the client. The wrong one of Oura's two servers answers so.
    (401, r#"{"error": "invalid_request"}"#, ClientRefused),
    (401, "", ClientRefused),
    // A value that is not an OAuth code proves nothing about the athlete, even if it contains the words.
    (400, r#"{"error": {"code": "invalid_grant"}}"#, Refused("http_400")),
    (400, r#"{"error": ["invalid_grant"]}"#, Refused("http_400")),
    (400, r#"{"error": "invalid grant"}"#, Refused("http_400")),
    (400, r#"{"errors": [{"error": "invalid_grant"}]}"#, Refused("http_400")),
    (400, r#"{"message": "invalid_grant"}"#, Refused("http_400")),
    (400, r#"{"error_description": "invalid_grant"}"#, Refused("http_400")),
    (400, r#""invalid_grant""#, Refused("http_400")),
    (400, "invalid_grant", Refused("http_400")),
    (400, "error=invalid_grant", Refused("http_400")),
    (400, r#"{"error": null}"#, Refused("http_400")),
    (404, "<html>invalid_grant</html>", Refused("http_404")),
    // Not from the token server.
    (403, "<html>Request blocked</html>", NotProcessed),
    (403, r#"{"message": "Forbidden"}"#, NotProcessed),
    (403, "", NotProcessed),
    // Throttling or a server error, whatever the body says.
    (429, r#"{"error": "invalid_grant"}"#, Throttled),
    (500, r#"{"error": "invalid_grant"}"#, Unknown),
    (503, r#"{"error": "invalid_client"}"#, Unknown),
    (503, "<html>", Unknown),
    (408, "", Unknown),
];

fn beside_the_pair(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { ", " };
    format!(r#"{{"access_token": "aa", "refresh_token": "rr"{comma}{members}}}"#)
}

/// The meaning of the result of a refresh with the token `old+token`.
fn meaning(answer: Result<Grant, TokenError>) -> String {
    let means = match answer {
        Ok(grant) => {
            assert_eq!(grant.access_token.expose_secret(), "aa");
            let refresh_token = grant.refresh_token.expose_secret();
            if refresh_token == "rr" {
                return format!("Pair({}, {:?})", grant.expires_in.as_secs(), grant.scopes.to_string());
            }
            assert_eq!(refresh_token, "old+token");
            SameRefreshToken
        }
        Err(TokenError::Unusable { .. }) => NoGrant,
        Err(TokenError::Uncertain { .. }) => Unknown,
        Err(TokenError::Unwell { .. }) => NotProcessed,
        Err(TokenError::Throttled(_)) => Throttled,
        Err(TokenError::InvalidGrant) => ConsentLost,
        Err(TokenError::InvalidClient) => ClientRefused,
        Err(TokenError::Refused { code }) => return format!("Refused({code:?})"),
    };
    format!("{means:?}")
}

/// Starts a server that sends response number `n` of a table at `/n`, with this content type.
async fn serving(answers: Vec<(u16, String)>, content_type: &'static str) -> Server {
    Server::start(move |seen| {
        let number: usize = seen.path.trim_start_matches('/').parse().unwrap();
        let (status, body) = answers.get(number).unwrap();
        let answer = Response::builder().status(StatusCode::from_u16(*status).unwrap());
        answer.header(header::CONTENT_TYPE, content_type).body(body.clone().into()).unwrap()
    })
    .await
}

/// Every response of both tables, with its meaning.
fn table() -> Vec<(u16, String, Means)> {
    let pairs = BESIDE_THE_PAIR.iter().map(|(members, means)| (200, beside_the_pair(members), *means));
    pairs.chain(ANSWERS.iter().map(|(status, body, means)| (*status, (*body).to_owned(), *means))).collect()
}

#[tokio::test]
async fn refresh_classifies_each_answer() {
    // The content type changes nothing, since some servers send none or a wrong one.
    for content_type in ["application/json", "text/html", "application/problem+json; charset=utf-8"] {
        let table = table();
        let server =
            serving(table.iter().map(|(status, body, _)| (*status, body.clone())).collect(), content_type).await;
        let client = server.client();
        for (number, (status, body, means)) in table.into_iter().enumerate() {
            let answer = refresh(&client, &server.url.join(&format!("/{number}")).unwrap()).await;
            assert_eq!(meaning(answer), format!("{means:?}"), "{content_type}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn exchange_requires_a_refresh_token() {
    for (status, body, means) in table() {
        let server = Server::start(move |_| {
            Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body.clone().into()).unwrap()
        })
        .await;
        let answer = exchange(&server.client()).await;
        if means == SameRefreshToken {
            let error = answer.unwrap_err();
            assert!(matches!(error, TokenError::Unusable { .. }), "{error:?}");
            assert!(error.to_string().contains("no refresh token"), "{error}");
        } else {
            assert_eq!(meaning(answer), format!("{means:?}"));
        }
    }
}

/// A response with bytes that are not UTF-8, or with a byte-order mark, and otherwise valid JSON.
#[tokio::test]
async fn accepts_a_pair_beside_invalid_utf8() {
    for body in [
        &b"\xef\xbb\xbf{\"access_token\": \"aa\", \"refresh_token\": \"rr\", \"expires_in\": 60}"[..],
        b"{\"access_token\": \"aa\", \"refresh_token\": \"rr\", \"expires_in\": 60, \"owner\": \"Zo\xeb\"}",
    ] {
        let server = Server::start(move |_| Response::new(body.to_vec().into())).await;
        let grant = refresh(&server.client(), &server.url).await.unwrap();
        assert_eq!((grant.refresh_token.expose_secret(), grant.expires_in), ("rr", Duration::from_mins(1)));
    }
}
