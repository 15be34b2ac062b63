//! The athlete's personal link: a signed address that lets an athlete connect without an account of ours.

use jiff::Timestamp;
use store::{AthleteId, Keyring, SealPurpose, SignatureCheck};
use url::Url;

use crate::http::params::entry;

/// The content of a personal link: one athlete, and an expiry.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The athlete whose connection the link opens.
    pub athlete: AthleteId,
    /// When the link expires.
    pub expires: Timestamp,
    signature: String,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// An entry is missing or changed, or the key that signed the link is gone.
    #[error("the link is damaged")]
    Damaged,
    /// The link was valid and has expired.
    #[error("the link has expired")]
    Expired,
    /// The link was signed with a key version that this keyring does not hold.
    #[error("the link was signed with another version of the key")]
    OtherKey,
}

impl Link {
    /// Signs a link.
    #[must_use]
    pub fn new(keyring: &Keyring, athlete: AthleteId, expires: Timestamp) -> Self {
        let signature = keyring.sign(SealPurpose::Link, &message(&athlete, expires));
        Self { athlete, expires, signature }
    }

    /// The link as an address under `page`.
    #[must_use]
    pub fn to_url(&self, mut page: Url) -> Url {
        page.query_pairs_mut().clear().extend_pairs(self.entries());
        page
    }

    /// The link's entries, for a query or a form.
    pub(crate) fn entries(&self) -> [(&'static str, String); 3] {
        [
            ("athlete", self.athlete.to_string()),
            ("expires", self.expires.as_second().to_string()),
            ("signature", self.signature.clone()),
        ]
    }

    /// Reads and checks the entries of a query or a form. The signature is checked before the expiry is used.
    pub fn check(keyring: &Keyring, query: &str, now: Timestamp) -> Result<Self, LinkFault> {
        let entry = |name| entry(query, name);
        let athlete = entry("athlete").and_then(|text| AthleteId::parse(&text).ok()).ok_or(LinkFault::Damaged)?;
        let expires = entry("expires").and_then(|text| text.parse().ok());
        let expires = expires.and_then(|second| Timestamp::from_second(second).ok()).ok_or(LinkFault::Damaged)?;
        let signature = entry("signature").ok_or(LinkFault::Damaged)?;
        match keyring.verify(SealPurpose::Link, &message(&athlete, expires), &signature) {
            SignatureCheck::Valid if expires <= now => Err(LinkFault::Expired),
            SignatureCheck::Valid => Ok(Self { athlete, expires, signature }),
            SignatureCheck::Invalid => Err(LinkFault::Damaged),
            SignatureCheck::UnknownKey => Err(LinkFault::OtherKey),
        }
    }
}

/// Leaves out the signature: with it, any reader of the log could connect the athlete.
impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Link")
            .field("athlete", &self.athlete)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The signed text. The length in front separates the athlete from the expiry unambiguously.
fn message(athlete: &AthleteId, expires: Timestamp) -> Vec<u8> {
    let athlete = athlete.as_str();
    format!("{}:{athlete}:{}", athlete.len(), expires.as_second()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::KeyVersion;

    fn keyring(id: &str) -> Keyring {
        Keyring::new(KeyVersion { id: id.into(), secret: format!("root of {id}").into() })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_link_opens_only_its_own_athlete_until_it_expires() {
        let keyring = keyring("one");
        let athlete = AthleteId::parse("31152").unwrap();
        let link = Link::new(&keyring, athlete.clone(), at(2_000));
        let url = link.to_url("https://connect.example.org/connect".parse().unwrap());
        let query = url.query().unwrap();
        assert_eq!(Link::check(&keyring, query, at(1_999)), Ok(link));
        assert_eq!(Link::check(&keyring, query, at(2_000)), Err(LinkFault::Expired));
        for tampered in [
            query.replace("31152", "31153"),
            query.replace("expires=2000", "expires=3000"),
            query.replace("expires=2000", "expires=02000x"),
            format!("{query}&athlete=31153"),
            query.replace("signature=", "signature=A"),
            query.split_once("&signature").unwrap().0.to_owned(),
            String::new(),
            "athlete=%FF%FE&expires=2000&signature=".to_owned(),
        ] {
            assert_eq!(Link::check(&keyring, &tampered, at(1_999)), Err(LinkFault::Damaged), "{tampered}");
        }
    }

    #[test]
    fn a_link_survives_one_rotation_of_the_key() {
        let old = keyring("one");
        let link = Link::new(&old, AthleteId::parse("a").unwrap(), at(2_000));
        let url = link.to_url("https://connect.example.org/connect".parse().unwrap());
        let mut new = keyring("two");
        assert_eq!(Link::check(&new, url.query().unwrap(), at(1)), Err(LinkFault::OtherKey));
        new.add(KeyVersion { id: "one".into(), secret: "root of one".into() });
        assert_eq!(Link::check(&new, url.query().unwrap(), at(1)), Ok(link));
    }

    #[test]
    fn the_signature_is_not_printed() {
        let link = Link::new(&keyring("one"), AthleteId::parse("a").unwrap(), at(2_000));
        assert!(!format!("{link:?}").contains(&link.signature));
    }
}
