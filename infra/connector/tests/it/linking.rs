//! `connector link`.

use connector::Link;
use jiff::{SignedDuration, Timestamp};

use crate::aws::{Aws, keyring};
use crate::squad::{self, id};

#[tokio::test]
async fn the_link_opens_and_expires_with_the_one_in_the_form() {
    let aws = Aws::start().await;
    squad::enrol(&aws.store, "a-1", 31, "Ada Okafor", 500).await;
    let ended = aws.run(&["link", "okafor", "--json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let link: url::Url = ended.json()["link"].as_str().unwrap().parse().unwrap();
    assert!(link.as_str().starts_with("https://connect.example.org/connect?"));
    let now = Timestamp::now();
    let opened = Link::check(&keyring(), link.query().unwrap(), now).unwrap();
    assert_eq!(opened.athlete, id("a-1"));
    let left = opened.expires.duration_since(now);
    assert!(left > SignedDuration::from_hours(499) && left <= SignedDuration::from_hours(500), "{left}");
}

#[tokio::test]
async fn a_link_about_to_expire_is_replaced_by_a_fresh_one() {
    let aws = Aws::start().await;
    squad::enrol(&aws.store, "a-1", 31, "Ada Okafor", 3).await;
    let ended = aws.run(&["link", "a-1"]).await;
    let query = ended.stdout.trim().split_once('?').unwrap().1.to_owned();
    let opened = Link::check(&keyring(), &query, Timestamp::now() + SignedDuration::from_hours(160)).unwrap();
    assert_eq!(opened.athlete, id("a-1"));
    assert!(ended.stderr.contains("Whoever has it"), "{ended:?}");
}

#[tokio::test]
async fn somebody_who_was_never_enrolled_has_no_link() {
    let aws = Aws::start().await;
    squad::connect(&aws.store, &keyring(), "a-1", 31).await;
    aws.run(&["link", "a-1"]).await.refused(1, &["never enrolled", "run the enrolment"]);
}
