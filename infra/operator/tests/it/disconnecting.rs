//! `connector disconnect` on a deployment; its effects at Oura are tested on a pilot.

use store::Status;

use crate::aws::{Aws, keyring};
use crate::squad::{self, id, soon};

#[tokio::test]
async fn without_a_terminal_or_yes_no_athlete_is_disconnected() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    aws.run(&["disconnect", "ada"]).await.refused(2, &["no terminal", "--yes"]);
    let connection = aws.store.connection(&id("a-1"), soon()).await.unwrap().unwrap();
    assert_eq!(connection.status, Status::Active);
}

#[tokio::test]
async fn athlete_who_is_not_connected_is_left_alone() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let ended = aws.run(&["disconnect", "34"]).await;
    assert!(ended.code == 0 && ended.stdout.contains("nothing to do"), "{ended:?}");
}
