use std::fmt::Write as _;
use std::sync::LazyLock;

use jiff::ToSpan;
use jiff::civil::date;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

/// Oura's day of the night from Monday 2 to Tuesday 3 March 2026.
const TUESDAY: Date = date(2026, 3, 3);

const NIGHTS: usize = 0;
const DAYS: usize = 1;

fn read<D: Document>(document: Value) -> D {
    serde_json::from_value(document).unwrap()
}

fn shipped() -> &'static Forms {
    static FORMS: LazyLock<Forms> = LazyLock::new(|| Forms::shipped().unwrap());
    &FORMS
}

fn only(day: Date) -> Days {
    Days { first: day, last: day }
}

/// A night in Oura's format.
fn night(id: &str, day: Date) -> Value {
    json!({
        "id": id,
        "day": day,
        "type": "long_sleep",
        "period": 0,
        "bedtime_start": format!("{}T23:41:12.000-05:00", day.yesterday().unwrap_or(day)),
        "bedtime_end": format!("{day}T07:52:42.000-05:00"),
        "time_in_bed": 29490,
        "total_sleep_duration": 27330,
        "awake_time": 2160,
        "deep_sleep_duration": 5460,
        "light_sleep_duration": 15540,
        "rem_sleep_duration": 6330,
        "latency": 540,
        "efficiency": 93,
        "restless_periods": 214,
        "average_breath": 14.375,
        "average_heart_rate": 52.62,
        "lowest_heart_rate": 46,
        "average_hrv": 71,
        "readiness_score_delta": null,
        "sleep_score_delta": -2.0,
        "sleep_algorithm_version": "v2",
        "sleep_analysis_reason": "foreground_sleep_analysis",
        "readiness": {"score": 1, "temperature_deviation": 1.5},
        "low_battery_alert": false,
        "sleep_phase_5_min": "4432221",
    })
}

/// The night with some entries replaced.
fn night_with(id: &str, day: Date, other: Value) -> Sleep {
    let mut document = night(id, day);
    if let (Value::Object(document), Value::Object(other)) = (&mut document, other) {
        document.extend(other);
    }
    read(document)
}

fn daily_sleep(id: &str, day: Date) -> DailySleep {
    read(json!({
        "id": id,
        "day": day,
        "score": 84,
        "contributors": {
            "deep_sleep": 97, "efficiency": 92, "latency": 81, "rem_sleep": 95,
            "restfulness": 68, "timing": 100, "total_sleep": 83,
        },
    }))
}

fn readiness(id: &str, day: Date) -> DailyReadiness {
    read(json!({
        "id": id,
        "day": day,
        "score": 79,
        "temperature_deviation": -0.07,
        "temperature_trend_deviation": 0.1,
        "contributors": {
            "activity_balance": 74, "body_temperature": 98, "hrv_balance": 77, "previous_day_activity": null,
            "previous_night": 85, "recovery_index": 100, "resting_heart_rate": 91, "sleep_balance": 80,
            "sleep_regularity": 66,
        },
    }))
}

fn activity(id: &str, day: Date) -> DailyActivity {
    read(json!({
        "id": id,
        "day": day,
        "score": 88,
        "contributors": {
            "meet_daily_targets": 78, "move_every_hour": 95, "recovery_time": 100, "stay_active": 82,
            "training_frequency": 96, "training_volume": 98,
        },
        "steps": 11_204,
        "active_calories": 612,
        "total_calories": 2_731,
        "target_calories": 500,
        "equivalent_walking_distance": 10_344,
        "target_meters": 9_000,
        "meters_to_target": -1_200,
        "high_activity_time": 1_260,
        "medium_activity_time": 3_390,
        "low_activity_time": 15_030,
        "sedentary_time": 31_500,
        "resting_time": 28_740,
        "non_wear_time": 0,
        "high_activity_met_minutes": 161,
        "medium_activity_met_minutes": 224,
        "low_activity_met_minutes": 195,
        "sedentary_met_minutes": 11,
        "average_met_minutes": 1.59375,
        "inactivity_alerts": 1,
        "class_5_min": "1112",
    }))
}

/// A day with all documents.
fn documents(day: Date) -> Documents {
    Documents {
        activity: vec![activity("activity", day)],
        readiness: vec![readiness("readiness", day)],
        daily_sleep: vec![daily_sleep("daily", day)],
        sleep: vec![night_with("night", day, json!({}))],
        ..Documents::default()
    }
}

