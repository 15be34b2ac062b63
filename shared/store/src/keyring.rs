//! Sealing values and signing links, with keys derived from one root secret.
//!
//! The root secret has versions. Each version yields two keys by HKDF-SHA256 (RFC 5869; no salt, since the root is
//! random): one for AES-256-GCM and one for HMAC-SHA256. The current version seals and signs. Every known version opens
//! and verifies, so rotating the root does not invalidate values already stored or links already sent.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::athlete::AthleteId;
use crate::sealed::Sealed;

/// What the derived keys are used for. Changing a text changes the key, so each text carries a version of its own.
const SEALING_INFO: &[u8] = b"oura-smartabase connector, sealing key, v1";
const SIGNING_INFO: &[u8] = b"oura-smartabase connector, link-signing key, v1";

/// One version of the root secret.
#[derive(Clone, Debug)]
pub struct KeyVersion {
    /// The version's id at Secrets Manager, 1 to 255 bytes. It is written in front of every value that this version
    /// seals.
    pub id: String,
    /// The root secret: any text with at least 32 bytes of randomness.
    pub secret: SecretString,
}

/// What a sealed value or a signature is used for. A value made for one purpose is not valid for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealPurpose {
    /// A grant: the token pair of one athlete.
    Grant,
    /// The PKCE verifier of one authorization in progress.
    PkceVerifier,
    /// An athlete's personal link.
    Link,
    /// A fingerprint of the Smartabase account's credentials.
    Credentials,
}

/// The known versions of the root secret. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    current: Arc<Version>,
    former: Vec<Arc<Version>>,
}

/// Why a value could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The id of the current key version is empty or longer than 255 bytes, so it does not fit in front of the value.
    #[error("the id of the current key version is empty or longer than 255 bytes")]
    KeyId,
    /// The cryptographic library failed. It gives no reason.
    #[error("sealing failed")]
    Failed,
}

/// Why a sealed value could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A key version that is not in this keyring sealed it. Read that version from the secrets and add it.
    #[error("sealed by the key version {0}, which is not known here")]
    UnknownKey(String),
    /// The value was changed, or sealed for another purpose or athlete.
    #[error("the sealed value is damaged, or was sealed for another purpose or athlete")]
    Damaged,
}

/// The result of checking a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// A known key version made it over exactly this message, for this purpose.
    Valid,
    /// Not a signature of this message.
    Invalid,
    /// It names a key version that is not in this keyring. It may be forged.
    UnknownKey,
}

impl Keyring {
    /// A keyring with one version, which seals and signs.
    #[must_use]
    pub fn new(current: KeyVersion) -> Self {
        Self { current: Arc::new(Version::derive(current)), former: Vec::new() }
    }

    /// Adds a version that only opens and verifies. Adding a known version changes nothing.
    pub fn add(&mut self, version: KeyVersion) {
        if !self.knows(&version.id) {
            self.former.push(Arc::new(Version::derive(version)));
        }
    }

