//! Which users get a personal link.

use connector::EnrolError;
use e2e::{ADA, BEN, LINKS, Spent, ada_and_ben, athlete, curtain, deadline, enrolled, faithful, opening, squad};
use jiff::SignedDuration;
use local::Cast;
use sim::smartabase::{CursorName, Form, User};

#[tokio::test]
async fn each_athlete_gets_an_own_link_once() {
    let stage = opening(ada_and_ben()).await;
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.athletes, enrolled.told, enrolled.failed), (2, 2, 0));
    assert_ne!(stage.link(ADA).unwrap(), stage.link(BEN).unwrap());
    let _ = stage.cost();
    let link = stage.link(ADA).unwrap();
    stage.pass(SignedDuration::from_hours(24));
    assert_eq!(stage.process.enrol().await.unwrap().told, 0);
    assert_eq!(Spent::since(&stage).lookups, 1, "a day without news costs the roster");
    assert_eq!(stage.link(ADA).unwrap(), link);
    // The enrolment renews the link a week before it expires. The old link still works.
    stage.pass(SignedDuration::from_hours(22 * 24));
    assert_eq!(stage.process.enrol().await.unwrap().told, 2);
    assert_ne!(stage.link(ADA).unwrap(), link);
    assert_eq!(stage.browser.get(&link).send().await.unwrap().status(), 200);
    assert_eq!(stage.smartabase.profile(ADA, LINKS).unwrap().imports, 2);
    curtain(&stage).await;
}

#[tokio::test]
async fn site_without_uuids_is_reported_and_gets_no_links() {
    for blank in [None, Some(String::new()), Some("  ".to_owned())] {
        let mut cast = ada_and_ben();
        cast.users.iter_mut().for_each(|user| user.uuid.clone_from(&blank));
        let stage = opening(cast).await;
        let error = stage.process.enrol().await.unwrap_err();
        assert!(matches!(error, EnrolError::NoUuids), "{error}");
        let says = "no user of the site has a UUID: ask Teamworks support to enable UUIDs for the site, then give each \
                    athlete one";
        assert_eq!(error.to_string(), says);
        assert!(stage.smartabase.profile(ADA, LINKS).is_none());
        let enrolment =
            stage.process.connector.store.enrolment(&athlete("uuid-ada"), deadline().instant()).await.unwrap();
        assert!(enrolment.is_none());
    }
}

#[tokio::test]
async fn user_without_a_uuid_is_skipped_and_counted() {
    let mut cast = ada_and_ben();
    cast.users.push(User { uuid: None, ..User::new(1003, "", "Coach", "Sample") });
    cast.users.push(User::new(1004, "", "Doctor", "Sample"));
    let stage = opening(cast).await;
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.athletes, enrolled.told, enrolled.without_uuid), (2, 2, 2));
    assert!(stage.smartabase.profile(1003, LINKS).is_none() && stage.smartabase.profile(1004, LINKS).is_none());
    curtain(&stage).await;
}

#[tokio::test]
async fn invariant_5_a_shared_uuid_enrols_neither() {
    let mut cast = ada_and_ben();
    cast.users.push(User::new(1003, "uuid-ada", "Adam", "Sample"));
    let stage = opening(cast).await;
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.athletes, enrolled.told, enrolled.shared_uuids), (1, 1, 1));
    assert!(stage.smartabase.profile(ADA, LINKS).is_none() && stage.smartabase.profile(1003, LINKS).is_none());
    assert!(stage.link(BEN).is_ok());
    curtain(&stage).await;
}

#[tokio::test]
async fn only_the_group_is_enrolled() {
    let mut cast = ada_and_ben();
    cast.users.push(User::new(1003, "uuid-cara", "Cara", "Sample").in_group("Academy"));
    cast.variables = vec![("SMARTABASE_GROUP", "Squad".to_owned())];
    let stage = opening(cast).await;
    assert_eq!(stage.process.enrol().await.unwrap().athletes, 2);
    assert!(stage.link(ADA).is_ok() && stage.smartabase.profile(1003, LINKS).is_none());
    curtain(&stage).await;
}

#[tokio::test]
async fn empty_or_misspelt_group_is_reported() {
    let cast = Cast { variables: vec![("SMARTABASE_GROUP", "Sqaud".to_owned())], ..ada_and_ben() };
    let stage = opening(cast).await;
    let error = stage.process.enrol().await.unwrap_err();
    assert!(matches!(&error, EnrolError::EmptyGroup(group) if group == "Sqaud"), "{error}");
    assert!(error.to_string().contains("\"Sqaud\"") && error.to_string().contains("SmartabaseGroup"), "{error}");
    assert!(stage.smartabase.profile(ADA, LINKS).is_none() && stage.smartabase.profile(BEN, LINKS).is_none());
}

#[tokio::test]
async fn large_roster_is_read_in_pages_under_either_cursor_name() {
    for cursor in [CursorName::Cursor, CursorName::NextCursor, CursorName::NextCursorSnake] {
        let mut cast = squad(23);
        cast.smartabase.page_size = 5;
        cast.smartabase.cursor = cursor;
        let stage = opening(cast).await;
        assert_eq!(stage.process.enrol().await.unwrap().told, 23, "{cursor:?}");
        curtain(&stage).await;
    }
}

#[tokio::test]
async fn roster_with_a_repeating_cursor_ends_with_an_error() {
    let mut cast = squad(12);
    cast.smartabase.page_size = 5;
    cast.smartabase.cursor_repeats = true;
    let stage = opening(cast).await;
    let error = stage.process.enrol().await.unwrap_err();
    assert!(matches!(error, EnrolError::Smartabase(smartabase::Error::CursorRepeats)), "{error}");
    assert!(Spent::since(&stage).lookups <= 3);
}

#[tokio::test]
async fn missing_profile_form_prevents_only_the_links() {
    let stage = opening(ada_and_ben()).await;
    stage.smartabase.remove_form(LINKS);
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.told, enrolled.failed), (0, 2));
    stage.smartabase.set_form(Form::profile(LINKS, ["Some Other Field"]));
    let enrolled = stage.process.enrol().await.unwrap();
    assert_eq!((enrolled.told, enrolled.failed), (0, 2), "a link in no field is no link");
    stage.smartabase.set_form(Form::profile(LINKS, ["Authorisation Link"]));
    assert_eq!(stage.process.enrol().await.unwrap().told, 2);
    assert!(stage.link(ADA).is_ok());
    curtain(&stage).await;
}

#[tokio::test]
async fn ticks_work_without_an_enrolment() {
    let stage = enrolled(ada_and_ben()).await;
    stage.connect(ADA, "ada").await.unwrap();
    stage.settle().await;
    stage.smartabase.remove_form(LINKS);
    stage.pass(SignedDuration::from_hours(24));
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}
