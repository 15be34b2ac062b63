//! What happens to connections and records when users of the site are added, deleted, merged or renamed.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use connector::EnrolSummary;
use connector::forms::Forms;
use e2e::{
    ADA, BEN, DAYS, LINKS, NIGHTS, STANDINGS, Spent, ada_and_ben, connected, connection, curtain, enrolled, faithful,
    log, opening, squad,
};
use jiff::SignedDuration;
use jiff::civil::date;
use local::{Cast, Stage};
use runtime::Deadline;
use sim::smartabase::{Event, User};
use sim::wire::{Answer, Fault, When};
use store::Status;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A user who is new on the roster.
const NEW: i64 = 1009;

async fn enrol(stage: &Stage) -> EnrolSummary {
    stage.process.enrol().await.unwrap()
}

fn status(stage: &Stage, user: i64) -> String {
    stage.smartabase.profile(user, STANDINGS).unwrap().value("Status").unwrap_or_default().to_owned()
}

fn events(stage: &Stage, user: i64) -> Vec<Event> {
    [NIGHTS, DAYS].into_iter().flat_map(|form| stage.smartabase.events_of(user, form)).collect()
}

/// A user of the cast with another UUID, or with none.
fn renamed(user: i64, uuid: Option<&str>) -> User {
    User { uuid: uuid.map(str::to_owned), ..User::new(user, "", "Ada", "Sample") }
}

async fn next_day(stage: &Stage) {
    stage.pass(DAY);
    stage.tick().await.unwrap();
}

#[tokio::test]
async fn new_user_gets_a_link_at_the_next_enrolment() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.set_user(User::new(NEW, "uuid-new", "Cara", "Sample"));
    let told = enrol(&stage).await;
    assert_eq!((told.told, told.athletes, told.unaccounted), (1, 3, 0));
    assert!(stage.link(NEW).is_ok());
    assert_eq!(status(&stage, NEW), "not connected yet");
    curtain(&stage).await;
}

