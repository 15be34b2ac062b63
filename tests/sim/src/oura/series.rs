//! The long series of a document. They are most of its size and rarely requested, so they are drawn only when a request
//! asks for them.

use fastrand::Rng;
use serde_json::{Value, json};

use super::Collection;
use crate::draw;

/// Adds the series to a generated document, matching the document's length and averages.
pub(super) fn attach(collection: Collection, seed: u64, document: &mut Value) {
    let id = document["id"].as_str().unwrap_or_default().to_owned();
    let mut draw = draw::named(seed, &["series", &id]);
    match collection {
        Collection::Sleep => sleep(&mut draw, document),
        Collection::DailyActivity => activity(&mut draw, document),
        Collection::DailyReadiness | Collection::DailySleep => {}
    }
}

fn sleep(draw: &mut Rng, document: &mut Value) {
    let in_bed = usize::try_from(document["time_in_bed"].as_i64().unwrap_or_default()).unwrap_or_default();
    let begins = document["bedtime_start"].clone();
    for (field, average) in [("heart_rate", "average_heart_rate"), ("hrv", "average_hrv")] {
        let items: Vec<Option<f64>> = match document[average].as_f64() {
            // Some samples are missing: at the start, while the ring warms up, and at random.
            Some(average) => (0..in_bed / 300)
                .map(|sample| (sample > 0 && draw.u8(0..12) > 0).then(|| (average + draw.f64() * 12.0 - 6.0).round()))
                .collect(),
            None => continue,
        };
        document[field] = json!({"interval": 300.0, "items": items, "timestamp": begins});
    }
    let coarse = digits(draw, in_bed / 300, "1234");
    document["app_sleep_phase_5_min"] = json!(coarse);
    document["sleep_phase_5_min"] = json!(coarse);
    document["sleep_phase_30_sec"] = json!(digits(draw, in_bed / 30, "1234"));
    document["movement_30_sec"] = json!(digits(draw, in_bed / 30, "1234"));
}

fn activity(draw: &mut Rng, document: &mut Value) {
    let recorded: i64 =
        ["high_activity_time", "medium_activity_time", "low_activity_time", "sedentary_time", "resting_time"]
            .into_iter()
            .filter_map(|field| document[field].as_i64())
            .sum();
    let minutes = usize::try_from(recorded / 60).unwrap_or_default();
    let items: Vec<f64> = (0..minutes).map(|_| (draw.f64() * 30.0).round() / 10.0 + 0.9).collect();
    document["met"] = json!({"interval": 60.0, "items": items, "timestamp": document["timestamp"].clone()});
    document["class_5_min"] = json!(digits(draw, minutes / 5, "012345"));
}

fn digits(draw: &mut Rng, count: usize, from: &str) -> String {
    (0..count).filter_map(|_| draw.choice(from.bytes())).map(char::from).collect()
}
