//! A leaked link works for thirty days. Its finder can replace the ring or disconnect, until the operator renews the
//! athlete's links. Staff see at once that a ring was replaced.

use connector::{LINK_LIFETIME, Link};
use e2e::{ADA, BEN, STANDINGS, ada, ada_and_ben, athlete, connected, connection, curtain, deadline, enrolled, living};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use sim::oura::Life;
use store::{ConnectionUpdate, Status};

/// Does what `connector link --renew` does, and returns the new link.
async fn renew(stage: &Stage, uuid: &str) -> String {
    let connector = &stage.process.connector;
    let enrolment = connector.store.enrolment(&athlete(uuid), deadline().instant()).await.unwrap().unwrap();
    let expires = (stage.clock.now() + LINK_LIFETIME).max(enrolment.link_expires) + SignedDuration::from_mins(5);
    let ended = connector.store.end_links(&enrolment.athlete, enrolment.user_id, expires, deadline().instant()).await;
    assert_eq!(ended.unwrap(), ConnectionUpdate::Done);
    let keyring = connector.secrets.keyring(deadline()).await.unwrap();
    Link::new(&keyring, enrolment.athlete, expires).to_url(connector.settings.page("connect")).to_string()
}

/// Opens a link and submits both forms of its page. Returns the three statuses.
async fn everywhere(stage: &Stage, link: &str) -> [u16; 3] {
    let (address, query) = link.split_once('?').unwrap();
    let opened = stage.browser.get(link).send().await.unwrap().status().as_u16();
    let pressed = stage.post(address, query).await.unwrap().status().as_u16();
    let ended = stage.post(&address.replace("/connect", "/disconnect"), query).await.unwrap().status().as_u16();
    [opened, pressed, ended]
}

#[tokio::test]
async fn renewal_ends_every_earlier_link_of_the_athlete() {
    let stage = connected(ada_and_ben()).await;
    let (leaked, bens) = (stage.link(ADA).unwrap(), stage.link(BEN).unwrap());
    let renewed = renew(&stage, "uuid-ada").await;
    assert_eq!(everywhere(&stage, &leaked).await, [410; 3]);
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    assert_eq!(stage.browser.get(&bens).send().await.unwrap().status(), 200, "nobody else's link ends");
    assert_eq!(everywhere(&stage, &renewed).await[..2], [200, 303]);

    // The next enrolment writes another link into the form, which opens; so does every later one.
    for days in [0, 1, 24, 24] {
        stage.pass(SignedDuration::from_hours(24 * days));
        stage.process.enrol().await.unwrap();
        let link = stage.link(ADA).unwrap();
        assert_ne!(link, leaked);
        assert_eq!(stage.browser.get(&link).send().await.unwrap().status(), 200, "after {days} days");
        assert_eq!(everywhere(&stage, &leaked).await, [410; 3], "after {days} days");
    }
    stage.settle().await;
    curtain(&stage).await;
}

#[tokio::test]
async fn renewal_during_a_visit_to_oura_ends_the_visit() {
    let stage = enrolled(ada()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    renew(&stage, "uuid-ada").await;
    let visit = stage.arrive(stage.oura.approve(&consent, "ada").as_str(), &cookie).await.unwrap();
    assert_eq!(visit.status, 410, "{}", visit.page);
    assert!(connection(&stage, "uuid-ada").await.is_none());
    curtain(&stage).await;
}

#[tokio::test]
async fn renewal_during_an_enrolment_is_not_undone() {
    let stage = enrolled(ada()).await;
    let store = &stage.process.connector.store;
    let read = store.enrolment(&athlete("uuid-ada"), deadline().instant()).await.unwrap().unwrap();
    let leaked = stage.link(ADA).unwrap();
    renew(&stage, "uuid-ada").await;
    // An enrolment that read the row before the renewal now stores which link it has written into the form.
    let written = store::Enrolment { told: stage.clock.now() + SignedDuration::from_secs(1), ..read.clone() };
    assert_eq!(
        store.replace_enrolment(&written, &read, deadline().instant()).await.unwrap(),
        ConnectionUpdate::Superseded
    );
    assert_eq!(stage.browser.get(&leaked).send().await.unwrap().status(), 410);
    stage.process.enrol().await.unwrap();
    assert_eq!(stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().status(), 200);
    curtain(&stage).await;
}

/// Ada, and a second ring of the same kind.
fn two_rings() -> Cast {
    let mut cast = ada();
    cast.people.push(living("other", "Europe/Berlin", Life::Regular { since: date(2026, 1, 1) }));
    cast
}

fn reason(stage: &Stage) -> String {
    stage.smartabase.profile(ADA, STANDINGS).unwrap().value("Reason").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn replaced_ring_is_reported_to_staff_at_once() {
    let stage = connected(two_rings()).await;
    assert_eq!(reason(&stage), "");
    assert_eq!(stage.connect(ADA, "other").await.unwrap().status, 200);
    stage.settle().await;
    assert!(reason(&stage).contains("perhaps another Oura account"), "{}", reason(&stage));
    // Connecting the same account once more changes nothing, and does not hide the earlier change.
    assert_eq!(stage.connect(ADA, "other").await.unwrap().status, 200);
    stage.settle().await;
    assert!(reason(&stage).contains("perhaps another Oura account"), "{}", reason(&stage));
    stage.pass(SignedDuration::from_hours(7 * 24));
    stage.tick().await.unwrap();
    stage.process.enrol().await.unwrap();
    assert!(!reason(&stage).contains("perhaps"), "{}", reason(&stage));
    curtain(&stage).await;
}

#[tokio::test]
async fn new_ring_after_a_disconnection_is_reported_to_staff() {
    let stage = connected(two_rings()).await;
    stage.disconnect(ADA).await.unwrap();
    stage.settle().await;
    assert_eq!(stage.connect(ADA, "other").await.unwrap().status, 200);
    stage.settle().await;
    assert!(reason(&stage).contains("perhaps another Oura account"), "{}", reason(&stage));
    curtain(&stage).await;
}

#[tokio::test]
async fn same_ring_connected_again_is_not_reported() {
    let stage = connected(two_rings()).await;
    assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
    stage.settle().await;
    assert_eq!(reason(&stage), "");
    curtain(&stage).await;
}
