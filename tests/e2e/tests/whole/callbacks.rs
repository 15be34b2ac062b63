//! Many callbacks at the same moment.

use e2e::{ADA, BEN, NIGHTS, Spent, ada, ada_and_ben, connection, curtain, enrolled, faithful};
use jiff::SignedDuration;
use local::{Stage, Visit};
use store::Status;

const MANY: usize = 20;

/// Each visit brings a history of its own, one after the other, so there are only a few.
const SEVERAL: usize = 4;

/// Sends all callbacks at once, each with its URL and cookie.
async fn arrive(stage: &Stage, visitors: &[(String, String)]) -> Vec<Visit> {
    let mut visits = tokio::task::JoinSet::new();
    for (back, cookie) in visitors.iter().cloned() {
        let browser = stage.browser.clone();
        visits.spawn(async move { Visit::of(browser.get(back).header("cookie", cookie).send().await.unwrap()).await });
    }
    visits.join_all().await.into_iter().map(Result::unwrap).collect()
}

/// Runs all jobs. Those that wait for others get up to six hours.
async fn work_off(stage: &Stage) {
    stage.process.work_until(stage.clock.now() + SignedDuration::from_hours(6)).await;
}

#[tokio::test]
async fn twenty_callbacks_with_one_state_exchange_one_code() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    let back = stage.oura.approve(&consent, "ada").to_string();
    let _ = stage.cost();
    let visits = arrive(&stage, &vec![(back, cookie); MANY]).await;
    let (connected, lost): (Vec<_>, Vec<_>) = visits.iter().partition(|visit| visit.status == 200);
    assert_eq!((connected.len(), lost.len()), (1, MANY - 1));
    for visit in lost {
        assert_eq!(visit.status, 400);
        assert!(visit.page.contains("We lost track of this visit"), "{}", visit.page);
    }
    let spent = Spent::since(&stage);
    assert_eq!((spent.tokens, spent.personal), (1, 1));
    let known = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((known.status, known.generation), (Status::Active, 1));
    assert_eq!(stage.process.waiting.len(), 1, "one history to bring");
    stage.settle().await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn concurrent_visits_of_one_athlete_keep_the_last_grant() {
    let stage = enrolled(ada()).await;
    let mut visitors = Vec::new();
    for _ in 0..SEVERAL {
        let (consent, cookie) = stage.depart(ADA).await.unwrap();
        visitors.push((stage.oura.approve(&consent, "ada").to_string(), cookie));
    }
    let visits = arrive(&stage, &visitors).await;
    // A callback that loses three races to others is asked to try again. None gets a wrong answer.
    let connected = visits.iter().filter(|visit| visit.status == 200).count();
    assert!(connected >= 1 && visits.iter().all(|visit| [200, 503].contains(&visit.status)), "{visits:?}");
    let known = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((known.status, known.generation), (Status::Active, u64::try_from(connected).unwrap()));
    work_off(&stage).await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn two_athletes_connecting_one_ring_at_once_one_gets_it() {
    let stage = enrolled(ada_and_ben()).await;
    let mut visitors = Vec::new();
    for user in [ADA, BEN].into_iter().cycle().take(SEVERAL) {
        let (consent, cookie) = stage.depart(user).await.unwrap();
        visitors.push((stage.oura.approve(&consent, "ada").to_string(), cookie));
    }
    arrive(&stage, &visitors).await;
    let (adas, bens) = (connection(&stage, "uuid-ada").await, connection(&stage, "uuid-ben").await);
    assert!(adas.is_some() != bens.is_some(), "one of them, and not both: {adas:?} {bens:?}");
    work_off(&stage).await;
    let (owner, other) = if adas.is_some() { (ADA, BEN) } else { (BEN, ADA) };
    faithful(&stage, owner, "ada");
    assert_eq!(stage.smartabase.events_of(other, NIGHTS), []);
    curtain(&stage).await;
}
