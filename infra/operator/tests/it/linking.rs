//! `connector link`.

use connector::Link;
use jiff::{SignedDuration, Timestamp};

use crate::aws::{Aws, keyring};
use crate::squad::{self, id};

#[tokio::test]
async fn link_opens_and_expires_with_the_one_in_the_form() {
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
async fn user_who_was_never_enrolled_has_no_link() {
    let aws = Aws::start().await;
    squad::connect(&aws.store, &keyring(), "a-1", 31).await;
    aws.run(&["link", "a-1"]).await.refused(1, &["never enrolled", "run the enrolment"]);
}

/// `link --renew`, for an athlete whose link has leaked.
mod renewing {
    use super::*;
    use store::Enrolment;

    async fn link(aws: &Aws, arguments: &[&str]) -> Link {
        let ended = aws.run(arguments).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let link: url::Url = ended.json()["link"].as_str().unwrap().parse().unwrap();
        Link::check(&keyring(), link.query().unwrap(), Timestamp::now()).unwrap()
    }

    async fn enrolment(aws: &Aws) -> Enrolment {
        aws.store.enrolment(&id("a-1"), squad::soon()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn ends_every_earlier_link_and_prints_one_that_opens() {
        let aws = Aws::start().await;
        squad::enrol(&aws.store, "a-1", 31, "Ada Okafor", 720).await;
        squad::enrol(&aws.store, "b-2", 32, "Ben Ode", 720).await;
        let earlier =
            [link(&aws, &["link", "a-1", "--json"]).await, link(&aws, &["link", "a-1", "--renew", "--json"]).await];
        let renewed = link(&aws, &["link", "a-1", "--renew", "--json"]).await;
        let enrolment = enrolment(&aws).await;
        assert!(earlier.iter().all(|link| enrolment.has_ended(link.expires)), "{earlier:?} {enrolment:?}");
        assert!(!enrolment.has_ended(renewed.expires));
        let bens = aws.store.enrolment(&id("b-2"), squad::soon()).await.unwrap().unwrap();
        assert_eq!(bens.links_from, None, "nobody else's links end");
        // Until the form has a new link, `link` prints the new one again.
        assert_eq!(link(&aws, &["link", "a-1", "--json"]).await, renewed);
    }

    #[tokio::test]
    async fn reports_the_renewal_and_that_the_form_follows() {
        let aws = Aws::start().await;
        squad::enrol(&aws.store, "a-1", 31, "Ada Okafor", 720).await;
        let ended = aws.run(&["link", "a-1", "--renew"]).await;
        assert!(ended.stderr.contains("Every earlier link has ended"), "{ended:?}");
        assert_ne!(enrolment(&aws).await.basis, "a page and a key", "the next enrolment writes another link");
        aws.run(&["link", "c-3", "--renew"]).await.refused(2, &["c-3"]);
    }
}
