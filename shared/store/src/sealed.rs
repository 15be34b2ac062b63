//! The format of a sealed value: encrypted data that is safe to store anywhere.
//!
//! ```text
//! byte 0          the format, 1
//! byte 1          n, the length of the key version's id, 1..=255
//! n bytes         the id, UTF-8
//! 12 bytes        the nonce
//! the rest        the ciphertext, and the 16 bytes of its tag
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The first byte of every sealed value. A new layout takes the next number.
const FORMAT: u8 = 1;
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;

/// An encrypted and authenticated value. [`Keyring::seal`](crate::Keyring::seal) makes it and
/// [`Keyring::open`](crate::Keyring::open) reads it. All other code can store it and pass it on, but not read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Vec<u8>,
    key_id: String,
}

/// The bytes or the text are not a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a sealed value")]
pub struct NotSealed;

impl Sealed {
    /// Reads a sealed value from the bytes that [`as_bytes`](Self::as_bytes) gave. Checks only the format. Whether the
    /// value is genuine shows only when it is opened with its key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotSealed> {
        let (key_id, nonce_and_ciphertext) = split(bytes).ok_or(NotSealed)?;
        if nonce_and_ciphertext.len() < NONCE_BYTES + TAG_BYTES {
            return Err(NotSealed);
        }
        Ok(Self { bytes: bytes.to_vec(), key_id: key_id.to_owned() })
    }

    /// The whole value, for the table.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a sealed value from the text that [`to_base64`](Self::to_base64) gave.
    pub fn from_base64(text: &str) -> Result<Self, NotSealed> {
        Self::from_bytes(&STANDARD.decode(text).map_err(|_| NotSealed)?)
    }

    /// The whole value as text, for a queue message.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }

    /// The id of the key version that sealed it. Not a secret.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The part after the id of the key version: nonce, ciphertext and tag.
    pub(crate) fn body(&self) -> Option<(&[u8; NONCE_BYTES], &[u8])> {
        split(&self.bytes)?.1.split_first_chunk()
    }

    /// The part before the nonce, for the key version `key_id`; `None` if that id's length is not 1 to 255 bytes.
    pub(crate) fn header(key_id: &str) -> Option<Vec<u8>> {
        let length = u8::try_from(key_id.len()).ok().filter(|&length| length > 0)?;
        Some([&[FORMAT, length], key_id.as_bytes()].concat())
    }
}

/// The id of the key version, and the rest after it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&[format, length], rest) = bytes.split_first_chunk()?;
    let (key_id, rest) = rest.split_at_checked(usize::from(length))?;
    (format == FORMAT && length > 0).then_some((std::str::from_utf8(key_id).ok()?, rest))
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}
