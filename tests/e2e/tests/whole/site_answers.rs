//! Responses of a Smartabase site that are easy to misread: cursors in unusual places, users in another shape, invalid
//! bytes, and responses of an intermediary.
//!
//! Each test names its input. `shared/smartabase/tests/api/specification.rs` lists what the client makes of each
//! response.

use connector::EnrolSummary;
use e2e::{
    ADA, BEN, LINKS, NIGHTS, Spent, ada, ada_and_ben, connected, connection, curtain, enrolled, log, opening,
    told_truly,
};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use local::Stage;
use serde_json::json;
use sim::smartabase::{CursorName, CursorPlace, Event};
use sim::wire::{Answer, Fault, When};
use store::Status;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

const SEARCH: &str = "/site/api/v1/eventsearch";
const ROSTER: &str = "/site/api/v1/usersynchronise";

/// Two evenings for which the site has an event before Ada connects.
const EVENINGS: [Date; 2] = [date(2026, 2, 28), date(2026, 3, 1)];

/// Adds an event of Ada's that the connector's ledger does not know.
fn unknown_event(stage: &Stage, evening: Date) -> i64 {
    stage.smartabase.put_event(Event {
        id: 0,
        form: NIGHTS.to_owned(),
        user: ADA,
        entered_by: 1,
        start_date: evening,
        start_time: jiff::civil::time(20, 0, 0, 0),
        finish_date: evening,
        finish_time: jiff::civil::time(21, 0, 0, 0),
        rows: vec![vec![("Sleep Score".to_owned(), "1".to_owned())]],
        changed: stage.clock.now(),
        updates: 0,
    })
}

/// Ada connects, and the worker delivers everything.
async fn connect(stage: &Stage) {
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
}

