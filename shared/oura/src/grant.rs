//! The grant of a token response, and which token responses are usable.
//!
//! A refresh can't be repeated, because it spends the refresh token. So a response with both tokens is accepted even if
//! its other members are invalid, and even if they make the body invalid JSON. Safe values replace the invalid members:
//! a short lifetime, and unknown scopes. `tests/it/token_answers.rs` lists the responses, one a line, with the meaning
//! of each.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{code_in, said};
use crate::{TokenError, page};

/// Longest accepted lifetime, so that adding it to a date can't overflow. Oura's lifetimes are a day to a month.
const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// The lifetime if the response has no readable one. It is short, so that the token is refreshed in time whatever its
/// real lifetime is; a 401 leads to an earlier refresh. It is longer than the few minutes before expiry at which a
/// grant is refreshed, so that not every use refreshes it.
const ASSUMED_LIFETIME: Duration = Duration::from_hours(1);

/// The scopes that Oura publishes (specification 1.41), offers in its portal, or gives to its partners.
const SCOPES: [&str; 17] = [
    "daily",
    "email",
    "personal",
    "heartrate",
    "workout",
    "tag",
    "session",
    "spo2",
    "spo2daily",
    "heart_health",
    "ring_configuration",
    "stress",
    "reproductive_cycle",
    "pregnancy",
    "metabolic",
    "research",
    "biomarkers",
];

/// A complete, usable token pair.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The access token for the API.
    pub access_token: SecretString,
    /// Single-use: a refresh spends it. If the refresh response contains no refresh token, this is the one that was
    /// sent, which stays valid (RFC 6749, section 6).
    pub refresh_token: SecretString,
    /// Lifetime of the access token from now: more than zero and at most a year. It is an hour if the response does not
    /// say. Use only this value, since Oura's documents give several lifetimes.
    pub expires_in: Duration,
    /// The granted scopes, if the response names them.
    pub scopes: Scopes,
}

/// A set of OAuth scopes, under the names that the documentation uses.
///
/// The newer token server writes `extapi:daily` for `daily`; this type treats both as equal. An empty set means that
/// the scopes are unknown: a token response may leave them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Reads a list of our own, such as a parameter or a stored list: separated by spaces, with or without `extapi:`.
    /// Never fails.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let name = |scope: &str| scope.strip_prefix("extapi:").unwrap_or(scope).to_owned();
        Self(list.split_whitespace().map(name).filter(|scope| !scope.is_empty()).collect())
    }

    /// Reads the granted scopes as a server writes them: separated by spaces, commas, semicolons or `+`, with or
    /// without `extapi:`, in any case.
    ///
    /// A missing `daily` means that the athlete must act. So it is concluded only if every name in the list is a known
    /// Oura scope: an unknown name may be a new name of `daily`. Any other list without `daily` is
    /// [`unknown`](Self::unknown); then Oura's response to the data request decides.
    #[must_use]
    pub fn granted(list: &str) -> Self {
        let list = list.to_ascii_lowercase().replace([',', ';', '+'], " ");
        let scopes = Self::parse(&list);
        let understood = scopes.iter().all(|scope| SCOPES.contains(&scope));
        if understood || scopes.contains("daily") { scopes } else { Self::unknown() }
    }

    /// The scopes of a response that names none.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Whether the granted scopes are unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this scope, named without `extapi:`, is known to be granted.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// The scopes in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Separated by spaces, in alphabetical order; the empty string if the scopes are unknown.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

/// A token response as received. Any member may be missing or of another type; unused members, such as a null
/// `id_token`, are ignored. The token type is ignored too: Oura issues only bearer tokens, and a wrong type is no
/// reason to discard a pair that replaces a spent one. If a member occurs twice, the last one counts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub(crate) struct TokenAnswer {
    /// Empty if missing, because the trait below requires one.
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
    expires_in: Duration,
    scopes: Option<Vec<Scope>>,
    /// The error code in a response that has a success status.
    error: Option<String>,
}

impl From<Map<String, Value>> for TokenAnswer {
    fn from(answer: Map<String, Value>) -> Self {
        let token = |name: &str| token_in(answer.get(name)?).map(str::to_owned);
        let scopes = answer.get("scope").and_then(scope_list).map(|list| Scopes::granted(&list)).unwrap_or_default();
        Self {
            access_token: AccessToken::new(token("access_token").unwrap_or_default()),
            refresh_token: token("refresh_token").map(RefreshToken::new),
            expires_in: answer.get("expires_in").and_then(lifetime).unwrap_or(ASSUMED_LIFETIME),
            scopes: (!scopes.is_unknown()).then(|| scopes.iter().map(|scope| Scope::new(scope.to_owned())).collect()),
            error: answer.get("error").and_then(code_in),
        }
    }
}

