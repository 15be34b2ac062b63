//! Tests the client against servers on real sockets, which answer what each test says.

#![expect(clippy::unwrap_used, reason = "what tests share may panic like the tests themselves")]

mod answers;
mod application;
mod data;
mod server;
mod token_answers;
mod tokens;

use std::time::Duration;

use oura::ClientCredentials;
use secrecy::SecretString;
use tokio::time::Instant;

/// A deadline that no test reaches.
fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// A short deadline, for servers that never answer.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn secret(text: &str) -> SecretString {
    text.into()
}

fn credentials() -> ClientCredentials {
    ClientCredentials { client_id: "our id".to_owned(), client_secret: secret("hush&secret") }
}
