//! The personal link: which athlete it opens, until when, and that no other link opens anything.

use connector::Link;
use e2e::{
    ADA, BEN, Spent, ada_and_ben, athlete, connected, connection, curtain, deadline, enrolled, gives_nothing_away,
};
use jiff::SignedDuration;
use local::{Stage, Visit};
use store::Status;

/// Sends this query to the three routes that take a link, and returns the responses.
async fn everywhere(stage: &Stage, query: &str) -> Vec<Visit> {
    let page = |path| stage.process.connector.settings.page(path).to_string();
    let shown = stage.browser.get(format!("{}?{query}", page("connect"))).send().await.unwrap();
    let left = stage.post(&page("connect"), query).await.unwrap();
    let ended = stage.post(&page("disconnect"), query).await.unwrap();
    let mut visits = Vec::new();
    for response in [shown, left, ended] {
        assert!(response.headers().get("set-cookie").is_none() && response.headers().get("location").is_none());
        visits.push(Visit::of(response).await.unwrap());
    }
    visits
}

async fn refused(stage: &Stage, query: &str, status: u16, says: &str) {
    let signature = stage.link(ADA).unwrap().split_once("signature=").unwrap().1.to_owned();
    for visit in everywhere(stage, query).await {
        assert_eq!(visit.status, status, "{query}: {}", visit.page);
        assert!(visit.page.contains(says), "{query}: {}", visit.page);
        assert!(!visit.page.contains(&signature) && !visit.page.contains("Sample"), "{query}: {}", visit.page);
        gives_nothing_away(stage, &visit.page);
    }
}

#[tokio::test]
async fn invariant_5_a_link_that_was_tampered_with_opens_nothing() {
    let stage = connected(ada_and_ben()).await;
    let link = stage.link(ADA).unwrap();
    let (_, query) = link.split_once('?').unwrap();
    let (rest, signature) = query.split_once("&signature=").unwrap();
    let expires = rest.split_once("expires=").unwrap().1;
    let bens = stage.link(BEN).unwrap().split_once("signature=").unwrap().1.to_owned();
    let damaged = [
        // Another athlete, known or not; a later expiry; another athlete's signature.
        query.replace("uuid-ada", "uuid-ben"),
        query.replace("uuid-ada", "uuid-eve"),
        query.replace(expires, "4102444800"),
        format!("{rest}&signature={bens}"),
        // Cut off at any place, empty, doubled.
        rest.to_owned(),
        format!("{rest}&signature="),
        query[..query.len() - 1].to_owned(),
        format!("signature={signature}"),
        String::new(),
        format!("{query}&athlete=uuid-ben"),
        format!("athlete=uuid-ben&{query}"),
        format!("{query}&signature={signature}"),
        // Other alphabets, other types.
        query.replace(expires, "soon"),
        query.replace("uuid-ada", "%FF%FE"),
        query.replace("uuid-ada", "uuid-ada%00"),
        query.replace("uuid-ada", "%3Cscript%3E"),
    ];
    let _ = stage.cost();
    for query in damaged {
        refused(&stage, &query, 400, "This link is damaged").await;
    }
    let spent = Spent::since(&stage);
    assert_eq!(spent, Spent::default(), "what is not signed is not even looked up");
    for uuid in ["uuid-ada", "uuid-ben"] {
        assert_eq!(connection(&stage, uuid).await.unwrap().status, Status::Active);
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn an_expired_link_says_where_the_new_one_is() {
    let stage = enrolled(ada_and_ben()).await;
    let link = stage.link(ADA).unwrap();
    let (_, query) = link.split_once('?').unwrap();
    stage.pass(SignedDuration::from_hours(30 * 24) - SignedDuration::from_secs(1));
    assert_eq!(stage.browser.get(&link).send().await.unwrap().status(), 200);
    stage.pass(SignedDuration::from_secs(1));
    refused(&stage, query, 410, "This link has expired").await;
    // The next enrolment has renewed the link.
    stage.process.enrol().await.unwrap();
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_5_a_link_opens_only_its_own_athletes_connection() {
    let stage = connected(ada_and_ben()).await;
    let before = connection(&stage, "uuid-ben").await;
    assert_eq!(stage.disconnect(ADA).await.unwrap().status, 200);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Disconnected);
    assert_eq!(connection(&stage, "uuid-ben").await, before);
    let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Ada Sample") && !page.contains("Ben"), "{page}");
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn valid_link_of_an_unknown_athlete_refers_to_the_staff() {
    let stage = enrolled(ada_and_ben()).await;
    let connector = &stage.process.connector;
    let keyring = connector.secrets.keyring(deadline()).await.unwrap();
    let until = stage.clock.now() + SignedDuration::from_hours(1);
    let link = Link::new(&keyring, athlete("uuid-zoe"), until).to_url(connector.settings.page("connect"));
    refused(&stage, link.query().unwrap(), 404, "We don’t know this athlete yet").await;
    assert!(connection(&stage, "uuid-zoe").await.is_none());
    curtain(&stage).await;
}
