//! The owner of an access token.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{ApiError, Client};

/// What `personal_info` returns for any access token, whatever its scopes are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PersonalInfo {
    /// The person's id at Oura.
    pub id: OuraUserId,
}

/// Oura's opaque id of a person. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct OuraUserId(String);

impl OuraUserId {
    /// The id as Oura writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OuraUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<OuraUserId> for String {
    fn from(id: OuraUserId) -> Self {
        id.0
    }
}

impl TryFrom<String> for OuraUserId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let sound = (1..=256).contains(&id.len()) && !id.chars().any(|c| c.is_control() || c.is_whitespace());
        if sound { Ok(Self(id)) } else { Err("an Oura user id is 1 to 256 bytes without spaces") }
    }
}

impl Client {
    /// Fetches the owner of the access token. Like any other endpoint, it answers 403 if the membership has lapsed.
    pub async fn personal_info(
        &self,
        access_token: &SecretString,
        deadline: Instant,
    ) -> Result<PersonalInfo, ApiError> {
        let answer = self.get(&["usercollection", "personal_info"], &[], access_token, deadline).await?;
        // Parsed as an object first, because serde would accept a list as the members in their order.
        let person: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
        person
            .and_then(|person| serde_json::from_value(Value::Object(person)).ok())
            .ok_or(ApiError::Unreadable { what: "no user id in personal_info" })
    }
}
