use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::TokenServer;
use super::authorize::named;

/// How the token endpoints write their answers. Other OAuth servers are known to answer in each of these ways, and a
/// client has to read them all: in none of them does the person lose their consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenForm {
    /// As Oura documents it.
    Documented,
    /// `"expires_in": "86400"`
    LifetimeAsText,
    /// Without `expires_in`.
    NoLifetime,
    /// `"expires_in": null`
    NullLifetime,
    /// `"expires_in": 0`, though the token lives as long as ever.
    ZeroLifetime,
    /// A refresh is answered without `refresh_token`: the one that was sent stays good (RFC 6749, section 6).
    KeptRefreshToken,
    /// An error has status 200.
    ErrorsWithStatus200,
    /// `"scope": "extapi:daily,extapi:email"`
    ScopesByComma,
    /// `"scope": "extapi:daily+extapi:email"`
    ScopesByPlus,
    /// `"scope": "EXTAPI:DAILY EXTAPI:EMAIL"`
    ScopesInCapitals,
    /// `"scope": ["extapi:daily", "extapi:email"]`
    ScopesAsList,
}

impl TokenForm {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Documented,
        Self::LifetimeAsText,
        Self::NoLifetime,
        Self::NullLifetime,
        Self::ZeroLifetime,
        Self::KeptRefreshToken,
        Self::ErrorsWithStatus200,
        Self::ScopesByComma,
        Self::ScopesByPlus,
        Self::ScopesInCapitals,
        Self::ScopesAsList,
    ];

    /// Writes `answer`, which grants `scopes`, in this form.
    pub(super) fn rewrite(self, answer: &mut Value, scopes: &BTreeSet<String>, at: TokenServer, refreshed: bool) {
        match self {
            Self::Documented | Self::ErrorsWithStatus200 => {}
            Self::LifetimeAsText => answer["expires_in"] = json!(answer["expires_in"].to_string()),
            Self::NoLifetime => without(answer, "expires_in"),
            Self::NullLifetime => answer["expires_in"] = Value::Null,
            Self::ZeroLifetime => answer["expires_in"] = json!(0),
            Self::KeptRefreshToken if refreshed => without(answer, "refresh_token"),
            // A first pair is always whole.
            Self::KeptRefreshToken => {}
            Self::ScopesByComma => answer["scope"] = json!(named(scopes, at).replace(' ', ",")),
            Self::ScopesByPlus => answer["scope"] = json!(named(scopes, at).replace(' ', "+")),
            Self::ScopesInCapitals => answer["scope"] = json!(named(scopes, at).to_uppercase()),
            Self::ScopesAsList => {
                answer["scope"] = named(scopes, at).split_whitespace().collect();
            }
        }
    }
}

fn without(answer: &mut Value, name: &str) {
    if let Some(members) = answer.as_object_mut() {
        members.remove(name);
    }
}
