//! A fixed set of simulated stories. `cargo simulate` plays as many others as you like, and longer ones.

#![expect(clippy::panic, reason = "the lint knows test functions, but not what those share")]

use e2e::simulation::{Scale, shortest, simulate};

const ATHLETES: u32 = 8;
const DAYS: u32 = 8;

/// Plays a seed; if a promise is broken, tells the shortest story that breaks it.
async fn keeps_every_promise(seed: u64) {
    if let Err(failure) = simulate(&Scale::full(seed, ATHLETES, DAYS)).await {
        panic!("{}", shortest(failure).await);
    }
}

/// One test per seed, so that they run beside each other.
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

/// What the simulation found once, as short as it could be told: an access token that was refused when Oura was asked
/// whose account it is, and an athlete who was told to connect again for it.
#[tokio::test]
async fn a_refused_token_before_the_owner_is_known() {
    let story = Scale { athletes: vec![7], ..Scale::full(40, 8, 5) };
    if let Err(failure) = simulate(&story).await {
        panic!("{failure}");
    }
}