    /// Whether the keyring has the version `id`.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.versions().any(|version| version.id == id)
    }

    /// The id of the version that seals and signs.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current.id
    }

    /// Encrypts with AES-256-GCM under the current version, bound to the purpose and the athlete.
    ///
    /// The nonce is random, which is safe for 2^32 values per version: one value a second for a century.
    pub fn seal(&self, purpose: SealPurpose, athlete: &AthleteId, plaintext: &[u8]) -> Result<Sealed, SealError> {
        let header = Sealed::header(&self.current.id).ok_or(SealError::KeyId)?;
        let aad = Aad::from(associated_data(&header, purpose, athlete));
        // Allocated with room for the tag, because a growing vector could leave a copy of the plaintext behind.
        let mut in_out = Zeroizing::new(Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len()));
        in_out.extend_from_slice(plaintext);
        let key = &self.current.sealing;
        let nonce = key.seal_in_place_append_tag(aad, &mut *in_out).map_err(|_| SealError::Failed)?;
        let bytes = [header.as_slice(), nonce.as_ref().as_slice(), in_out.as_slice()].concat();
        Sealed::from_bytes(&bytes).map_err(|_| SealError::Failed)
    }

    /// Decrypts what was sealed for exactly this purpose and athlete. The result is wiped from memory when dropped.
    pub fn open(
        &self,
        purpose: SealPurpose,
        athlete: &AthleteId,
        sealed: &Sealed,
    ) -> Result<SecretSlice<u8>, OpenError> {
        let id = sealed.key_id();
        let version = self.versions().find(|version| version.id == id);
        let version = version.ok_or_else(|| OpenError::UnknownKey(id.to_owned()))?;
        let (nonce, ciphertext) = sealed.body().ok_or(OpenError::Damaged)?;
        let header = Sealed::header(id).ok_or(OpenError::Damaged)?;
        let aad = Aad::from(associated_data(&header, purpose, athlete));
        let mut in_out = Zeroizing::new(ciphertext.to_vec());
        let plaintext = version
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut in_out)
            .map_err(|_| OpenError::Damaged)?;
        // A copy of exact size, because shrinking a larger buffer could leave a copy behind.
        Ok(SecretSlice::from(plaintext.to_vec()))
    }

    /// Signs a message with HMAC-SHA256 under the current version: `<first 8 hex digits of SHA-256 of the version's
    /// id>.<base64url of the HMAC>`, 52 characters.
    #[must_use]
    pub fn sign(&self, purpose: SealPurpose, message: &[u8]) -> String {
        let tag = self.current.authenticate(purpose, message).sign();
        format!("{}.{}", self.current.tag, URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// Checks a signature in constant time, with the known version that made it.
    #[must_use]
    pub fn verify(&self, purpose: SealPurpose, message: &[u8], signature: &str) -> SignatureCheck {
        let Some((tag, mac)) = signature.split_once('.') else { return SignatureCheck::Invalid };
        let Ok(mac) = URL_SAFE_NO_PAD.decode(mac) else { return SignatureCheck::Invalid };
        let well_formed = tag.len() == TAG_DIGITS && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !well_formed || mac.len() != digest::SHA256_OUTPUT_LEN {
            return SignatureCheck::Invalid;
        }
        let signed = signed_message(purpose, message);
        let mut verdict = SignatureCheck::UnknownKey;
        for version in self.versions().filter(|version| version.tag == tag) {
            verdict = match hmac::verify(&version.signing, &signed, &mac) {
                Ok(()) => return SignatureCheck::Valid,
                Err(_) => SignatureCheck::Invalid,
            };
        }
        verdict
    }

    fn versions(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.current).chain(&self.former).map(AsRef::as_ref)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let former: Vec<_> = self.former.iter().map(|version| &version.id).collect();
        f.debug_struct("Keyring").field("current", &self.current.id).field("former", &former).finish_non_exhaustive()
    }
}

/// How many hex digits of the hash of a version's id precede a signature. They only select the version; the HMAC proves
/// it.
const TAG_DIGITS: usize = 8;

/// One version's keys.
struct Version {
    id: String,
    tag: String,
    sealing: RandomizedNonceKey,
    signing: hmac::Key,
}

impl Version {
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 yields up to 255 * 32 bytes, and 32 is what AES-256 takes")]
    fn derive(KeyVersion { id, secret }: KeyVersion) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret.expose_secret().as_bytes());
        let mut sealing = Zeroizing::new([0; 32]);
        root.expand(&[SEALING_INFO], &AES_256_GCM)
            .and_then(|output| output.fill(sealing.as_mut_slice()))
            .expect("32 bytes from HKDF");
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, sealing.as_slice()).expect("a 32-byte key");
        let signing = hmac::Key::from(root.expand(&[SIGNING_INFO], hmac::HMAC_SHA256).expect("32 bytes from HKDF"));
        let tag = hex::encode(digest::digest(&digest::SHA256, id.as_bytes())).chars().take(TAG_DIGITS).collect();
        Self { id, tag, sealing, signing }
    }

    fn authenticate(&self, purpose: SealPurpose, message: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.signing);
        context.update(&signed_message(purpose, message));
        context
    }
}

impl SealPurpose {
    /// The text that is authenticated with every value. Never change one.
    fn text(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::PkceVerifier => "pkce verifier",
            Self::Link => "link",
            Self::Credentials => "credentials",
        }
    }
}

