//! The client against servers that answer what each test says, on real sockets.

#![expect(clippy::unwrap_used, reason = "what tests share may panic like the tests themselves")]

mod answers;
mod application;
mod data;
mod server;
mod tokens;

use std::time::Duration;

use oura::ClientCredentials;
use secrecy::SecretString;
use tokio::time::Instant;

/// Far enough off that no test meets it.
fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// Soon, for servers that never answer.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn secret(text: &str) -> SecretString {
    text.into()
}

fn credentials() -> ClientCredentials {
    ClientCredentials { client_id: "our id".to_owned(), client_secret: secret("hush&secret") }
}