fn unreadable(collection: &'static str, day: Option<Date>) -> Unreadable {
    Unreadable { collection, id: None, day, field: "document".to_owned() }
}

fn shown(forms: &Forms, records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        let form = &forms.events[record.form];
        writeln!(text, "{} on {}, {} to {}", form.name, record.date, form.start, form.finish).unwrap();
        for (label, value) in &record.fields {
            writeln!(text, "  {label}: {value}").unwrap();
        }
    }
    text
}

fn value<'a>(record: &'a Record, label: &str) -> &'a str {
    &record.fields.iter().find(|(name, _)| name == label).unwrap().1
}

/// The days of the incomplete records, by form.
fn incomplete(records: &[Record]) -> Vec<(usize, Date)> {
    records.iter().filter(|record| record.incomplete).map(|record| (record.form, record.date)).collect()
}

#[test]
fn a_full_day_fills_both_forms() {
    let forms = shipped();
    let mut documents = documents(TUESDAY);
    documents.sleep.push(night_with("nap", TUESDAY, json!({"type": "sleep", "total_sleep_duration": 1_500})));
    documents.sleep.push(night_with("first half", TUESDAY, json!({"total_sleep_duration": 12_000})));
    let records = forms.records(&documents, only(TUESDAY));
    assert!(records.iter().all(|record| !record.incomplete));
    insta::assert_snapshot!(shown(forms, &records));
}

#[test]
fn a_value_missing_at_oura_is_blank() {
    let forms = shipped();
    let documents = Documents {
        sleep: vec![night_with("night", TUESDAY, json!({"average_hrv": null, "bedtime_start": null}))],
        ..Documents::default()
    };
    let records = forms.records(&documents, only(TUESDAY));
    assert_eq!(records.len(), 1, "nothing is known of the day's activity");
    let night = &records[0];
    assert_eq!(night.fields.len(), forms.events[NIGHTS].fields.len(), "every field is there, so an update clears it");
    for (label, expected) in
        [("Average HRV", ""), ("Bedtime Start", ""), ("Sleep Score", ""), ("Lowest Heart Rate", "46")]
    {
        assert_eq!(value(night, label), expected, "{label}");
    }
    assert!(!night.incomplete, "Oura said nothing, which is not the same as being misunderstood");
}

#[test]
fn a_day_without_data_has_no_record() {
    let hollow = |day: Date| json!({"id": "a", "day": day, "score": null, "contributors": null});
    let documents = Documents {
        daily_sleep: vec![read(hollow(TUESDAY))],
        activity: vec![read(hollow(TUESDAY))],
        sleep: vec![night_with("nap", TUESDAY, json!({"type": "late_nap"}))],
        ..Documents::default()
    };
    assert!(shipped().records(&documents, only(TUESDAY)).is_empty());
    assert!(shipped().records(&Documents::default(), only(TUESDAY)).is_empty());
}

#[test]
fn a_nap_leaves_the_night_blank_but_not_the_days_score() {
    let mut documents = documents(TUESDAY);
    documents.sleep = vec![night_with("nap", TUESDAY, json!({"type": "sleep"}))];
    let records = shipped().records(&documents, only(TUESDAY));
    assert_eq!((value(&records[0], "Sleep Score"), value(&records[0], "Sleep Time (min)")), ("84", ""));
}

#[test]
fn only_wanted_days_give_records_by_form_and_date() {
    let days: Vec<_> = (0..5).map(|day| TUESDAY + day.days()).collect();
    let mut all = Documents::default();
    for day in days.iter().rev() {
        let documents = documents(*day);
        all.activity.extend(documents.activity);
        all.sleep.extend(documents.sleep);
    }
    let records = shipped().records(&all, Days { first: days[1], last: days[3] });
    let standing: Vec<_> = records.iter().map(|record| (record.form, record.date)).collect();
    let expected = [(NIGHTS, 0), (NIGHTS, 1), (NIGHTS, 2), (DAYS, 1), (DAYS, 2), (DAYS, 3)];
    assert_eq!(standing, expected.map(|(form, day)| (form, days[day])));
    assert!(shipped().records(&all, Days { first: days[3], last: days[1] }).is_empty(), "backwards");
}