/// Reads a number of seconds, also from a string. `None` if it is not a valid lifetime, such as zero.
fn lifetime(seconds: &Value) -> Option<Duration> {
    let seconds = match seconds {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite())?.min(LONGEST_LIFETIME.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok().filter(|lifetime| !lifetime.is_zero())
}

/// A list of scopes, from a string or a JSON list of strings.
fn scope_list(scope: &Value) -> Option<String> {
    match scope {
        Value::String(list) => Some(list.clone()),
        Value::Array(list) => Some(list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(" ")),
        _ => None,
    }
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        Some(self.expires_in)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

impl TokenAnswer {
    /// The grant in this response, if both tokens are usable: half a pair must not replace a stored pair. `sent` is the
    /// refresh token of the refresh request. It stays valid if the response contains no other.
    ///
    /// An error code counts only if the pair is incomplete.
    pub(crate) fn into_grant(self, sent: Option<&SecretString>) -> Result<Grant, TokenError> {
        let unusable = |why| Err(TokenError::Unusable { why });
        let refresh_token = match (&self.refresh_token, &self.error, sent) {
            (Some(token), ..) => token.secret().as_str().into(),
            (None, Some(code), _) => return Err(said(code.clone())),
            (None, None, Some(sent)) => sent.expose_secret().into(),
            (None, None, None) => return unusable("no refresh token, so it could not be kept alive"),
        };
        match (self.access_token.secret().as_str(), self.error) {
            ("", Some(code)) => Err(said(code)),
            ("", None) => unusable("no access token"),
            (access_token, _) => Ok(Grant {
                access_token: access_token.into(),
                refresh_token,
                expires_in: self.expires_in,
                scopes: Scopes(self.scopes.into_iter().flatten().map(|scope| scope.to_string()).collect()),
            }),
        }
    }
}

/// The members of a success that is not valid JSON, if both tokens can be read. With one readable token, the other may
/// be the damaged one, and a spent refresh token must not be kept as valid.
pub(crate) fn damaged_pair(body: &str) -> Option<Map<String, Value>> {
    let members = page::readable_members(body.as_bytes())?;
    let has = |name: &str| members.get(name).and_then(token_in).is_some();
    (has("access_token") && has("refresh_token")).then_some(members)
}

/// The token in a member, without surrounding white space.
fn token_in(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim_ascii).filter(|token| is_token(token))
}

/// Whether the text can be a token. RFC 6749 (appendix A) allows visible ASCII only, and an access token with other
/// characters could not be put in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn grant(answer: &str) -> Result<Grant, TokenError> {
        serde_json::from_str::<TokenAnswer>(answer).unwrap().into_grant(None)
    }

    #[test]
    fn reads_a_usual_response() {
        let grant = grant(
            r#"{"access_token": "aa", "token_type": "Bearer", "expires_in": 86400, "refresh_token": "rr",
                "scope": "extapi:daily extapi:personal", "id_token": null}"#,
        )
        .unwrap();
        assert_eq!(grant.access_token.expose_secret(), "aa");
        assert_eq!(grant.refresh_token.expose_secret(), "rr");
        assert_eq!(grant.expires_in, Duration::from_hours(24));
        assert_eq!(grant.scopes.to_string(), "daily personal");
    }

    #[test]
    fn ignores_missing_or_invalid_optional_members() {
        for rest in [
            "",
            r#", "token_type": "bearer""#,
            r#", "token_type": "BEARER", "scope": null"#,
            r#", "token_type": null, "id_token": null"#,
            r#", "token_type": {"a": 1}, "id_token": 5, "scope": 7, "new": []"#,
            r#", "scope": """#,
        ] {
            let grant = grant(&format!(r#"{{"access_token": "aa", "refresh_token": "rr", "expires_in": 60{rest}}}"#));
            assert!(grant.unwrap().scopes.is_unknown(), "{rest}");
        }
    }

    #[test]
    fn rejects_half_a_pair() {
        let whole = serde_json::json!({"access_token": "aa", "refresh_token": "rr", "expires_in": 60});
        for (name, why) in
            [("access_token", "no access token"), ("refresh_token", "no refresh token, so it could not be kept alive")]
        {
            let refused = |answer: &Value| grant(&answer.to_string()).unwrap_err() == TokenError::Unusable { why };
            let mut odd = whole.clone();
            odd.as_object_mut().unwrap().remove(name);
            assert!(refused(&odd), "{name} missing");
            for wrong in ["null", r#""""#, r#"" ""#, "0", "-1", "[]", "{}", "true", r#""6 0""#, r#""a\nb""#, r#""é""#]
            {
                odd[name] = serde_json::from_str(wrong).unwrap();
                assert!(refused(&odd), "{name}: {wrong}");
            }
        }
    }

    #[test]
    fn scopes_are_equal_with_and_without_prefix() {
        let scopes = Scopes::parse(" extapi:daily  personal\textapi: daily ");
        assert!(scopes.contains("daily") && scopes.contains("personal"));
        assert!(!scopes.contains("extapi:daily") && !scopes.contains("dail"));
        assert_eq!(scopes.to_string(), "daily personal");
        assert_eq!(Scopes::parse(&scopes.to_string()), scopes);
        assert!(Scopes::unknown().is_unknown() && Scopes::parse("").is_unknown() && !scopes.is_unknown());
    }

    #[test]
    fn debug_shows_no_token() {
        let answer = r#"{"access_token": "hush-a", "refresh_token": "hush-r", "expires_in": 60}"#;
        let answer: TokenAnswer = serde_json::from_str(answer).unwrap();
        assert!(!format!("{answer:?}").contains("hush"));
        let grant = answer.into_grant(None).unwrap();
        assert!(!format!("{grant:?} {grant:#?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn grant_always_has_both_tokens(access in ".{0,3}", refresh in ".{0,3}", expires in any::<f64>()) {
            let answer = serde_json::json!({"access_token": access, "refresh_token": refresh, "expires_in": expires});
            if let Ok(grant) = grant(&answer.to_string()) {
                prop_assert!(!grant.access_token.expose_secret().is_empty());
                prop_assert!(!grant.refresh_token.expose_secret().is_empty());
                prop_assert!(!grant.expires_in.is_zero());
            }
        }
    }
}
