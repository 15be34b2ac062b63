//! Responses about an athlete, from Oura or from an intermediary, and what athletes, staff and operators then see.

use e2e::{
    ADA, BEN, DAYS, NIGHTS, STANDINGS, Spent, ada, ada_and_ben, athlete, connected, connection, curtain, deadline,
    enrolled, faithful, squad,
};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use local::Stage;
use serde_json::json;
use sim::oura::Collection;
use sim::wire::{Answer, Fault, When};
use store::{Connection, Service, Status};

const PERIOD: SignedDuration = SignedDuration::from_mins(15);
const DATA: &str = "/v2/usercollection/";
const SLEEP: &str = "/v2/usercollection/sleep";

/// Oura's day of the night that these tests change, and the date of its event at the site.
const WAKING: Date = date(2026, 3, 2);
const EVENING: Date = date(2026, 3, 1);

fn sleeps_five_hours(stage: &Stage, person: &str) {
    stage.oura.revise_night(person, WAKING, |night| night["total_sleep_duration"] = 18_000.into());
}

fn sleep_time(stage: &Stage, user: i64) -> Option<String> {
    stage.smartabase.event_on(user, NIGHTS, EVENING)?.value("Sleep Time (min)").map(str::to_owned)
}

/// What a field of Ada's staff form says.
fn staff_read(stage: &Stage, field: &str) -> String {
    let profile = stage.smartabase.profile(ADA, STANDINGS).unwrap();
    profile.value(field).unwrap_or_default().to_owned()
}

async fn adas(stage: &Stage) -> Connection {
    connection(stage, "uuid-ada").await.unwrap()
}

/// Runs this many ticks, one an hour. Returns their cost.
async fn hours(stage: &Stage, hours: i64) -> Spent {
    let _ = stage.cost();
    for _ in 0..hours {
        stage.pass(SignedDuration::from_hours(1));
        stage.tick().await.unwrap();
    }
    Spent::since(stage)
}

fn html(status: u16) -> Answer {
    Answer::status(status).header("content-type", "text/html").body("<html><title>Your membership</title></html>")
}

fn says(status: u16, body: &serde_json::Value) -> Answer {
    Answer::status(status).header("content-type", "application/json").body(&body.to_string())
}

/// All collections of all athletes are refused by an intermediary, or without a reason.
mod a_refusal_without_ouras_word {
    use super::*;

