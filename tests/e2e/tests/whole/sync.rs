//! From the link to the record, and every tick after.

use e2e::{ADA, BEN, DAYS, NIGHTS, ada_and_ben};
use jiff::SignedDuration;
use jiff::civil::date;
use local::Stage;

#[tokio::test]
async fn monday_nights_sleep_stands_under_monday() {
    let stage = Stage::set(ada_and_ben()).await.unwrap();
    stage.process.enrol().await.unwrap();
    for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
        let visit = stage.connect(user, person).await.unwrap();
        assert_eq!(visit.status, 200, "{}", visit.page);
    }
    stage.settle().await;
    assert_eq!(stage.process.waiting.dead_letters(), []);
    for (user, person) in [(ADA, "ada"), (BEN, "ben")] {
        let tuesday = date(2026, 3, 3);
        let monday = date(2026, 3, 2);
        let Some(night) = stage.oura.night(person, tuesday) else { continue };
        let event = stage.smartabase.event_on(user, NIGHTS, monday).unwrap();
        let minutes = night["total_sleep_duration"].as_f64().unwrap() / 60.0;
        assert_eq!(event.value("Sleep Time (min)"), Some(minutes.to_string().as_str()));
        assert!(stage.smartabase.event_on(user, DAYS, monday).is_some());
        assert_eq!(stage.smartabase.events_of(user, NIGHTS).len(), 30);
    }
    assert_eq!(stage.smartabase.duplicates(), []);
    stage.tick().await.unwrap();
    stage.pass(SignedDuration::from_mins(15));
    stage.cost();
    stage.tick().await.unwrap();
    let cost = stage.cost();
    assert_eq!(cost.oura.len(), 8);
    assert_eq!(cost.smartabase.len(), 0);
    println!("{:?}", cost.table.entries.iter().map(|e| e.operation.clone()).collect::<Vec<_>>());
    assert_eq!(stage.oura.violations(), []);
    assert_eq!(stage.smartabase.violations(), []);
}