/// Asserts that each evening still has the one event that it had before, and that it agrees with Oura.
async fn adopted(stage: &Stage, ids: [i64; 2]) {
    for (evening, id) in EVENINGS.into_iter().zip(ids) {
        let events = stage.smartabase.events_where(NIGHTS, |event| event.start_date == evening);
        let found: Vec<_> = events.iter().map(|event| event.id).collect();
        assert_eq!(found, [id], "a second event was made for {evening}");
    }
    told_truly(stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
    curtain(stage).await;
}

mod continuation_mark {
    use super::*;

    #[tokio::test]
    async fn is_followed_in_every_place_the_site_puts_it() {
        let spellings = [CursorName::Cursor, CursorName::NextCursor, CursorName::NextCursorSnake, CursorName::Cursor];
        for (place, spelling) in CursorPlace::ALL.into_iter().zip(spellings) {
            let mut cast = ada();
            (cast.smartabase.cursor_place, cast.smartabase.cursor) = (place, spelling);
            cast.smartabase.page_size = 1;
            let stage = enrolled(cast).await;
            let ids = EVENINGS.map(|evening| unknown_event(&stage, evening));
            connect(&stage).await;
            adopted(&stage, ids).await;
        }
    }

    /// `{"export":{"events":[]},"pagination":{"cursor":"c1"}}`, with the events on the second page.
    #[tokio::test]
    async fn beside_an_empty_export_leads_to_the_second_page() {
        let stage = enrolled(ada()).await;
        let ids = EVENINGS.map(|evening| unknown_event(&stage, evening));
        let first = Answer::json(&json!({"export": {"events": []}, "pagination": {"cursor": "c1"}}));
        let first_page = When::every().path(SEARCH).body(r#""cursor":"""#);
        stage.smartabase_wire.inject(first_page, Fault::Replace(first));
        connect(&stage).await;
        adopted(&stage, ids).await;
    }

    /// `{"events":[],"nextPageToken":"c1"}`
    #[tokio::test]
    async fn under_an_unknown_name_stops_the_delivery_and_is_named() {
        let stage = enrolled(ada()).await;
        let ids = EVENINGS.map(|evening| unknown_event(&stage, evening));
        let page = Answer::json(&json!({"events": [], "nextPageToken": "c1"}));
        stage.smartabase_wire.inject(When::every().path(SEARCH), Fault::Replace(page));
        stage.connect(ADA, "ada").await.unwrap();
        stage.process.work().await;
        assert_eq!(Spent::since(&stage).imports, 0);
        let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap_or_else(log::printed);
        assert!(note.contains("nextPageToken") && !note.contains("under this name"), "{note}");
        stage.smartabase_wire.heal();
        stage.settle().await;
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        adopted(&stage, ids).await;
    }
}

mod user_of_an_event {
    use super::*;

    /// `"userId":{"userId":1001}`
    #[tokio::test]
    async fn is_read_inside_an_object() {
        let mut cast = ada();
        cast.smartabase.users_as_objects = true;
        let stage = enrolled(cast).await;
        let ids = EVENINGS.map(|evening| unknown_event(&stage, evening));
        connect(&stage).await;
        adopted(&stage, ids).await;
    }

    /// `"userId":[1001]`
    #[tokio::test]
    async fn that_cannot_be_read_is_named_in_the_note() {
        let stage = connected(ada()).await;
        let page = json!({"events": [{"id": 5, "startDate": "01/03/2026", "userId": [1001]}]});
        stage.smartabase_wire.inject(When::every().path(SEARCH), Fault::Replace(Answer::json(&page)));
        stage.smartabase.delete_event(stage.smartabase.event_on(ADA, NIGHTS, date(2026, 3, 1)).unwrap().id);
        stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
        let note = connection(&stage, "uuid-ada").await.unwrap().note.unwrap_or_default();
        assert!(note.contains("events[0]: `userId` can't be read") && !note.contains("under this name"), "{note}");
    }
}

mod roster {
    use super::*;

    /// The roster of Ada and Ben, with this in place of Ben's entry.
    fn with_ben(entry: &[u8]) -> Vec<u8> {
        let ada = br#"{"users":[{"userId":1001,"firstName":"Ada","lastName":"Sample","uuid":"uuid-ada"},"#;
        [ada, entry, br#"],"cursor":null}"#].concat()
    }

    async fn enrol(roster: &[u8]) -> (Stage, EnrolSummary) {
        let stage = opening(ada_and_ben()).await;
        let answer = Answer::status(200).bytes(roster);
        stage.smartabase_wire.inject(When::every().path(ROSTER), Fault::Replace(answer));
        let enrolled = stage.process.enrol().await.unwrap();
        (stage, enrolled)
    }

    #[tokio::test]
    async fn with_invalid_bytes_gives_every_athlete_a_link() {
        let ben = br#"{"userId":1002,"firstName":"Ben","uuid":"uuid-ben"}"#;
        for roster in [
            // A byte order mark.
            [b"\xEF\xBB\xBF", &with_ben(ben)[..]].concat(),
            // A Latin-1 letter in a name.
            with_ben(b"{\"userId\":1002,\"firstName\":\"B\xE9n\",\"uuid\":\"uuid-ben\"}"),
            // A raw control character.
            with_ben(b"{\"userId\":1002,\"firstName\":\"Ben\x02\",\"uuid\":\"uuid-ben\"}"),
            // Decimals.
            with_ben(br#"{"userId":1002.0,"firstName":"Ben","uuid":"uuid-ben"}"#),
            with_ben(br#"{"userId":1002,"dob":NaN,"uuid":"uuid-ben"}"#),
        ] {
            let (stage, enrolled) = enrol(&roster).await;
            assert_eq!((enrolled.told, enrolled.unreadable), (2, 0), "{}", String::from_utf8_lossy(&roster));
            assert!(stage.link(ADA).is_ok() && stage.link(BEN).is_ok());
            curtain(&stage).await;
        }
    }

    #[tokio::test]
    async fn with_one_unreadable_user_skips_only_that_user() {
        for (entry, says) in [
            (&br#"{"userId":NaN,"firstName":"Ben","uuid":"uuid-ben"}"#[..], "page 1, users[1]: `userId` can't be read"),
            (br#"{"userId":1002,"firstName":"Ben","uuid":["uuid-ben"]}"#, "page 1, users[1]: `uuid` can't be read"),
            (
                b"{\"userId\":1002,\"firstName\":\"Ben\",\"uuid\":\"uuid-b\xE9n\"}",
                "page 1, users[1]: `uuid` can't be read",
            ),
        ] {
            let (stage, enrolled) = enrol(&with_ben(entry)).await;
            assert_eq!((enrolled.told, enrolled.unreadable), (1, 1));
            assert!(stage.link(ADA).is_ok() && stage.smartabase.profile(BEN, LINKS).is_none());
            let printed = log::printed();
            assert!(printed.contains(says), "{says} is not in: {printed}");
            assert!(!printed.contains("Ben"), "the log names nobody: {printed}");
            curtain(&stage).await;
        }
    }

    /// `"idsOfDeletedUsers":[1001]`, beside a merger of 1001 of which one half can't be read, or on an unfinished
    /// roster.
    #[tokio::test]
    async fn with_a_doubtful_deletion_disconnects_no_athlete() {
        let ben = json!({"userId": BEN, "firstName": "Ben", "uuid": "uuid-ben"});
        for roster in [
            json!({"users": [ben], "idsOfDeletedUsers": [ADA], "mergedUsers": [{"oldId": ADA, "newId": null}]}),
            json!({"users": [ben], "idsOfDeletedUsers": [ADA], "mergedUsers": [{"oldId": "x", "newId": BEN}]}),
            json!({"users": [ben], "idsOfDeletedUsers": [ADA], "hasMore": true}),
        ] {
            let stage = connected(ada_and_ben()).await;
            stage.smartabase_wire.inject(When::every().path(ROSTER), Fault::Replace(Answer::json(&roster)));
            let disconnected = stage.process.enrol().await.map_or(0, |enrolled| enrolled.disconnected);
            assert_eq!(disconnected, 0, "{roster}");
            assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active, "{roster}");
            curtain(&stage).await;
        }
    }
}

mod sign_in {
    use super::*;

    /// A refusal with status 200, and a firewall's page with 403.
    #[tokio::test]
    async fn that_is_not_confirmed_stops_all_further_requests() {
        let exception =
            json!({"__is_rpc_exception__": true, "value": {"detailMessage": "Invalid username or password"}});
        let blocked = Answer::status(403).body("<html>Attention required</html>");
        // The backfill signs in once. The refusal may mean a wrong password, and a firewall's page begins an outage.
        // After either, writing the staff forms makes no further sign-in.
        for answer in [Answer::json(&exception), blocked] {
            let stage = enrolled(ada()).await;
            // The sign-in of the enrolment no longer counts as proof of the password.
            stage.pass(PERIOD);
            let sign_in = When::every().path("/site/api/v1/listgroups");
            stage.smartabase_wire.inject(sign_in, Fault::Answer(answer));
            stage.connect(ADA, "ada").await.unwrap();
            let _before = stage.cost();
            stage.process.work().await;
            let spent = Spent::since(&stage);
            assert_eq!((spent.sign_ins, spent.lookups, spent.imports, spent.profiles), (1, 0, 0, 0));
            stage.smartabase_wire.heal();
            stage.settle().await;
            stage.pass(PERIOD);
            stage.tick().await.unwrap();
            told_truly(&stage, ADA, "ada", date(2026, 2, 2), date(2026, 3, 4));
            curtain(&stage).await;
        }
    }
}
