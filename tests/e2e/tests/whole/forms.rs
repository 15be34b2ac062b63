//! Forms that differ from `forms.toml`. The note names the problem, the worker tries again, and other forms and
//! athletes are not affected.

use e2e::{
    ADA, BEN, DAYS, NIGHTS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, faithful, told_truly,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Stage, site_forms};
use sim::smartabase::Form;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// The form as an administrator should have created it.
fn proper(stage: &Stage, name: &str) -> Form {
    site_forms(&stage.process.connector.forms).into_iter().find(|form| form.name == name).unwrap()
}

async fn note(stage: &Stage) -> Option<String> {
    connection(stage, "uuid-ada").await.unwrap().note
}

/// Connects Ada and waits two periods.
async fn connect(stage: &Stage) {
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    for _ in 0..2 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
}

#[tokio::test]
async fn missing_form_is_named_and_the_other_is_delivered() {
    for (missing, other) in [(NIGHTS, DAYS), (DAYS, NIGHTS)] {
        let stage = enrolled(ada()).await;
        let form = proper(&stage, missing);
        stage.smartabase.remove_form(missing);
        connect(&stage).await;
        assert!(note(&stage).await.unwrap().contains(missing));
        assert_eq!(stage.smartabase.events(missing), []);
        let delivered = stage.smartabase.events(other).len();
        assert!(delivered >= 30, "{delivered}");

        stage.smartabase.set_form(form);
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
        assert_eq!(note(&stage).await, None);
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn missing_field_is_skipped_and_filled_once_it_exists() {
    let stage = enrolled(ada()).await;
    let form = proper(&stage, NIGHTS);
    let mut lacking = form.clone();
    lacking.fields.retain(|field| field != "Average HRV" && field != "Sleep Score");
    stage.smartabase.set_form(lacking);
    connect(&stage).await;
    let note_then = note(&stage).await.unwrap();
    assert!(note_then.contains("Average HRV") && note_then.contains("Sleep Score"), "{note_then}");
    assert!(!note_then.contains("Readiness Score"), "{note_then}");
    let ids: Vec<_> = stage.smartabase.events(NIGHTS).iter().map(|event| event.id).collect();
    let event = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap();
    assert!(event.value("Readiness Score").is_some() && event.value("Average HRV").is_none());

    stage.smartabase.set_form(form);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.events(NIGHTS).iter().map(|event| event.id).collect::<Vec<_>>(), ids);
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    assert_eq!(note(&stage).await, None);
    let _ = stage.cost();
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).imports, 0, "and then there is quiet");
    curtain(&stage).await;
}

#[tokio::test]
async fn unknown_required_field_is_reported_and_other_form_delivered() {
    let stage = enrolled(ada()).await;
    let form = proper(&stage, NIGHTS);
    let mut strict = form.clone().requiring(["Coach's Comment"]);
    strict.fields.push("Coach's Comment".to_owned());
    stage.smartabase.set_form(strict);
    connect(&stage).await;
    let note_then = note(&stage).await.unwrap();
    assert!(note_then.contains(NIGHTS) && note_then.contains("required"), "{note_then}");
    assert_eq!(stage.smartabase.events(NIGHTS), []);
    assert!(stage.smartabase.events(DAYS).len() >= 30);
    stage.smartabase.set_form(form);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn refused_record_does_not_stop_the_others() {
    let stage = enrolled(ada()).await;
    let form = proper(&stage, NIGHTS);
    stage.smartabase.set_form(form.clone().requiring(["Average HRV"]));
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["average_hrv"] = serde_json::Value::Null);
    connect(&stage).await;
    assert!(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).is_none());
    assert_eq!(stage.smartabase.events(NIGHTS).len(), 29);
    let note_then = note(&stage).await.unwrap();
    assert!(note_then.contains("2026-03-01") && !note_then.contains("2026-02-28"), "{note_then}");
    stage.smartabase.set_form(form);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_6_athlete_barred_from_a_form_delays_no_other() {
    let stage = enrolled(ada_and_ben()).await;
    let barred = |settings: &mut sim::smartabase::Settings| {
        settings.cannot_receive.insert(NIGHTS.to_owned(), [ADA].into());
    };
    stage.smartabase.configure(barred);
    stage.connect(BEN, "ben").await.unwrap();
    connect(&stage).await;
    let note_then = note(&stage).await.unwrap();
    assert!(note_then.contains(NIGHTS) && note_then.contains("may this athlete receive the form?"), "{note_then}");
    assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), []);
    assert!(stage.smartabase.events_of(ADA, DAYS).len() >= 30);
    told_truly(&stage, BEN, "ben", date(2026, 2, 2), date(2026, 3, 4));
    assert_eq!(connection(&stage, "uuid-ben").await.unwrap().note, None);
    stage.smartabase.configure(|settings| settings.cannot_receive.clear());
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(&stage).await;
}

#[tokio::test]
async fn numbers_read_back_in_java_format_count_as_unchanged() {
    let stage = enrolled(ada()).await;
    let mut form = proper(&stage, DAYS);
    form.doubles.extend(["Steps".to_owned(), "Total Calories".to_owned()]);
    stage.smartabase.set_form(form);
    connect(&stage).await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn renamed_form_stops_only_its_own_delivery() {
    let stage = connected(ada()).await;
    let form = proper(&stage, NIGHTS);
    stage.smartabase.remove_form(NIGHTS);
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(SignedDuration::from_hours(4));
    stage.tick().await.unwrap();
    assert!(note(&stage).await.unwrap().contains(NIGHTS));
    assert!(stage.smartabase.event_on(ADA, DAYS, date(2026, 3, 3)).is_some());
    stage.smartabase.set_form(form);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    assert_eq!(note(&stage).await, None);
    curtain(&stage).await;
}