#[test]
fn the_evening_before_is_right_at_calendar_changes() {
    for (day, evening) in [
        (date(2026, 1, 1), date(2025, 12, 31)),
        (date(2028, 3, 1), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 2, 28)),
        (date(2027, 3, 1), date(2027, 2, 28)),
        // Clocks change in Europe and in America on these days.
        (date(2026, 3, 29), date(2026, 3, 28)),
        (date(2026, 11, 1), date(2026, 10, 31)),
        // Samoa skipped this day, so it has no evening there.
        (date(2011, 12, 31), date(2011, 12, 30)),
    ] {
        let records = shipped().records(&documents(day), only(day));
        let dates: Vec<_> = records.iter().map(|record| (record.form, record.date)).collect();
        assert_eq!(dates, [(NIGHTS, evening), (DAYS, day)]);
    }
    let records = shipped().records(&documents(Date::MIN), only(Date::MIN));
    assert_eq!(records.iter().map(|record| record.form).collect::<Vec<_>>(), [DAYS], "no evening before the first day");
}

#[test]
fn an_unreadable_document_makes_its_records_incomplete() {
    let wednesday = TUESDAY.tomorrow().unwrap();
    let span = Days { first: TUESDAY, last: wednesday };
    let mut all = documents(TUESDAY);
    all.activity.extend(documents(wednesday).activity);
    all.readiness.extend(documents(wednesday).readiness);
    let monday = TUESDAY.yesterday().unwrap();
    for (lost, expected) in [
        (unreadable("sleep", Some(wednesday)), vec![(NIGHTS, TUESDAY)]),
        (unreadable("daily_activity", Some(TUESDAY)), vec![(DAYS, TUESDAY)]),
        (unreadable("daily_readiness", None), vec![(NIGHTS, monday), (NIGHTS, TUESDAY)]),
        (unreadable("sleep", Some(monday)), vec![]),
    ] {
        all.unreadable = vec![lost];
        assert_eq!(incomplete(&shipped().records(&all, span)), expected);
    }
    let nothing_else = Documents { unreadable: vec![unreadable("sleep", Some(TUESDAY))], ..Documents::default() };
    assert!(shipped().records(&nothing_else, span).is_empty(), "nothing is made up");
}

#[test]
fn a_refused_collection_makes_its_forms_incomplete() {
    let mut documents = documents(TUESDAY);
    let monday = TUESDAY.yesterday().unwrap();
    for (refused, expected) in [("daily_readiness", (NIGHTS, monday)), ("daily_activity", (DAYS, TUESDAY))] {
        documents.refused = BTreeSet::from([refused]);
        assert_eq!(incomplete(&shipped().records(&documents, only(TUESDAY))), [expected]);
    }
}

#[test]
fn of_equal_nights_the_earlier_then_the_smaller_id_is_kept() {
    let at = |id: &str, start: &str| night_with(id, TUESDAY, json!({"bedtime_start": start}));
    let early = at("b", "2026-03-02T22:00:00+01:00");
    let late = at("a", "2026-03-02T23:00:00+01:00");
    let twin = at("c", "2026-03-02T22:00:00+01:00");
    for periods in [[&early, &late, &twin], [&twin, &late, &early], [&late, &twin, &early]] {
        assert_eq!(main_sleep(periods).unwrap().id(), "b");
    }
}

#[test]
fn of_two_documents_of_one_day_the_later_timestamp_is_kept() {
    let of = |id: &str, timestamp: Value| -> DailySleep {
        read(json!({"id": id, "day": TUESDAY, "timestamp": timestamp, "score": 1}))
    };
    let (early, late) = ("2026-03-03T00:00:00+01:00", "2026-03-03T00:00:00-05:00");
    for (one, other, kept) in [
        // Timestamps are compared as instants, not as wall-clock times, and ids do not matter.
        (of("z", early.into()), of("a", late.into()), "a"),
        (of("a", early.into()), of("z", late.into()), "z"),
        (of("z", "2026-03-03T02:00:00+01:00".into()), of("a", "2026-03-03T01:30:00Z".into()), "a"),
        // A document without a timestamp loses.
        (of("z", Value::Null), of("a", early.into()), "a"),
        (of("z", "soon".into()), of("a", early.into()), "a"),
        (of("z", 1_772_500_000.into()), of("a", early.into()), "a"),
        // Of equal timestamps, the greater id wins.
        (of("a", early.into()), of("z", early.into()), "z"),
        (of("a", early.into()), of("z", "2026-03-02T23:00:00Z".into()), "z"),
        (of("a", Value::Null), of("z", Value::Null), "z"),
    ] {
        for documents in [[one.clone(), other.clone()], [other, one]] {
            assert_eq!(one_per_day(&documents)[&TUESDAY].id(), kept, "{documents:?}");
        }
    }
}