#[tokio::test]
async fn merged_user_keeps_ring_history_and_link() {
    // The surviving user has the UUID of the merged user, or another one.
    for (uuid, odd) in [("uuid-ada", 0), ("uuid-other", 1)] {
        let stage = connected(ada_and_ben()).await;
        let before = events(&stage, ADA).len();
        stage.smartabase.set_user(User::new(NEW, uuid, "Ada", "Sample"));
        stage.smartabase.merge_users(ADA, NEW);
        let told = enrol(&stage).await;
        assert_eq!((told.merged, told.told, told.unaccounted, told.disconnected), (1, 1, odd, 0));
        assert_eq!(connection(&stage, "uuid-ada").await.unwrap().user_id, NEW.cast_unsigned());
        assert!(stage.link(NEW).unwrap().contains("athlete=uuid-ada"));
        stage.settle().await;
        assert_eq!(events(&stage, NEW).len(), before, "what the site moved is found, and not made again");
        next_day(&stage).await;
        faithful(&stage, NEW, "ada");
        assert_eq!(status(&stage, NEW), "connected");
        let told = enrol(&stage).await;
        assert_eq!((told.merged, told.told, told.staff_told), (0, 0, 0), "once");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn merger_without_its_events_delivers_the_history_again() {
    let stage = connected(ada_and_ben()).await;
    let left: Vec<_> = events(&stage, ADA).into_iter().map(|event| event.id).collect();
    stage.smartabase.set_user(User::new(NEW, "uuid-ada", "Ada", "Sample"));
    stage.smartabase.merge_users(ADA, NEW);
    for id in &left {
        assert!(stage.smartabase.delete_event(*id));
    }
    enrol(&stage).await;
    stage.settle().await;
    faithful(&stage, NEW, "ada");
    assert_eq!(events(&stage, NEW).len(), left.len(), "the history is there again");
    curtain(&stage).await;
}

/// A site may list a merged user as deleted, too.
#[tokio::test]
async fn merger_into_an_invisible_user_is_no_deletion() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.set_user(User::new(NEW, "uuid-new", "Ada", "Sample"));
    stage.smartabase.merge_users(ADA, NEW);
    stage.smartabase.delete_user(ADA);
    stage.smartabase.hide_user(NEW);
    let told = enrol(&stage).await;
    assert_eq!((told.disconnected, told.merged, told.unaccounted), (0, 0, 1));
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn former_users_link_does_not_open_the_uuids_new_user() {
    let stage = enrolled(ada_and_ben()).await;
    let former = stage.link(ADA).unwrap();
    stage.pass(DAY);
    stage.smartabase.set_user(renamed(ADA, None));
    stage.smartabase.set_user(User::new(NEW, "uuid-ada", "Cara", "Sample"));
    enrol(&stage).await;
    let open = async |link: &str| {
        let answer = reqwest::get(link).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap().contains("Cara"))
    };
    assert_eq!(open(&former).await, (410, false));
    assert_eq!(open(&stage.link(NEW).unwrap()).await, (200, true));
    // This is also true after the link is renewed.
    stage.pass(DAY * 25);
    enrol(&stage).await;
    assert_eq!(open(&former).await, (410, false));
    assert_eq!(open(&stage.link(NEW).unwrap()).await, (200, true));
}

#[tokio::test]
async fn former_users_visit_does_not_connect_the_uuids_new_user() {
    let stage = enrolled(ada_and_ben()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    stage.smartabase.set_user(renamed(ADA, None));
    stage.smartabase.set_user(User::new(NEW, "uuid-ada", "Cara", "Sample"));
    assert_eq!(enrol(&stage).await.told, 1);
    let _ = stage.cost();
    let visit = stage.arrive(stage.oura.approve(&consent, "ada").as_str(), &cookie).await.unwrap();
    assert_eq!(visit.status, 410);
    assert!(visit.page.contains("This link has expired") && !visit.page.contains("Cara"), "{}", visit.page);
    assert_eq!(Spent::since(&stage).tokens, 0, "no grant was asked for");
    assert!(connection(&stage, "uuid-ada").await.is_none());
    // The user who has the UUID now can connect a ring.
    assert_eq!(stage.connect(NEW, "ada").await.unwrap().status, 200);
    stage.settle().await;
    faithful(&stage, NEW, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn merger_of_two_connected_users_moves_no_ring() {
    let stage = connected(ada_and_ben()).await;
    // Both users have nights on the same dates; staff keep one event of each date.
    for event in events(&stage, ADA) {
        stage.smartabase.delete_event(event.id);
    }
    stage.smartabase.merge_users(ADA, BEN);
    for _ in 0..2 {
        let told = enrol(&stage).await;
        assert_eq!((told.merged, told.unaccounted, told.disconnected), (0, 1, 0));
    }
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().user_id, ADA.cast_unsigned());
    next_day(&stage).await;
    faithful(&stage, BEN, "ben");
    e2e::audit(&stage).await;
}

#[tokio::test]
async fn only_the_deleted_user_is_disconnected() {
    let stage = connected(ada_and_ben()).await;
    let link = stage.link(ADA).unwrap();
    let kept = events(&stage, ADA).len();
    stage.smartabase.delete_user(ADA);
    let told = enrol(&stage).await;
    assert_eq!((told.disconnected, told.unaccounted, told.athletes), (1, 0, 1));
    let ended = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((ended.status, ended.grant), (Status::Disconnected, None));
    stage.settle().await;
    assert!(stage.oura.grants("ada").iter().all(|grant| grant.revoked), "revoked at Oura");
    assert!(!stage.oura.grants("ben").iter().any(|grant| grant.revoked));
    assert_eq!(events(&stage, ADA).len(), kept, "the records stay");
    let page = stage.browser.get(&link).send().await.unwrap();
    assert_eq!(page.status(), 404, "the link opens nothing any more");

    let _ = stage.cost();
    let told = enrol(&stage).await;
    assert_eq!((told.disconnected, told.unaccounted, told.staff_failed), (0, 0, 0), "once");
    assert_eq!(Spent::since(&stage).lookups, 1, "the site is asked about nobody");
    next_day(&stage).await;
    faithful(&stage, BEN, "ben");
    curtain(&stage).await;
}

#[tokio::test]
async fn invisible_user_is_reported_and_stays_connected() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.hide_user(ADA);
    for _ in 0..2 {
        let told = enrol(&stage).await;
        assert_eq!((told.disconnected, told.unaccounted), (0, 1));
    }
    assert_eq!(connection(&stage, "uuid-ada").await.unwrap().status, Status::Active);
    // Once the user is visible again, syncs and forms continue unchanged.
    stage.smartabase.set_user(User::new(ADA, "uuid-ada", "Ada", "Sample").in_group("Squad"));
    assert_eq!(enrol(&stage).await.unaccounted, 0);
    next_day(&stage).await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn wrong_rosters_disconnect_no_athlete() {
    let rosters = [
        r#"{"users":[],"mergedUsers":[],"idsOfDeletedUsers":[1001,1002],"cursor":null}"#,
        r#"{"users":[{"userId":1,"uuid":""}],"cursor":null}"#,
        r#"{"users":[{"userId":7,"uuid":"somebody"}],"cursor":null}"#,
        r#"{"users":[{"userId":7,"uuid":"uuid-ada"},{"userId":8,"uuid":"uuid-ben"}],"cursor":null}"#,
        r#"{"error":"no"}"#,
        "",
    ];
    let stage = connected(ada_and_ben()).await;
    for roster in rosters {
        let answer = Answer::status(200).body(roster);
        stage.smartabase_wire.inject(When::every().path("/site/api/v1/usersynchronise"), Fault::Answer(answer));
        let _ = stage.process.enrol().await;
        stage.smartabase_wire.heal();
        for (user, uuid) in [(ADA, "uuid-ada"), (BEN, "uuid-ben")] {
            let connection = connection(&stage, uuid).await.unwrap();
            let now = (connection.status, connection.user_id);
            assert_eq!(now, (Status::Active, user.cast_unsigned()), "after {roster}");
        }
    }
    assert_eq!(enrol(&stage).await.unaccounted, 0);
    next_day(&stage).await;
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn deletion_of_a_whole_squad_at_once_is_not_believed() {
    let stage = connected(squad(11)).await;
    for user in 2001..2011 {
        stage.smartabase.delete_user(user);
    }
    let told = enrol(&stage).await;
    assert_eq!((told.disconnected, told.unaccounted), (0, 10));
    assert_eq!(connection(&stage, "uuid-2001").await.unwrap().status, Status::Active);
    e2e::audit(&stage).await;
}

#[tokio::test]
async fn user_without_their_uuid_keeps_the_ring_and_is_reported() {
    for uuid in [None, Some("uuid-other")] {
        let stage = connected(ada_and_ben()).await;
        stage.smartabase.set_user(renamed(ADA, uuid));
        let told = enrol(&stage).await;
        assert_eq!((told.unaccounted, told.disconnected, told.told), (1, 0, 0));
        next_day(&stage).await;
        faithful(&stage, ADA, "ada");
        let field = stage.smartabase.profile(ADA, STANDINGS).unwrap();
        assert_eq!(field.value("Last Night Received"), Some("Tuesday 3 March 2026"));
        assert!(stage.link(ADA).unwrap().contains("athlete=uuid-ada"));
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn uuid_moved_to_another_user_does_not_move_the_ring() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.set_user(renamed(ADA, None));
    stage.smartabase.set_user(User::new(NEW, "uuid-ada", "Zoe", "Sample"));
    let told = enrol(&stage).await;
    assert_eq!((told.unaccounted, told.merged, told.disconnected), (1, 0, 0));
    next_day(&stage).await;
    faithful(&stage, ADA, "ada");
    assert!(events(&stage, NEW).is_empty() && stage.smartabase.profile(NEW, LINKS).is_none());

    // The operator disconnects Ada. Then the UUID belongs to the new user, who gets none of Ada's events.
    let hers = events(&stage, ADA);
    stage.disconnect(ADA).await.unwrap();
    stage.settle().await;
    assert_eq!(enrol(&stage).await.unaccounted, 0);
    assert_eq!(status(&stage, NEW), "not connected yet");
    assert_eq!(stage.connect(NEW, "ada").await.unwrap().status, 200);
    stage.settle().await;
    faithful(&stage, NEW, "ada");
    assert_eq!(events(&stage, ADA), hers, "her events are as they were");
    assert_eq!(status(&stage, NEW), "connected");
    curtain(&stage).await;
}

#[tokio::test]
async fn swapped_uuids_swap_no_rings() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase.set_user(renamed(ADA, Some("uuid-ben")));
    stage.smartabase.set_user(renamed(BEN, Some("uuid-ada")));
    assert_eq!(enrol(&stage).await.unaccounted, 2);
    next_day(&stage).await;
    faithful(&stage, ADA, "ada");
    faithful(&stage, BEN, "ben");
    curtain(&stage).await;
}

#[tokio::test]
async fn user_who_leaves_the_group_stays_connected() {
    let cast = Cast { variables: vec![("SMARTABASE_GROUP", "Squad".to_owned())], ..ada_and_ben() };
    let stage = connected(cast).await;
    let link = stage.link(ADA).unwrap();
    stage.smartabase.set_user(User::new(ADA, "uuid-ada", "Ada", "Sample"));
    let told = enrol(&stage).await;
    assert_eq!((told.outside_group, told.unaccounted, told.disconnected), (1, 0, 0));
    next_day(&stage).await;
    faithful(&stage, ADA, "ada");
    // The staff forms are still written; the link is not renewed.
    stage.oura.withdraw("ada");
    stage.pass(DAY * 24);
    stage.tick().await.unwrap();
    enrol(&stage).await;
    assert_eq!(status(&stage, ADA), "needs to reconnect");
    assert_eq!(stage.link(ADA).unwrap(), link);
    curtain(&stage).await;
}

/// The staff form can't be written after a disconnection, and at the next enrolment the user is no longer an athlete.
#[tokio::test]
async fn unreported_disconnection_is_written_for_a_former_athlete() {
    for grouped in [true, false] {
        let variables = if grouped { vec![("SMARTABASE_GROUP", "Squad".to_owned())] } else { Vec::new() };
        let stage = connected(Cast { variables, ..ada_and_ben() }).await;
        stage.smartabase_wire.inject(When::every().path("/site/api/v1/profileimport"), Fault::DropBefore);
        stage.disconnect(ADA).await.unwrap();
        stage.settle().await;
        stage.smartabase_wire.heal();
        assert_eq!(status(&stage, ADA), "connected");
        stage.smartabase.hide_user(ADA);
        let told = enrol(&stage).await;
        assert_eq!((told.staff_told, told.staff_failed), (0, 0), "who is out of sight can't be told of");
        let uuid = if grouped { Some("uuid-ada") } else { None };
        stage.smartabase.set_user(renamed(ADA, uuid));
        let told = enrol(&stage).await;
        assert_eq!((told.athletes, told.staff_told, told.unaccounted), (1, 2, 0), "grouped: {grouped}");
        assert_eq!(status(&stage, ADA), "disconnected");
        assert_eq!(enrol(&stage).await.staff_told, 0, "once");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn unreported_status_of_a_former_uuid_is_not_written() {
    let stage = connected(ada_and_ben()).await;
    stage.smartabase_wire.inject(When::every().path("/site/api/v1/profileimport"), Fault::DropBefore);
    stage.disconnect(ADA).await.unwrap();
    stage.settle().await;
    stage.smartabase_wire.heal();
    stage.smartabase.set_user(renamed(ADA, Some("uuid-new")));
    for staff_told in [1, 0] {
        assert_eq!(enrol(&stage).await.staff_told, staff_told);
        assert_eq!(status(&stage, ADA), "not connected yet");
    }
    curtain(&stage).await;
}

#[tokio::test]
async fn run_without_time_leaves_all_athletes_to_the_next() {
    let stage = opening(squad(7)).await;
    let short = Deadline::within(std::time::Duration::from_mins(1));
    let told = stage.process.connector.enrol(short).await.unwrap();
    assert_eq!((told.athletes, told.told, told.staff_told, told.left), (7, 0, 0, 7));
    assert_eq!(Spent::since(&stage).profiles, 0, "nothing is begun that can't be finished");
    let told = enrol(&stage).await;
    assert_eq!((told.told, told.staff_told, told.left), (7, 7, 0));
    let told = stage.process.connector.enrol(short).await.unwrap();
    assert_eq!(told.left, 0, "who needs nothing is not left");
    curtain(&stage).await;
}

/// Copies the enrolment of a squad's first athlete to all others in the table.
async fn enrolled_alike(stage: &Stage, users: std::ops::Range<i64>) {
    let (database, table) = (stage.dynamo.client(), stage.process.connector.store.table().to_owned());
    let text = |text: String| AttributeValue::S(text);
    let key = |user: i64| {
        HashMap::from([("pk".into(), text(format!("ATHLETE#uuid-{user}"))), ("sk".into(), text("ENROLMENT".into()))])
    };
    let first =
        database.get_item().table_name(&table).set_key(Some(key(users.start))).send().await.unwrap().item.unwrap();
    let users: Vec<_> = users.collect();
    for page in users.chunks(25) {
        let puts = page.iter().map(|user| {
            let mut item = first.clone();
            item.extend(key(*user));
            item.insert("user_id".into(), AttributeValue::N(user.to_string()));
            item.insert("name".into(), text(format!("Player {user}")));
            item.insert("athlete".into(), text(format!("uuid-{user}")));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        database.batch_write_item().request_items(&table, puts.collect()).send().await.unwrap();
    }
}

#[tokio::test]
async fn five_thousand_users_cost_their_roster_and_few_reads() {
    const USERS: i64 = 5_000;
    // Forms for staff cost the same reads. Without them, the test can make up the enrolments.
    let forms = Forms { status: None, rotation: None, ..Forms::shipped().unwrap() };
    let cast = Cast { people: Vec::new(), ..squad(1) };
    log::listen();
    let stage = Stage::set_with(cast, forms).await.unwrap();
    assert_eq!(enrol(&stage).await.told, 1);
    let everybody = 2001..2001 + USERS;
    enrolled_alike(&stage, everybody.clone()).await;
    for number in everybody.clone() {
        stage.smartabase.set_user(User::new(number, &format!("uuid-{number}"), "Player", &number.to_string()));
    }
    let _ = stage.cost();
    let told = enrol(&stage).await;
    let users = usize::try_from(USERS).unwrap();
    assert_eq!((told.athletes, told.told, told.failed, told.left), (users, 0, 0, 0));
    let spent = Spent::since(&stage);
    assert_eq!((spent.lookups, spent.profiles, spent.writes), (users / 100, 0, 0), "a day without news");
    // One read covers 98 athletes: first their links, then the staff forms with the connections.
    assert!(spent.snapshots <= 3 * users.div_ceil(98), "{spent:?}");
}

#[tokio::test]
async fn interrupted_merger_is_completed_by_the_next_run() {
    let stage = enrolled(ada_and_ben()).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.smartabase.set_user(User::new(NEW, "uuid-ada", "Ada", "Sample"));
    stage.smartabase.merge_users(ADA, NEW);
    // The connection is moved; then the site is unreachable, and the link is not written.
    stage.smartabase_wire.inject(When::every().path("/site/api/v1/profileimport"), Fault::DropBefore);
    let told = enrol(&stage).await;
    assert_eq!((told.merged, told.failed), (1, 1));
    stage.smartabase_wire.heal();
    let told = enrol(&stage).await;
    assert_eq!((told.merged, told.failed, told.told), (0, 0, 1));
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    next_day(&stage).await;
    faithful(&stage, NEW, "ada");
    curtain(&stage).await;
}
