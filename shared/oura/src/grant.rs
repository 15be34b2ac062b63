//! What a token endpoint grants, and which of its answers are usable.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::TokenError;

/// Longest lifetime that is believed, so that adding it to a date is always possible. Oura's are a day to a month.
const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// A token pair, complete and usable: no part of it is ever missing.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Opens the API until it expires.
    pub access_token: SecretString,
    /// Works once: it buys the next pair, and is spent.
    pub refresh_token: SecretString,
    /// Lifetime of the access token from now; longer than zero, at most a year. The only one to trust, since Oura
    /// publishes several.
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
    /// Reads a list separated by spaces, with or without `extapi:`. Never fails.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let name = |scope: &str| scope.strip_prefix("extapi:").unwrap_or(scope).to_owned();
        Self(list.split_whitespace().map(name).filter(|scope| !scope.is_empty()).collect())
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
/// spent one is too precious to be thrown away for its label.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TokenAnswer {
    /// Empty if missing: the trait below knows no answer without one.
    #[serde(default = "no_token", deserialize_with = "access_token")]
    access_token: AccessToken,
    #[serde(default, deserialize_with = "lenient")]
    refresh_token: Option<RefreshToken>,
    /// Seconds.
    #[serde(default, deserialize_with = "lenient")]
    expires_in: Option<f64>,
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    scopes: Option<Vec<Scope>>,
}

fn no_token() -> AccessToken {
    AccessToken::new(String::new())
}

/// Takes a part of another type for a missing one.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

fn access_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccessToken, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_else(no_token))
}

fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let list: Option<String> = lenient(deserializer)?;
    Ok(list.map(|list| list.split_whitespace().map(|scope| Scope::new(scope.to_owned())).collect()))
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
        let seconds = self.expires_in?.min(LONGEST_LIFETIME.as_secs_f64());
        Duration::try_from_secs_f64(seconds).ok().filter(|lifetime| !lifetime.is_zero())
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

impl TryFrom<TokenAnswer> for Grant {
    type Error = TokenError;

    /// All or nothing: half a pair must not replace a whole one.
    fn try_from(answer: TokenAnswer) -> Result<Self, TokenError> {
        let unusable = |why| TokenError::Unusable { why };
        if !is_token(answer.access_token.secret()) {
            return Err(unusable("no access token"));
        }
        let refresh_token = answer.refresh_token().map(|token| token.secret().as_str()).filter(|token| is_token(token));
        let refresh_token = refresh_token.ok_or_else(|| unusable("no refresh token"))?;
        let expires_in = answer.expires_in().ok_or_else(|| unusable("no lifetime above zero"))?;
        let granted: Vec<_> = answer.scopes().into_iter().flatten().map(|scope| scope.as_str()).collect();
        Ok(Self {
            access_token: answer.access_token.secret().as_str().into(),
            refresh_token: refresh_token.into(),
            expires_in,
            scopes: Scopes::parse(&granted.join(" ")),
        })
    }
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
        serde_json::from_str::<TokenAnswer>(answer).unwrap().try_into()
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
        for (name, why) in [
            ("access_token", "no access token"),
            ("refresh_token", "no refresh token"),
            ("expires_in", "no lifetime above zero"),
        ] {
            let refused = |answer: &Value| grant(&answer.to_string()).unwrap_err() == TokenError::Unusable { why };
            let mut odd = whole.clone();
            odd.as_object_mut().unwrap().remove(name);
            assert!(refused(&odd), "{name} missing");
            for wrong in ["null", r#""""#, r#"" ""#, "0", "-1", "[]", "{}", "true", r#""60 ""#, r#""a\nb""#, r#""é""#]
            {
                odd[name] = serde_json::from_str(wrong).unwrap();
                assert!(refused(&odd), "{name}: {wrong}");
            }
        }
    }

    #[test]
    fn a_lifetime_is_a_number_and_bounded() {
        let lifetime = |text: &str| {
            let answer = format!(r#"{{"access_token": "aa", "refresh_token": "rr", "expires_in": {text}}}"#);
            grant(&answer).map(|grant| grant.expires_in)
        };
        assert_eq!(lifetime("86400.0"), Ok(Duration::from_hours(24)));
        assert_eq!(lifetime("18446744073709551615"), Ok(LONGEST_LIFETIME));
        assert_eq!(lifetime("1e300"), Ok(LONGEST_LIFETIME));
        assert!(lifetime(r#""86400""#).is_err());
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
        let grant = Grant::try_from(answer).unwrap();
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
