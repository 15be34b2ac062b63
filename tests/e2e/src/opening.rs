use std::time::Duration;

use local::{Cast, Stage};
use runtime::Deadline;
use store::Connection;

use crate::{athlete, log};

/// Long enough for anything a test asks of the connector directly.
#[must_use]
pub fn deadline() -> Deadline {
    Deadline::within(Duration::from_mins(1))
}

/// Nobody has a link yet. What is printed from here on is searched by the audit.
pub async fn opening(cast: Cast) -> Stage {
    log::listen();
    Stage::set(cast).await.unwrap()
}

/// Everybody has a personal link, and nobody has used it.
pub async fn enrolled(cast: Cast) -> Stage {
    let stage = opening(cast).await;
    stage.process.enrol().await.unwrap();
    let _opening = stage.cost();
    stage
}

/// Everybody has connected their own ring (the first user the first person's, and so on), the history is delivered, a
/// tick has found it so, and nothing waits.
pub async fn connected(cast: Cast) -> Stage {
    let own: Vec<_> = cast.users.iter().map(|user| user.id).zip(cast.people.iter().map(|one| one.id.clone())).collect();
    let stage = enrolled(cast).await;
    for (user, person) in own {
        let visit = stage.connect(user, &person).await.unwrap();
        assert_eq!(visit.status, 200, "{}", visit.page);
    }
    stage.settle().await;
    stage.tick().await.unwrap();
    let _opening = stage.cost();
    stage
}

/// What the table says about the athlete with this UUID.
pub async fn connection(stage: &Stage, uuid: &str) -> Option<Connection> {
    stage.process.connector.store.connection(&athlete(uuid), deadline().instant()).await.unwrap()
}
