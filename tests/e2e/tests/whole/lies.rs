//! The site changes events on its own, or answers wrongly. There is still one event per night, and it is right.

use e2e::{ADA, NIGHTS, Spent, ada, connected, connection, curtain, enrolled, faithful};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use local::Stage;
use sim::smartabase::{Event, UpdateElsewhere};
use sim::wire::{Answer, Fault, When};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// Oura's day of the night that is revised here, and the date of its event.
const WAKING: Date = date(2026, 3, 2);
const EVENING: Date = date(2026, 3, 1);

/// Oura changes the length of the night, and a tick passes.
async fn revise(stage: &Stage, seconds: i64) {
    stage.oura.revise_night("ada", WAKING, |night| night["total_sleep_duration"] = seconds.into());
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
}

fn standing(stage: &Stage) -> Vec<Event> {
    let mut events = stage.smartabase.events_of(ADA, NIGHTS);
    events.retain(|event| event.start_date == EVENING);
    events
}

fn told(event: &Event) -> Option<&str> {
    event.value("Sleep Time (min)")
}

#[tokio::test]
async fn deleted_event_is_recreated_by_the_next_revision() {
    let stage = connected(ada()).await;
    let [before] = &standing(&stage)[..] else { panic!("one event to begin with") };
    assert!(stage.smartabase.delete_event(before.id));
    revise(&stage, 18_000).await;
    let [adopted] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
    assert_ne!(adopted.id, before.id);
    assert_eq!(told(adopted), Some("300"));

    let _ = stage.cost();
    revise(&stage, 18_600).await;
    assert_eq!(Spent::since(&stage).imports, 1);
    let [revised] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
    assert_eq!((revised.id, revised.updates, told(revised)), (adopted.id, 1, Some("310")));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

/// The staff delete the event, Oura revises the night, and the site makes a new event, but its response is lost. The
/// next delivery must find that event, whichever way the response was lost.
#[tokio::test]
async fn invariant_1_recreated_event_is_found_after_a_lost_response() {
    let lost = [Fault::DropAfter, Fault::Replace(Answer::status(500)), Fault::Replace(Answer::html())];
    for fault in lost {
        let stage = connected(ada()).await;
        let [before] = &standing(&stage)[..] else { panic!("one event to begin with") };
        assert!(stage.smartabase.delete_event(before.id));
        let what = format!("{fault:?}");
        stage.smartabase_wire.inject(When::every().path("/site/api/v1/eventsimport").first(1), fault);
        revise(&stage, 18_000).await;
        stage.smartabase_wire.heal();
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let [event] = &standing(&stage)[..] else { panic!("{what}: {:?}", standing(&stage)) };
        assert_eq!(told(event), Some("300"), "{what}");
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn event_that_was_not_overwritten_is_deleted_for_the_new_one() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    for (seconds, minutes) in [(18_000, "300"), (18_600, "310")] {
        let before = standing(&stage);
        revise(&stage, seconds).await;
        let [event] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
        assert_ne!(event.id, before[0].id, "the site did not overwrite");
        assert_eq!(told(event), Some(minutes));
    }
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn second_event_is_reported_if_the_site_refuses_to_delete() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    let refusal = Fault::Answer(Answer::status(403));
    stage.smartabase_wire.inject(When::every().path("/site/api/v1/deleteevent"), refusal);
    revise(&stage, 18_000).await;
    let [old, new] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
    assert_eq!((told(old) == Some("300"), told(new)), (false, Some("300")));
    let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap();
    for said in [NIGHTS, "2026-03-01", &old.id.to_string(), &new.id.to_string(), "delete"] {
        assert!(note.contains(said), "{said} is not in: {note}");
    }
    // From now on the worker updates the new event and looks for no third.
    stage.smartabase_wire.heal();
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::WhenGone);
    revise(&stage, 18_600).await;
    assert_eq!(standing(&stage).iter().map(told).collect::<Vec<_>>(), [told(old), Some("310")]);
    stage.smartabase.delete_event(old.id);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn of_two_existing_events_the_older_is_updated_the_other_named() {
    let stage = enrolled(ada()).await;
    let mut theirs = connected(ada()).await.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    theirs.rows = vec![vec![("Sleep Score".to_owned(), "1".to_owned())]];
    let older = stage.smartabase.put_event(theirs.clone());
    let newer = stage.smartabase.put_event(theirs);
    stage.connect(ADA, "ada").await.unwrap();
    stage.process.work().await;
    let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap();
    for said in [NIGHTS, "2026-03-01", &older.to_string(), &newer.to_string(), "delete"] {
        assert!(note.contains(said), "{said} is not in: {note}");
    }
    stage.settle().await;
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.duplicates(), [(ADA, NIGHTS.to_owned(), EVENING)], "nothing of the site's is lost");
    revise(&stage, 18_000).await;
    let [kept, left] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
    assert_eq!((kept.id, left.id), (older, newer));
    assert_eq!((told(kept), left.value("Sleep Score"), left.updates), (Some("300"), Some("1"), 0));

    stage.smartabase.delete_event(newer);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().note, None);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

/// As [`revise`], but only up to the import that makes a second event.
async fn lied_to(stage: &Stage, seconds: i64) {
    stage.oura.revise_night("ada", WAKING, |night| night["total_sleep_duration"] = seconds.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert_eq!(standing(stage).len(), 2, "the lie has come about");
}

/// The site makes a new event instead of overwriting one, and the response with the new id is lost.
#[tokio::test]
async fn invariant_1_event_not_overwritten_is_found_after_lost_reply() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    let lost = When::every().path("/site/api/v1/eventsimport").first(1);
    stage.smartabase_wire.inject(lost, Fault::DropAfter);
    lied_to(&stage, 18_000).await;
    stage.settle().await;
    let [event] = &standing(&stage)[..] else { panic!("{:?}", standing(&stage)) };
    assert_eq!(told(event), Some("300"));
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

/// The same, and Oura has changed the night before the next look-up. The ledger can no longer say which of the two
/// events is which.
#[tokio::test]
async fn two_indistinguishable_events_are_reported_without_a_third() {
    let stage = connected(ada()).await;
    stage.smartabase.configure(|settings| settings.update_elsewhere = UpdateElsewhere::Always);
    stage.smartabase_wire.inject(When::every().path("/site/api/v1/eventsimport").first(1), Fault::DropAfter);
    lied_to(&stage, 18_000).await;
    revise(&stage, 18_600).await;
    let ids = || standing(&stage).iter().map(|event| event.id).collect::<Vec<_>>();
    let reported = ids();
    assert_eq!(reported.len(), 2);
    let _ = stage.cost();
    for _ in 0..3 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    assert_eq!((ids(), Spent::since(&stage).imports), (reported.clone(), 0), "staff find what the note names");
    let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap();
    assert!(reported.iter().all(|id| note.contains(&id.to_string())), "{note}");
    let right = standing(&stage).into_iter().find(|event| told(event) == Some("310")).unwrap();
    for other in reported.into_iter().filter(|id| *id != right.id) {
        stage.smartabase.delete_event(other);
    }
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().note, None);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
