//! Repeatable randomness: each draw has a name, and the same seed and name always give the same numbers.

use aws_lc_rs::digest::{SHA256, digest};

/// A generator for one purpose, named for example `["night", "ada", "2026-03-01"]`.
pub(crate) fn named(seed: u64, name: &[&str]) -> fastrand::Rng {
    fastrand::Rng::with_seed(hash(seed, name))
}

/// An evenly distributed number for a name, to sort rows in an order that looks random.
pub(crate) fn hash(seed: u64, name: &[&str]) -> u64 {
    let bytes = fingerprint(seed, name);
    bytes.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// `2 * bytes` hexadecimal digits for a name, at most 64. For ids and tokens.
pub(crate) fn digits(seed: u64, name: &[&str], bytes: usize) -> String {
    let mut digits = hex::encode(fingerprint(seed, name));
    digits.truncate(bytes * 2);
    digits
}

fn fingerprint(seed: u64, name: &[&str]) -> [u8; 32] {
    let message = format!("{seed}\u{1f}{}", name.join("\u{1f}"));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, message.as_bytes()).as_ref());
    bytes
}