#[test]
fn any_single_difference_changes_the_windows_digest() {
    let forms = shipped();
    let window = || forms.records(&documents(TUESDAY), only(TUESDAY));
    let same = digest(forms, &window());
    assert_eq!(same, digest(forms, &window()));
    let changes: [fn(&mut Vec<Record>); 8] = [
        |records| records[0].form = DAYS,
        |records| records[0].date = TUESDAY,
        |records| records[0].incomplete = true,
        |records| records[0].fields[0].0.push('s'),
        |records| records[0].fields[0].1.push('0'),
        |records| drop(records[0].fields.pop()),
        |records| drop(records.pop()),
        |records| records.swap(0, 1),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut records = window();
        change(&mut records);
        assert_ne!(digest(forms, &records), same, "change {number}");
    }
}

#[test]
fn a_record_that_imitates_others_has_another_digest() {
    let forms = shipped();
    let record = |fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        Record { form: NIGHTS, date: TUESDAY, fields, incomplete: false }
    };
    let (name, day) = (forms.events[NIGHTS].name.as_str(), TUESDAY.to_string());
    let spelt = record(&[(name, &day), ("", name), (&day, "")]);
    assert_ne!(digest(forms, &[spelt]), digest(forms, &[record(&[]), record(&[]), record(&[])]));
}

/// A period of any kind, still without an id.
fn any_period() -> impl Strategy<Value = Value> {
    let kind = select(vec!["long_sleep", "long_sleep", "sleep", "late_nap", "rest", "deleted", "siesta"]);
    let start = select(vec!["2026-03-02T22:00:00+01:00", "2026-03-02T22:00:00-08:00", "2026-03-03T01:30:00Z"]);
    let asleep = select(vec![0, 3_600, 3_600, 27_330, 28_800]);
    let often = |strategy| option::weighted(0.9, strategy);
    (often(kind), often(start), option::weighted(0.9, asleep), any::<bool>()).prop_map(
        |(kind, start, asleep, finished)| {
            json!({
                "type": kind,
                "bedtime_start": start,
                "bedtime_end": finished.then_some("2026-03-03T07:00:00+01:00"),
                "total_sleep_duration": asleep,
            })
        },
    )
}

/// Texts of few letters, so that lists cut at different places often join to the same text.
fn any_text() -> impl Strategy<Value = String> {
    "[ab\u{0}:\u{e9}]{0,3}"
}

fn any_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((any_text(), any_text()), 0..3)
}

/// The parts of records. Records have no `Debug`, but a property's arguments need it.
type Parts = (usize, i64, Vec<(String, String)>, bool);

fn any_parts() -> impl Strategy<Value = Vec<Parts>> {
    vec((0..2usize, 0..2i64, any_fields(), any::<bool>()), 0..3)
}

