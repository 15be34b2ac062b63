//! Fields that the staff add to the connector's forms and fill in themselves.

use connector::forms::Forms;
use e2e::{ADA, NIGHTS, Spent, ada, beside, connected, connection, curtain};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use local::{Stage, site_forms};
use sim::smartabase::Form;

/// Oura's day of the night that is revised here, and the date of its event.
const WAKING: Date = date(2026, 3, 2);
const EVENING: Date = date(2026, 3, 1);

/// A site whose form for nights has two more fields, and a connector that is configured to keep the first.
async fn with_comments() -> Stage {
    let mut stage = connected(ada()).await;
    let shipped = include_str!("../../../../infra/forms.toml");
    let forms =
        Forms::parse(&shipped.replacen("start = \"21:00\"", "keep = [\"Comment\"]\nstart = \"21:00\"", 1)).unwrap();
    assert_eq!(forms.events[0].keep, ["Comment"]);
    let mut nights: Form = site_forms(&forms).swap_remove(0);
    nights.fields.extend(["Comment", "Physio"].map(str::to_owned));
    stage.smartabase.set_form(nights);
    let redeployed = beside(&stage, forms).await;
    stage.process = redeployed;
    stage
}

/// Fills in a field of a night, as a coach does.
fn fill(stage: &Stage, field: &str, text: &str) {
    let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    let filled = (field.to_owned(), text.to_owned());
    assert!(stage.smartabase.edit_event(night.id, |event| event.rows[0].push(filled)));
}

async fn revise(stage: &Stage, seconds: i64) {
    stage.oura.revise_night("ada", WAKING, |night| night["total_sleep_duration"] = seconds.into());
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
}

#[tokio::test]
async fn revised_night_keeps_what_staff_wrote_into_kept_fields() {
    let stage = with_comments().await;
    fill(&stage, "Comment", "flew in from Lima\nslept well");
    fill(&stage, "Physio", "left knee");
    let _ = stage.cost();
    revise(&stage, 18_000).await;
    let spent = Spent::since(&stage);
    assert_eq!(spent.imports, 1);
    let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    assert_eq!((night.updates, night.value("Sleep Time (min)")), (1, Some("300")));
    assert_eq!(night.value("Comment"), Some("flew in from Lima\nslept well"), "line breaks, too");
    assert_eq!(night.value("Physio"), None, "nobody told the connector of it: this is why there is a list");
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().note, None, "the site knows every field that was sent");
    curtain(&stage).await;
}

#[tokio::test]
async fn staff_edits_of_a_kept_field_cause_no_import() {
    let stage = with_comments().await;
    fill(&stage, "Comment", "flew in from Lima");
    let _ = stage.cost();
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    assert_eq!(Spent::since(&stage).imports, 0);

    revise(&stage, 18_000).await;
    let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    stage.smartabase.edit_event(night.id, |event| event.rows[0].retain(|(label, _)| label != "Comment"));
    fill(&stage, "Comment", "slept on the plane");
    revise(&stage, 18_600).await;
    let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    assert_eq!((night.updates, night.value("Comment")), (2, Some("slept on the plane")));
    curtain(&stage).await;
}

#[tokio::test]
async fn night_removed_at_oura_keeps_the_kept_fields() {
    let stage = with_comments().await;
    fill(&stage, "Comment", "flew in from Lima");
    stage.oura.remove_night("ada", WAKING);
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
    assert_eq!(night.rows.concat(), [("Comment".to_owned(), "flew in from Lima".to_owned())]);
    curtain(&stage).await;
}
