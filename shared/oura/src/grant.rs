//! What a token endpoint grants, and which of its answers are usable.
//!
//! A refresh can't be repeated, because its refresh token is spent. So a response with both tokens is accepted even if
//! its other members are invalid, and even if the body is not JSON because of them. Those are replaced by safe values: an
//! unreadable lifetime by a short one, an unreadable list of scopes by "not known". `tests/it/token_answers.rs` lists the answers, one a line, with what each
//! means.

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

/// Longest lifetime that is believed, so that adding it to a date is always possible. Oura's are a day to a month.
const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// The lifetime of an access token of which the answer does not say how long it lives. Short, so that it is refreshed in
/// time whatever its real lifetime is, and a 401 leads to a refresh before that; longer than the few minutes before its end
/// at which a grant is refreshed, so that it is not refreshed at every use.
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

/// A token pair, complete and usable: no part of it is ever missing.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Opens the API until it expires.
    pub access_token: SecretString,
    /// Single-use: a refresh spends it. If the refresh response contains no refresh token, this is the one that was
    /// sent, which stays valid (RFC 6749, section 6).
    pub refresh_token: SecretString,
    /// Lifetime of the access token from now; longer than zero, at most a year, an hour if the answer does not say. The
    /// only one to trust, since Oura publishes several.
    pub expires_in: Duration,
    /// What was granted, if the answer says.
    pub scopes: Scopes,
}

/// A set of OAuth scopes, under the names that the documentation uses.
///
/// The newer token server calls `daily` `extapi:daily`; both are the same here. An empty set means that nothing is known:
/// a token answer may leave its scopes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Reads a list of our own, such as a parameter or a stored one: separated by spaces, with or without `extapi:`. Never
    /// fails.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let name = |scope: &str| scope.strip_prefix("extapi:").unwrap_or(scope).to_owned();
        Self(list.split_whitespace().map(name).filter(|scope| !scope.is_empty()).collect())
    }

    /// Reads what a server says was granted: separated by spaces, commas, semicolons or `+`, with or without `extapi:`, in
    /// any case.
    ///
    /// A missing `daily` makes the athlete act, so it is concluded only from a list in which every name is a scope of Oura:
    /// an unknown name may be the new name of `daily`. Any other list without `daily` is [`unknown`](Self::unknown), and
    /// Oura's own refusal of the data decides later.
    #[must_use]
    pub fn granted(list: &str) -> Self {
        let list = list.to_ascii_lowercase().replace([',', ';', '+'], " ");
        let scopes = Self::parse(&list);
        let understood = scopes.iter().all(|scope| SCOPES.contains(&scope));
        if understood || scopes.contains("daily") { scopes } else { Self::unknown() }
    }

    /// The scopes of an answer that names none.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Whether nothing is known about what was granted.
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

/// Separated by spaces, in alphabetical order; the empty string when nothing is known.
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

/// A token answer as it arrives: any part may be missing or of another type, and all else, such as an `id_token` that is
/// null, is not looked at. The token type is not read either. Oura issues bearer tokens only, and a pair that replaces a
/// spent one is too precious to be thrown away for its label. Of a member that is there twice the last counts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub(crate) struct TokenAnswer {
    /// Empty if missing: the trait below knows no answer without one.
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
    expires_in: Duration,
    scopes: Option<Vec<Scope>>,
    /// The code of an error that came with the status of a success.
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

/// Reads a number of seconds, also one that is written as a text. `None` for what is no lifetime, such as zero.
fn lifetime(seconds: &Value) -> Option<Duration> {
    let seconds = match seconds {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite())?.min(LONGEST_LIFETIME.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok().filter(|lifetime| !lifetime.is_zero())
}

/// A list of scopes, as one text or as a JSON list of texts.
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
    /// The grant of this answer, all or nothing: half a pair must not replace a whole one. `sent` is the refresh token that
    /// a refresh was made with, which stays good when the answer names no other.
    ///
    /// An error counts only where the pair is not complete.
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

/// The members of a success that is not JSON as a whole, if both tokens can be read. With one token alone, the other may
/// be what is damaged, and a spent refresh token must not be taken for a living one.
pub(crate) fn damaged_pair(body: &str) -> Option<Map<String, Value>> {
    let members = page::readable_members(body.as_bytes())?;
    let has = |name: &str| members.get(name).and_then(token_in).is_some();
    (has("access_token") && has("refresh_token")).then_some(members)
}

/// The token in a member, without the white space around it.
fn token_in(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim_ascii).filter(|token| is_token(token))
}

/// Whether this can be a token at all: RFC 6749 (appendix A) has them visible ASCII, and an access token with anything
/// else could not stand in a header.
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
    fn a_usual_answer_is_a_grant() {
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
    fn what_is_not_needed_may_be_missing_or_odd() {
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
    fn half_a_pair_is_no_grant() {
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
    fn scopes_are_compared_under_one_name() {
        let scopes = Scopes::parse(" extapi:daily  personal\textapi: daily ");
        assert!(scopes.contains("daily") && scopes.contains("personal"));
        assert!(!scopes.contains("extapi:daily") && !scopes.contains("dail"));
        assert_eq!(scopes.to_string(), "daily personal");
        assert_eq!(Scopes::parse(&scopes.to_string()), scopes);
        assert!(Scopes::unknown().is_unknown() && Scopes::parse("").is_unknown() && !scopes.is_unknown());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let answer = r#"{"access_token": "hush-a", "refresh_token": "hush-r", "expires_in": 60}"#;
        let answer: TokenAnswer = serde_json::from_str(answer).unwrap();
        assert!(!format!("{answer:?}").contains("hush"));
        let grant = answer.into_grant(None).unwrap();
        assert!(!format!("{grant:?} {grant:#?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn a_grant_is_never_half_a_pair(access in ".{0,3}", refresh in ".{0,3}", expires in any::<f64>()) {
            let answer = serde_json::json!({"access_token": access, "refresh_token": refresh, "expires_in": expires});
            if let Ok(grant) = grant(&answer.to_string()) {
                prop_assert!(!grant.access_token.expose_secret().is_empty());
                prop_assert!(!grant.refresh_token.expose_secret().is_empty());
                prop_assert!(!grant.expires_in.is_zero());
            }
        }
    }
}