/// The data that a sealed value is bound to. The length of each part precedes it, so two different bindings never give
/// the same bytes.
fn associated_data(header: &[u8], purpose: SealPurpose, athlete: &AthleteId) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [header, purpose.text().as_bytes(), athlete.as_str().as_bytes()] {
        data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

/// The bytes that are signed for a message. No text of a purpose contains a NUL, so the NUL ends the purpose.
fn signed_message(purpose: SealPurpose, message: &[u8]) -> Vec<u8> {
    [purpose.text().as_bytes(), b"\0", message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::NotSealed;
    use proptest::prelude::*;

    const PURPOSES: [SealPurpose; 4] =
        [SealPurpose::Grant, SealPurpose::PkceVerifier, SealPurpose::Link, SealPurpose::Credentials];

    fn version(id: &str, secret: &str) -> KeyVersion {
        KeyVersion { id: id.to_owned(), secret: secret.into() }
    }

    fn keyring() -> Keyring {
        Keyring::new(version("v1", "one secret"))
    }

    fn athlete(name: &str) -> AthleteId {
        AthleteId::parse(name).unwrap()
    }

    /// The result of opening, in a form that can be compared.
    fn open(keyring: &Keyring, purpose: SealPurpose, name: &str, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        keyring.open(purpose, &athlete(name), sealed).map(|plaintext| plaintext.expose_secret().to_vec())
    }

    proptest! {
        #[test]
        fn sealed_value_opens_only_for_its_purpose_and_athlete(
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            name in "[a-z#]{1,8}",
            other in "[a-z#]{1,8}",
        ) {
            let keyring = keyring();
            for purpose in PURPOSES {
                let sealed = keyring.seal(purpose, &athlete(&name), &plaintext).unwrap();
                let carried = Sealed::from_base64(&sealed.to_base64()).unwrap();
                prop_assert_eq!(&carried, &sealed);
                for wrong in PURPOSES.into_iter().filter(|&wrong| wrong != purpose) {
                    prop_assert_eq!(open(&keyring, wrong, &name, &sealed), Err(OpenError::Damaged));
                }
                if other != name {
                    prop_assert_eq!(open(&keyring, purpose, &other, &sealed), Err(OpenError::Damaged));
                }
                prop_assert_eq!(open(&keyring, purpose, &name, &carried), Ok(plaintext.clone()));
            }
        }

        #[test]
        fn random_bytes_never_open_and_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok(sealed) = Sealed::from_bytes(&bytes) {
                prop_assert!(open(&keyring(), SealPurpose::Grant, "ada", &sealed).is_err());
            }
        }

        #[test]
        fn only_the_signature_itself_verifies(message in any::<Vec<u8>>(), forged in ".{0,60}") {
            let keyring = keyring();
            prop_assume!(forged != keyring.sign(SealPurpose::Link, &message));
            prop_assert_ne!(keyring.verify(SealPurpose::Link, &message, &forged), SignatureCheck::Valid);
        }
    }

    #[test]
    fn a_flipped_bit_or_a_cut_value_does_not_open() {
        let keyring = keyring();
        let sealed = keyring.seal(SealPurpose::Grant, &athlete("ada"), b"tokens").unwrap();
        let mut seen = Vec::new();
        for (place, bit) in (0..sealed.as_bytes().len()).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[place] ^= 1 << bit;
            let outcome = Sealed::from_bytes(&bytes).map(|sealed| open(&keyring, SealPurpose::Grant, "ada", &sealed));
            match outcome {
                Err(NotSealed) => seen.push("not sealed"),
                Ok(Err(OpenError::UnknownKey(_))) => seen.push("unknown key"),
                Ok(Err(OpenError::Damaged)) => seen.push("damaged"),
                Ok(Ok(_)) => panic!("opened with bit {bit} of byte {place} flipped"),
            }
        }
        for outcome in ["not sealed", "unknown key", "damaged"] {
            assert!(seen.contains(&outcome), "{outcome}");
        }
        for length in 0..sealed.as_bytes().len() {
            let cut = Sealed::from_bytes(&sealed.as_bytes()[..length]);
            assert!(
                cut.is_err() || open(&keyring, SealPurpose::Grant, "ada", &cut.unwrap()).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn seal_has_the_documented_layout_and_a_fresh_nonce() {
        let seal = || keyring().seal(SealPurpose::Grant, &athlete("ada"), b"tokens").unwrap();
        let (one, two) = (seal(), seal());
        assert_eq!(&one.as_bytes()[..4], b"\x01\x02v1");
        assert_eq!(one.as_bytes().len(), 1 + 1 + 2 + 12 + 6 + 16);
        assert_eq!(one.key_id(), "v1");
        assert_ne!(one, two);
    }

    #[test]
    fn a_key_version_opens_only_values_that_it_sealed() {
        let (old, new) = (keyring(), Keyring::new(version("v2", "another secret")));
        let sealed = old.seal(SealPurpose::Grant, &athlete("ada"), b"tokens").unwrap();
        let unknown = Err(OpenError::UnknownKey("v1".to_owned()));
        assert_eq!(open(&new, SealPurpose::Grant, "ada", &sealed), unknown);
        // The same id, but another secret.
        let impostor = Keyring::new(version("v1", "another secret"));
        assert_eq!(open(&impostor, SealPurpose::Grant, "ada", &sealed), Err(OpenError::Damaged));

        let mut rotated = new;
        rotated.add(version("v1", "one secret"));
        rotated.add(version("v1", "ignored: v1 is known"));
        assert!(rotated.knows("v1") && rotated.knows("v2") && !rotated.knows("v3"));
        assert_eq!(open(&rotated, SealPurpose::Grant, "ada", &sealed), Ok(b"tokens".to_vec()));
        assert_eq!(rotated.current(), "v2");
        assert_eq!(rotated.seal(SealPurpose::Grant, &athlete("ada"), b"").unwrap().key_id(), "v2");
    }

    #[test]
    fn seal_refuses_an_empty_or_too_long_key_id() {
        for id in [String::new(), "x".repeat(256)] {
            let keyring = Keyring::new(version(&id, "secret"));
            assert_eq!(keyring.seal(SealPurpose::Grant, &athlete("ada"), b"tokens"), Err(SealError::KeyId));
        }
        let id = "x".repeat(255);
        let keyring = Keyring::new(version(&id, "secret"));
        let sealed = keyring.seal(SealPurpose::Grant, &athlete("ada"), b"tokens").unwrap();
        assert_eq!(open(&keyring, SealPurpose::Grant, "ada", &sealed), Ok(b"tokens".to_vec()));
    }

    #[test]
    fn derived_keys_match_another_implementation() {
        // Another implementation made both values (Python's `hmac` and `cryptography`). If this test fails, this
        // version can't read values sealed and links sent by earlier versions.
        assert_eq!(keyring().sign(SealPurpose::Link, b"message"), KNOWN_SIGNATURE);
        let sealed = Sealed::from_base64(KNOWN_SEALED).unwrap();
        assert_eq!(open(&keyring(), SealPurpose::Grant, "ada", &sealed), Ok(b"tokens".to_vec()));
    }

    const KNOWN_SIGNATURE: &str = "3bfc2695.vt88se5VteRoJ6_QgimfoPMH3PMo8IU7r1UusKw4tDE";
    const KNOWN_SEALED: &str = "AQJ2MQABAgMEBQYHCAkKC9z6c6+seUEyTlZqUCUe7vQ2ZCI9XF8=";

    #[test]
    fn a_signature_is_valid_only_for_its_message_and_purpose() {
        let keyring = keyring();
        let signature = keyring.sign(SealPurpose::Link, b"message");
        let verdict = |message: &[u8], signature: &str| keyring.verify(SealPurpose::Link, message, signature);
        assert_eq!(verdict(b"message", &signature), SignatureCheck::Valid);
        assert_eq!(verdict(b"messagf", &signature), SignatureCheck::Invalid);
        assert_eq!(keyring.verify(SealPurpose::Grant, b"message", &signature), SignatureCheck::Invalid);
        for malformed in ["", ".", "message", &signature[..51], &format!("{signature}A"), &signature.replace('.', ":")]
        {
            assert_eq!(verdict(b"message", malformed), SignatureCheck::Invalid, "{malformed}");
        }
        // Change each character, including the last one with its unused bits.
        for (place, old) in signature.char_indices() {
            for new in ['0', '1', 'a', 'A', 'B', '-', '.'].into_iter().filter(|&new| new != old) {
                let mut forged = signature.clone();
                forged.replace_range(place..=place, new.encode_utf8(&mut [0; 4]));
                assert_ne!(verdict(b"message", &forged), SignatureCheck::Valid, "{forged}");
            }
        }
    }

    #[test]
    fn a_signature_stays_valid_after_a_key_rotation() {
        let signature = keyring().sign(SealPurpose::Link, b"message");
        let mut rotated = Keyring::new(version("v2", "another secret"));
        assert_eq!(rotated.verify(SealPurpose::Link, b"message", &signature), SignatureCheck::UnknownKey);
        rotated.add(version("v1", "one secret"));
        assert_eq!(rotated.verify(SealPurpose::Link, b"message", &signature), SignatureCheck::Valid);
        assert_eq!(rotated.verify(SealPurpose::Link, b"another", &signature), SignatureCheck::Invalid);
        assert_ne!(rotated.sign(SealPurpose::Link, b"message"), signature);
    }

    #[test]
    fn debug_prints_no_secret() {
        let mut keyring = keyring();
        keyring.add(version("v0", "a former secret"));
        let sealed = keyring.seal(SealPurpose::Grant, &athlete("ada"), b"tokens").unwrap();
        let opened = keyring.open(SealPurpose::Grant, &athlete("ada"), &sealed).unwrap();
        let printed = format!("{keyring:?} {:?} {sealed:?} {opened:?}", version("v1", "one secret"));
        assert!(printed.contains(r#"Keyring { current: "v1", former: ["v0"], .. }"#), "{printed}");
        assert!(printed.contains("Sealed(..)"), "{printed}");
        for secret in ["one secret", "a former secret", "tokens", &sealed.to_base64()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
