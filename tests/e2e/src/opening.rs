use std::time::Duration;

use local::{Cast, Stage};
use runtime::Deadline;
use store::Connection;

use crate::{athlete, log};

/// A deadline long enough for any direct call of a test to the connector.
#[must_use]
pub fn deadline() -> Deadline {
    Deadline::within(Duration::from_mins(1))
}

/// A site where no athlete has a link yet. The audit searches everything that is logged from here on.
pub async fn opening(cast: Cast) -> Stage {
    log::listen();
    Stage::set(cast).await.unwrap()
}

/// A site where every athlete has a personal link and no athlete has used it.
pub async fn enrolled(cast: Cast) -> Stage {
    let stage = opening(cast).await;
    stage.process.enrol().await.unwrap();
    let _opening = stage.cost();
    stage
}

/// A site where every athlete has connected: the first user with the first person's ring, and so on. The history is
/// delivered, a tick has found nothing new, and the queue is empty.
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

/// The stored connection of the athlete with this UUID.
pub async fn connection(stage: &Stage, uuid: &str) -> Option<Connection> {
    stage.process.connector.store.connection(&athlete(uuid), deadline().instant()).await.unwrap()
}