fn records(parts: &[Parts]) -> Vec<Record> {
    let record = |(form, day, fields, incomplete): &Parts| Record {
        form: *form,
        date: TUESDAY + day.days(),
        fields: fields.clone(),
        incomplete: *incomplete,
    };
    parts.iter().map(record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_main_sleep_is_the_longest_finished_long_sleep(
        (periods, shuffled) in vec(any_period(), 0..8).prop_flat_map(|periods| {
            let numbered = periods.into_iter().enumerate();
            let periods: Vec<Sleep> =
                numbered.map(|(number, period)| night_with(&number.to_string(), TUESDAY, period)).collect();
            (Just(periods.clone()), Just(periods).prop_shuffle())
        })
    ) {
        let main = main_sleep(&periods);
        prop_assert_eq!(main.map(Document::id), main_sleep(&shuffled).map(Document::id));
        let nights = periods.iter().filter(|sleep| sleep.kind == Some(SleepType::LongSleep));
        let longest = nights
            .filter(|sleep| sleep.bedtime_end.is_some())
            .map(|sleep| sleep.total_sleep_duration.unwrap_or(0.0))
            .max_by(f64::total_cmp);
        if let Some(main) = main {
            prop_assert!(main.kind == Some(SleepType::LongSleep) && main.bedtime_end.is_some());
        }
        prop_assert_eq!(main.map(|sleep| sleep.total_sleep_duration.unwrap_or(0.0)), longest);
    }

    #[test]
    fn the_order_of_the_documents_never_matters(
        sleep in vec((0i64..3, any_period()), 0..6).prop_map(|periods| {
            let numbered = periods.into_iter().enumerate();
            let read = |(number, (day, period)): (usize, (i64, Value))| {
                night_with(&number.to_string(), TUESDAY + day.days(), period)
            };
            numbered.map(read).collect::<Vec<_>>()
        }),
        scores in vec((0i64..3, 1u8..100), 0..6),
        seed in any::<usize>(),
    ) {
        let score = |(number, (day, score)): (usize, &(i64, u8))| {
            json!({"id": number.to_string(), "day": TUESDAY + day.days(), "score": score})
        };
        let scored: Vec<_> = scores.iter().enumerate().map(score).collect();
        let forwards = Documents {
            activity: scored.iter().cloned().map(read).collect(),
            readiness: scored.iter().cloned().map(read).collect(),
            daily_sleep: scored.iter().cloned().map(read).collect(),
            sleep,
            ..Documents::default()
        };
        let mut turned = Documents {
            activity: forwards.activity.clone(),
            readiness: forwards.readiness.clone(),
            daily_sleep: forwards.daily_sleep.clone(),
            sleep: forwards.sleep.clone(),
            ..Documents::default()
        };
        turned.activity.reverse();
        turned.daily_sleep.reverse();
        turned.readiness.rotate_left(seed % scored.len().max(1));
        turned.sleep.rotate_left(seed % forwards.sleep.len().max(1));
        let days = Days { first: TUESDAY, last: TUESDAY + 2.days() };
        prop_assert!(shipped().records(&forwards, days) == shipped().records(&turned, days));
    }

    #[test]
    fn a_records_date_follows_from_ouras_day_alone(
        day in 0i64..40_000,
        hours in -14i32..=14,
        begins in 0i64..48,
    ) {
        let day = date(1990, 1, 1) + day.days();
        let wall = day.at(0, 0, 0, 0) - begins.hours();
        let start = format!("{wall}{hours:+03}:00");
        let night = night_with("night", day, json!({"bedtime_start": start, "bedtime_end": start}));
        let documents = Documents { sleep: vec![night], ..Documents::default() };
        let records = shipped().records(&documents, only(day));
        prop_assert_eq!(records.len(), 1);
        prop_assert_eq!(records[0].date.tomorrow().unwrap(), day);
        prop_assert_eq!(value(&records[0], "Bedtime Start"), wall.strftime("%H:%M").to_string());
    }

    #[test]
    fn digests_are_equal_exactly_when_the_fields_are(one in any_fields(), other in any_fields()) {
        let digest = |fields: &[(String, String)]| {
            Record { form: 0, date: TUESDAY, fields: fields.to_vec(), incomplete: false }.digest()
        };
        prop_assert_eq!(one == other, digest(&one) == digest(&other));
        prop_assert_eq!(digest(&one).len(), 64);
    }

    #[test]
    fn window_digests_are_equal_exactly_when_the_records_are(
        one in any_parts(),
        other in any_parts(),
    ) {
        let (forms, first, second) = (shipped(), records(&one), records(&other));
        prop_assert_eq!(one == other, digest(forms, &first) == digest(forms, &second));
        prop_assert_eq!(digest(forms, &first), digest(forms, &records(&one)));
    }

    #[test]
    fn no_cut_of_the_same_text_looks_like_another(text in "[ab]{0,6}", cuts in vec(0usize..=6, 6)) {
        let cut = |first: usize, second: usize| {
            let (first, second) = (first.min(text.len()), second.min(text.len()));
            let (first, second) = (first.min(second), first.max(second));
            let field = |label: &str, value: &str| (label.to_owned(), value.to_owned());
            vec![field(&text[..first], &text[first..second]), field(&text[second..], "")]
        };
        let one = Record { form: 0, date: TUESDAY, fields: cut(cuts[0], cuts[1]), incomplete: false };
        let other = Record { form: 0, date: TUESDAY, fields: cut(cuts[2], cuts[3]), incomplete: false };
        prop_assert_eq!(one == other, one.digest() == other.digest());
        // A field that moves from one record to the next also changes the digest.
        let with = |fields: &[(String, String)]| {
            Record { form: 0, date: TUESDAY, fields: fields.to_vec(), incomplete: false }
        };
        let (kept, moved) = one.fields.split_at(1);
        let forms = shipped();
        prop_assert_ne!(
            digest(forms, &[with(&one.fields), with(&[])]),
            digest(forms, &[with(kept), with(moved)])
        );
    }
}
