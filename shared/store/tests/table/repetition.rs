//! Every write whose answer was lost can be repeated: it does no harm, and its outcome says what is true.

use store::{
    Claim, Connect, ConnectionUpdate, Disconnect, Fenced, Record, RecordKey, Release, Save, Service, Settle, StaffForm,
    Status, StoreError, TakeState, Telling, Written,
};

use crate::wire::Act;
use crate::{Table, at, athlete, authorised, finish, grant, soon};

/// Loses the answer to the request that follows `before` other requests.
fn lose(table: &Table, before: usize) {
    table.wire.script(std::iter::repeat_with(|| Act::Pass).take(before).chain([Act::LoseAnswer]));
}

/// Makes a call whose answer is lost, then repeats it.
macro_rules! twice {
    ($table:ident, $before:literal, $call:expr) => {{
        lose(&$table, $before);
        let lost = $call.await;
        assert!(matches!(&lost, Err(error) if matches!(error, StoreError::Unavailable { .. })), "{lost:?}");
        $call.await.unwrap()
    }};
}

#[tokio::test]
async fn a_repeated_claim_wins_with_a_later_fence() {
    let table = Table::new().await;
    let before = table.connected("ada").await;
    let ada = athlete("ada");
    let claim = twice!(table, 0, table.store.claim(&ada, "job", at(0), at(60), Some(1), soon()));
    assert!(matches!(claim, Claim::Won(connection) if connection.fence == before.fence + 2));
}

#[tokio::test]
async fn a_repeated_release_is_released() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    assert_eq!(twice!(table, 0, table.store.release(&athlete("ada"), fence, soon())), Release::Released);
}

#[tokio::test]
async fn a_repeated_save_or_rescue_is_saved() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let (ada, one, two) = (athlete("ada"), grant("ada"), grant("ada"));
    let save = twice!(table, 0, table.store.save_grant(&ada, fence, 1, &one, "daily", at(1), soon()));
    assert_eq!(save, Save::Saved { generation: 2 });

    table.store.set_status(&ada, 2, Status::NeedsConsent, None, None, at(1), soon()).await.unwrap();
    let rescue = twice!(table, 0, table.store.rescue_grant(&ada, 2, &two, "daily", at(2), soon()));
    assert_eq!(rescue, Save::Saved { generation: 3 });
    assert_eq!(table.connection("ada").await.status, Status::Active, "the second step was made up for");
}

#[tokio::test]
async fn a_repeated_connect_stores_the_same_grant() {
    let table = Table::new().await;
    let new = authorised("ada");
    let connect = twice!(table, 1, table.store.connect(&new, soon()));
    let Connect::Connected { connection, .. } = connect else { panic!("{connect:?}") };
    assert_eq!((connection.generation, connection.grant), (2, Some(new.grant)));
}

#[tokio::test]
async fn a_repeated_settle_owner_or_disconnect_is_harmless() {
    let table = Table::new().await;
    let new = store::NewConnection { oura_user: None, ..authorised("ada") };
    table.store.connect(&new, soon()).await.unwrap();
    let ada = athlete("ada");
    assert_eq!(twice!(table, 0, table.store.settle_owner(&ada, 1, "oura-ada", soon())), Settle::Settled);
    assert_eq!(twice!(table, 1, table.store.disconnect(&ada, 1, at(1), soon())), Disconnect::Already);
}

#[tokio::test]
async fn repeated_small_changes_are_done() {
    let table = Table::new().await;
    table.connected("ada").await;
    let ada = athlete("ada");
    let store = &table.store;
    let set = twice!(table, 0, store.set_status(&ada, 1, Status::NeedsConsent, None, None, at(1), soon()));
    let hold = twice!(table, 0, store.hold_athlete(&ada, at(1), soon()));
    let heartbeat = twice!(table, 0, store.heartbeat(&ada, at(1), soon()));
    let repoint = twice!(table, 0, store.repoint(&ada, 18, None, soon()));
    assert_eq!([set, hold, heartbeat, repoint], [ConnectionUpdate::Done; 4]);
    let hold = twice!(table, 0, store.set_hold(Service::Oura, at(1), "throttled", soon()));
    assert_eq!(hold.until, at(1));
    twice!(table, 0, store.lift_hold(Service::Oura, soon()));
}

#[tokio::test]
async fn a_repeated_intend_or_confirm_is_done() {
    let table = Table::new().await;
    table.connected("ada").await;
    let fence = table.claimed("ada").await;
    let ada = athlete("ada");
    let key = RecordKey { form: "Sleep".to_owned(), date: jiff::civil::date(2026, 3, 1) };
    let written = Written { event: 7, digest: "d".to_owned() };
    let (keys, confirmed) = ([key.clone()], [(key.clone(), written.clone())]);
    let store = &table.store;
    assert_eq!(twice!(table, 0, store.intend(&ada, fence, &keys.clone().into(), soon())), Fenced::Done);
    assert_eq!(twice!(table, 0, store.confirm(&ada, 17, fence, &confirmed, finish(1), soon())), Fenced::Done);
    let connection = table.connection("ada").await;
    assert!(connection.intended.is_empty());
    assert_eq!(store.records(&connection, &keys, soon()).await.unwrap()[&key], Record::Written(written));
}

#[tokio::test]
async fn a_state_is_spent_even_if_the_answer_was_lost() {
    let table = Table::new().await;
    let new = store::NewState {
        hash: "hash".to_owned(),
        athlete: athlete("ada"),
        user_id: 17,
        verifier: grant("ada").sealed,
        browser: "cookie hash".to_owned(),
        link_expires: at(1000),
        expires: at(600),
    };
    twice!(table, 0, table.store.put_state(&new, soon()));
    assert_eq!(twice!(table, 0, table.store.take_state("hash", at(1), soon())), TakeState::Unknown);
}

#[tokio::test]
async fn repeated_steps_of_writing_a_form_are_noted() {
    let table = Table::new().await;
    let (ada, form, store) = (athlete("ada"), StaffForm::Status, &table.store);
    let enrolment = store::Enrolment {
        athlete: ada.clone(),
        user_id: 17,
        name: String::new(),
        link_expires: at(0),
        basis: String::new(),
        told: at(0),
        links_from: None,
        staff: store::Told::default(),
    };
    twice!(table, 0, store.put_enrolment(&enrolment, soon()));
    assert_eq!(twice!(table, 0, store.begin_telling(&ada, form, "one", soon())), Telling::Noted);
    assert_eq!(twice!(table, 0, store.end_telling(&ada, form, "one", soon())), Telling::Noted);
    let told = store.enrolment(&ada, soon()).await.unwrap().unwrap().staff;
    assert_eq!(told.status.as_deref(), Some("one"));
}
