//! `connector show`.

use jiff::{Timestamp, ToSpan};
use store::{BackfillDebt, Claim, Finish, RecordKey, WindowDigest, Written};

use crate::aws::{Aws, keyring};
use crate::squad::{self, ago, id, soon};

#[tokio::test]
async fn shows_connection_work_and_ledger() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let Claim::Won(connection) = aws.store.claim(&id("a-1"), "w", ago(3), ago(2), None, soon()).await.unwrap() else {
        panic!("the lease is free");
    };
    let date = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date() - 2.days();
    let key = RecordKey { form: "Oura Readiness and Sleep Summary".to_owned(), date };
    let written = [(key, Written { event: 2_000_036, digest: "d".to_owned() })];
    let finish = Finish {
        digest: WindowDigest::Set("w".to_owned()),
        note: None,
        last_day: Some(date),
        backfill: BackfillDebt::Keep,
        brought: Some((date, date)),
        synced: true,
        released: true,
        now: ago(3),
    };
    aws.store.confirm(&id("a-1"), connection.user_id, connection.fence, &written, finish, soon()).await.unwrap();
    let ended = aws.run(&["show", "okafor"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in [
        "Ada Okafor",
        "a-1, Smartabase user 31",
        "connected",
        "scopes: daily",
        "2000036",
        "written",
        "/oura-connector/worker",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in {}", ended.stdout);
    }
    let json = aws.run(&["show", "a-1", "--json"]).await.json();
    assert_eq!(json["ledger"][0]["event"], 2_000_036);
    assert_eq!(json["ledger"][0]["received_at"], json["ledger"][0]["changed_at"]);
    assert_eq!(json["connection"]["brought"]["last"], date.to_string());
    assert_eq!(json["connection"]["granted"], true);
}

#[tokio::test]
async fn athlete_who_never_connected_has_little_to_show() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let ended = aws.run(&["show", "34"]).await;
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.contains("not connected yet") && ended.stdout.contains("nothing in the ledger"), "{ended:?}");
    // Ben’s form lacks a field.
    assert_eq!(aws.run(&["show", "b-2"]).await.code, 3);
}
