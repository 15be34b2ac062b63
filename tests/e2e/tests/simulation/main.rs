//! A fixed set of simulated stories. `cargo simulate` plays any number of others, and longer ones.

#![expect(clippy::panic, reason = "the lint knows test functions, but not what those share")]

use e2e::simulation::{Scale, shortest, simulate};

const ATHLETES: u32 = 8;
const DAYS: u32 = 8;

/// Plays the story of a seed. If it breaks a promise, panics with the shortest story that still breaks it.
async fn keeps_every_promise(seed: u64) {
    if let Err(failure) = simulate(&Scale::full(seed, ATHLETES, DAYS)).await {
        panic!("{}", shortest(failure).await);
    }
}

/// Defines one test per seed, so that they run in parallel.
macro_rules! seeds {
    ($($name:ident: $seed:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            keeps_every_promise($seed).await;
        })*
    };
}

seeds! {
    seed_1: 1,
    seed_2: 2,
    seed_3: 3,
    seed_4: 4,
    seed_5: 5,
    seed_6: 6,
}

/// A story that the simulation found, shrunk. Oura refused the access token when the connector asked whose account it
/// is, and the connector asked the athlete to connect again.
#[tokio::test]
async fn token_refused_before_the_account_is_known() {
    let story = Scale { athletes: vec![7], ..Scale::full(40, 8, 5) };
    if let Err(failure) = simulate(&story).await {
        panic!("{failure}");
    }
}