    async fn names_no_athlete(refusal: Answer) {
        let stage = connected(squad(3)).await;
        (2001..2004).for_each(|number| sleeps_five_hours(&stage, &format!("p{number}")));
        let before = stage.smartabase.events(NIGHTS);
        stage.oura_wire.inject(When::every().path(DATA), Fault::Answer(refusal));
        stage.pass(PERIOD);
        let _ = stage.cost();
        stage.process.tick().await.unwrap();
        stage.process.work().await;
        let spent = Spent::since(&stage);
        assert_eq!((spent.tokens, spent.imports, spent.profiles), (0, 0, 0), "no token is exchanged, nothing is told");
        for number in 2001..2004 {
            let found = connection(&stage, &format!("uuid-{number}")).await.unwrap();
            assert_eq!((found.status, found.note, found.held_until), (Status::Active, None, None));
        }
        let hold = stage.process.connector.store.hold(Service::Oura, deadline().instant()).await.unwrap();
        assert_eq!((hold, stage.smartabase.events(NIGHTS)), (None, before));

        // The jobs are retried on their own, well before the next tick.
        stage.oura_wire.heal();
        stage.pass(SignedDuration::from_mins(1));
        stage.process.work().await;
        for number in 2001..2004 {
            assert_eq!(sleep_time(&stage, number).as_deref(), Some("300"));
            faithful(&stage, number, &format!("p{number}"));
        }
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn names_no_athlete_if_it_is_a_web_page() {
        for status in [401, 402, 403, 426] {
            names_no_athlete(html(status)).await;
        }
    }

    #[tokio::test]
    async fn names_no_athlete_if_it_is_a_gateways() {
        names_no_athlete(says(403, &json!({"message": "Forbidden"}))).await;
        names_no_athlete(Answer::status(403).body("RBAC: access denied")).await;
        for (status, error) in [(402, "Payment Required"), (403, "Forbidden"), (426, "Upgrade Required")] {
            names_no_athlete(says(status, &json!({"status": status, "error": error}))).await;
        }
    }

    #[tokio::test]
    async fn names_no_athlete_if_it_gives_no_reason() {
        for status in [402, 403, 426] {
            names_no_athlete(Answer::status(status)).await;
        }
        names_no_athlete(says(403, &json!({"status": 403, "title": "Forbidden", "detail": "Access denied"}))).await;
    }

    #[tokio::test]
    async fn does_not_mark_a_new_athlete_as_without_membership() {
        let stage = enrolled(ada()).await;
        let personal = "/v2/usercollection/personal_info";
        stage.oura_wire.inject(When::every().path(personal), Fault::Answer(html(403)));
        let visit = stage.connect(ADA, "ada").await.unwrap();
        assert_eq!(visit.status, 200);
        assert!(!visit.page.contains("membership"), "{}", visit.page);
        let found = adas(&stage).await;
        assert_eq!((found.status, found.oura_user, found.held_until), (Status::Active, None, None));
        stage.oura_wire.heal();
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(adas(&stage).await.oura_user.as_deref(), Some("ada"));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

/// One collection is refused, and the others answer.
mod one_refused_collection {
    use super::*;

    #[tokio::test]
    async fn is_skipped_and_named_and_the_rest_is_delivered() {
        for (refusal, requests) in [
            (Answer::status(401), 4),
            (Answer::status(403), 4),
            (says(403, &json!({"detail": "The user's Oura subscription has expired"})), 4),
            (says(403, &json!({"detail": "Missing required scope: daily"})), 4),
            (Answer::status(402), 4),
            (Answer::status(426), 4),
            (says(404, &json!({"detail": "Not Found"})), 4),
            (says(422, &json!({"detail": [{"loc": ["query"], "msg": "Input is not valid"}]})), 4),
            // An intermediary refuses this one, again and again.
            (html(403), 5),
            (html(404), 5),
        ] {
            let stage = connected(ada()).await;
            let nights = stage.smartabase.events(NIGHTS);
            sleeps_five_hours(&stage, "ada");
            let activity = |stage: &Stage| stage.oura.documents_of("ada", Collection::DailyActivity, WAKING).remove(0);
            let id = activity(&stage)["id"].as_str().unwrap().to_owned();
            stage.oura.revise("ada", Collection::DailyActivity, &id, |day| day["steps"] = 12_345.into());
            let what = format!("{refusal:?}");
            stage.oura_wire.inject(When::every().path(SLEEP), Fault::Answer(refusal));
            stage.pass(PERIOD);
            let _ = stage.cost();
            stage.tick().await.unwrap();
            let spent = Spent::since(&stage);
            assert_eq!((spent.collections, spent.personal, spent.tokens), (requests, 0, 0), "{what}");
            let found = adas(&stage).await;
            assert_eq!((found.status, found.held_until), (Status::Active, None), "{what}");
            let note = found.note.unwrap_or_default();
            assert!(note.contains("sleep") && !note.contains("daily_"), "{what}: {note}");
            let day = stage.smartabase.event_on(ADA, DAYS, WAKING).unwrap();
            assert_eq!(day.value("Steps"), Some("12345"), "{what}");
            assert_eq!(stage.smartabase.events(NIGHTS), nights, "no night is emptied: {what}");

            stage.oura_wire.heal();
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
            assert_eq!(adas(&stage).await.note, None, "{what}");
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }

    /// An intermediary refuses one request for the collection.
    #[tokio::test]
    async fn is_requested_again_if_an_intermediary_refused() {
        let stage = connected(ada()).await;
        sleeps_five_hours(&stage, "ada");
        stage.oura_wire.inject(When::every().path(SLEEP).first(1), Fault::Answer(html(403)));
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let found = adas(&stage).await;
        assert_eq!((found.status, found.note), (Status::Active, None));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }

    /// Three collections report a lapsed membership, and one does not answer.
    #[tokio::test]
    async fn decides_nothing_until_all_collections_answered() {
        let stage = connected(ada()).await;
        stage.oura.set_member("ada", false);
        stage.oura_wire.inject(When::every().path(SLEEP), Fault::Answer(Answer::status(503)));
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(adas(&stage).await.status, Status::Active);
        stage.oura_wire.heal();
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(adas(&stage).await.status, Status::MembershipLapsed);
        curtain(&stage).await;
    }
}

/// 426 on all collections.
mod an_outdated_app {
    use super::*;

    #[tokio::test]
    async fn asks_the_athlete_to_update_and_is_checked_once_a_day() {
        let stage = connected(ada_and_ben()).await;
        let before = stage.smartabase.events_of(ADA, NIGHTS);
        stage.oura.set_outdated_app("ada", true);
        let spent = hours(&stage, 1).await;
        assert_eq!(spent.collections, 8, "the look that found out, and Ben's");
        // An earlier release does not know outdated apps. It reads the status and also checks once a day.
        assert_eq!(adas(&stage).await.status.name(), "membership_lapsed");
        assert_eq!(staff_read(&stage, "Status"), "needs to update the Oura app");
        assert!(staff_read(&stage, "Reason").contains("once the athlete has updated it"));
        let page = stage.browser.get(stage.link(ADA).unwrap()).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("Update the Oura app") && !page.contains("membership"), "{page}");
        let spent = hours(&stage, 23).await;
        assert_eq!((spent.collections, spent.tokens), (4 * 23, 1), "Ben's only");
        let spent = hours(&stage, 24).await;
        assert_eq!(spent.collections, 4 + 4 * 24, "one look a day");
        assert_eq!(stage.smartabase.events_of(ADA, NIGHTS), before, "nothing is taken back");

        stage.oura.set_outdated_app("ada", false);
        hours(&stage, 25).await;
        let recovered = adas(&stage).await;
        assert_eq!((recovered.status, recovered.note, recovered.held_until), (Status::Active, None, None));
        assert_eq!(staff_read(&stage, "Status"), "connected");
        faithful(&stage, ADA, "ada");
        faithful(&stage, BEN, "ben");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn followed_by_a_lapsed_membership_is_reported_as_lapsed() {
        let stage = connected(ada()).await;
        stage.oura.set_outdated_app("ada", true);
        hours(&stage, 1).await;
        stage.oura.set_outdated_app("ada", false);
        stage.oura.set_member("ada", false);
        hours(&stage, 25).await;
        let found = adas(&stage).await;
        assert_eq!((found.status, found.note), (Status::MembershipLapsed, None));
        assert_eq!(staff_read(&stage, "Status"), "no Oura membership");
        curtain(&stage).await;
    }

    #[tokio::test]
    async fn at_connect_does_not_stop_the_connect() {
        let mut cast = ada();
        cast.people[0].outdated_app = true;
        let stage = enrolled(cast).await;
        let visit = stage.connect(ADA, "ada").await.unwrap();
        assert_eq!(visit.status, 200);
        stage.settle().await;
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(staff_read(&stage, "Status"), "needs to update the Oura app");
        stage.oura.set_outdated_app("ada", false);
        hours(&stage, 25).await;
        let recovered = adas(&stage).await;
        assert_eq!((recovered.status, recovered.oura_user.as_deref()), (Status::Active, Some("ada")));
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}

/// 402 on all collections, with Oura's explanation.
#[tokio::test]
async fn status_402_is_a_lapsed_membership_checked_once_a_day() {
    let stage = connected(ada()).await;
    let refusal = says(402, &json!({"status": 402, "title": "Payment Required", "detail": "The membership has ended"}));
    stage.oura_wire.inject(When::every().path(DATA), Fault::Answer(refusal));
    let spent = hours(&stage, 12).await;
    assert_eq!((spent.collections, spent.personal), (4, 0));
    let found = adas(&stage).await;
    assert_eq!((found.status, found.note), (Status::MembershipLapsed, None));
    assert_eq!(staff_read(&stage, "Status"), "no Oura membership");
    stage.oura_wire.heal();
    hours(&stage, 24).await;
    assert_eq!(adas(&stage).await.status, Status::Active);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

mod a_throttle {
    use super::*;

    /// `Retry-After` of the token's tier: `1800.5`, `60s`, and a text that can't be read.
    #[tokio::test]
    async fn is_waited_out_to_the_full_second() {
        for (retry_after, seconds) in [("1800.5", 1801), ("60s", 60), ("in a while", 300)] {
            let stage = connected(ada()).await;
            sleeps_five_hours(&stage, "ada");
            stage.pass(PERIOD);
            let refusal = Answer::status(429).header("retry-after", retry_after).header("x-ratelimit-tier", "token");
            stage.oura_wire.inject(When::every().path(DATA), Fault::Answer(refusal));
            stage.process.tick().await.unwrap();
            stage.process.work().await;
            let until = stage.clock.now() + SignedDuration::from_secs(seconds);
            assert_eq!(adas(&stage).await.held_until, Some(until), "{retry_after}");
            stage.oura_wire.heal();
            for _ in 0..3 {
                stage.pass(PERIOD);
                stage.tick().await.unwrap();
            }
            faithful(&stage, ADA, "ada");
            curtain(&stage).await;
        }
    }
}

mod documents {
    use super::*;

    /// Two scores of one night: the first has the greater id, the second the later timestamp.
    #[tokio::test]
    async fn of_one_day_are_ordered_by_their_timestamp() {
        let stage = connected(ada()).await;
        let known = stage.oura.documents_of("ada", Collection::DailySleep, WAKING).remove(0);
        for (id, timestamp, score) in
            [("zzz", "2026-03-01T00:00:00.000+01:00", 11), ("000", "2026-03-02T06:00:00.000+01:00", 99)]
        {
            let mut document = known.clone();
            document["id"] = id.into();
            document["timestamp"] = timestamp.into();
            document["score"] = score.into();
            stage.oura.put_document("ada", Collection::DailySleep, document);
        }
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let night = stage.smartabase.event_on(ADA, NIGHTS, EVENING).unwrap();
        assert_eq!(night.value("Sleep Score"), Some("99"));
        curtain(&stage).await;
    }

    /// A bare `NaN` in one night, so that the page is not JSON.
    #[tokio::test]
    async fn with_a_nan_cost_only_their_own_date() {
        let stage = connected(ada()).await;
        let monday = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap();
        sleeps_five_hours(&stage, "ada");
        let mut damaged = stage.oura.night("ada", date(2026, 3, 1)).unwrap();
        let id = damaged["id"].as_str().unwrap().to_owned();
        damaged["average_hrv"] = "not a number".into();
        let damaged = damaged.to_string().replace(r#""not a number""#, "NaN");
        stage.oura.put_raw("ada", Collection::Sleep, &id, &damaged);
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        assert_eq!(sleep_time(&stage, ADA).as_deref(), Some("300"));
        let found = stage.smartabase.event_on(ADA, NIGHTS, date(2026, 2, 28)).unwrap();
        assert_eq!(found, monday, "a fuller record is not overwritten");
        let found = adas(&stage).await;
        assert_eq!((found.status, found.athlete), (Status::Active, athlete("uuid-ada")));
        curtain(&stage).await;
    }

    /// Each of these responses would be an empty window, if the worker believed it.
    #[tokio::test]
    async fn are_not_taken_as_removed_after_an_incomplete_response() {
        let stage = connected(ada()).await;
        let before = [stage.smartabase.events(NIGHTS), stage.smartabase.events(DAYS)];
        for answer in [
            says(200, &json!({})),
            says(200, &json!({"data": null, "next_token": null})),
            says(200, &json!({"next_token": null})),
            says(200, &json!([[], null])),
            says(200, &json!({"data": [], "nextToken": "more"})),
            says(200, &json!({"data": [], "next_token": null, "pagination": {"cursor": "more"}})),
            says(200, &json!({"data": [], "next_token": null, "error": "upstream"})),
            says(206, &json!({"data": [], "next_token": null})),
            html(200),
        ] {
            let what = format!("{answer:?}");
            // One collection only: a form without any day leaves its records alone anyway.
            stage.oura_wire.inject(When::every().path(SLEEP), Fault::Answer(answer));
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
            assert_eq!([stage.smartabase.events(NIGHTS), stage.smartabase.events(DAYS)], before, "{what}");
            let found = adas(&stage).await;
            assert_eq!((found.status, found.note), (Status::Active, None), "{what}");
            stage.oura_wire.heal();
        }
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        faithful(&stage, ADA, "ada");
        curtain(&stage).await;
    }
}
