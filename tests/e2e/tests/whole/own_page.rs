//! An attack. An athlete's web page on another site submits her own link to `POST /connect` from a visitor's browser.
//! The visitor lands on Oura's genuine consent page and accepts. The visitor's ring would then feed her forms.

use e2e::{ADA, BEN, Spent, ada_and_ben, connected, connection, curtain, enrolled, gives_nothing_away};
use local::{Stage, Visit};
use store::Status;

/// Sends what a browser sends when another site submits Ada's link. `headers` are those that the browser adds.
async fn submitted_elsewhere(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Visit {
    let link = stage.link(ADA).unwrap();
    let (address, query) = link.split_once('?').unwrap();
    let request = stage.browser.post(address.replace("/connect", path)).body(query.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    assert!(answer.headers().get("location").is_none() && answer.headers().get("set-cookie").is_none());
    let visit = Visit::of(answer).await.unwrap();
    gives_nothing_away(stage, &visit.page);
    visit
}

/// The headers of an old browser, and of one that says where a form comes from.
const BROWSERS: [&[(&str, &str)]; 3] = [
    &[("content-type", "application/x-www-form-urlencoded")],
    &[("origin", "https://elsewhere.example.org"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
    // An origin within the same club's domain is also another site.
    &[("origin", "https://shop.example.org"), ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
];

#[tokio::test]
async fn link_submitted_by_another_site_is_not_sent_to_oura() {
    let stage = enrolled(ada_and_ben()).await;
    let _ = stage.cost();
    for headers in BROWSERS {
        let visit = submitted_elsewhere(&stage, "/connect", headers).await;
        assert_eq!(visit.status, 403, "{}", visit.page);
        assert!(visit.page.contains("Please open your link again"), "{}", visit.page);
    }
    assert_eq!(Spent::since(&stage), Spent::default(), "no state is made");
    // From her own page, Ada can connect.
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn link_submitted_by_another_site_does_not_disconnect() {
    let stage = connected(ada_and_ben()).await;
    for headers in BROWSERS {
        assert_eq!(submitted_elsewhere(&stage, "/disconnect", headers).await.status, 403);
    }
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    assert_eq!(stage.disconnect(ADA).await.unwrap().status, 200);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Disconnected);
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn opening_the_page_writes_nothing() {
    let stage = enrolled(ada_and_ben()).await;
    let _ = stage.cost();
    let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap();
    assert!(page.headers()["set-cookie"].to_str().unwrap().starts_with("__Host-form="));
    let table = stage.cost().table;
    assert_eq!(table.len(), table.operations("GetItem"));
    curtain(&stage).await;
}

#[tokio::test]
async fn last_page_names_the_athlete_whose_forms_the_ring_feeds() {
    let stage = enrolled(ada_and_ben()).await;
    let visit = stage.connect(BEN, "ada").await.unwrap();
    assert!(visit.page.contains("forms of the athlete named below"), "{}", visit.page);
    assert!(visit.page.contains("<bdi>Ben"), "{}", visit.page);
    assert!(visit.page.contains("if it is not, remove the access in your Oura account"), "{}", visit.page);
    stage.settle().await;
    curtain(&stage).await;
}
