//! A wrong Smartabase password is tried as rarely as possible, so that the site never locks the account.

use connector::EnrolError;
use e2e::{ADA, Spent, ada, audit, connected, connection, curtain, deadline, enrolled, faithful};
use jiff::SignedDuration;
use jiff::civil::date;
use store::{Service, Status};

use crate::credentials::replaced;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

#[tokio::test]
async fn wrong_password_holds_all_smartabase_requests_until_replaced() {
    let stage = connected(ada()).await;
    stage.smartabase.set_password("rotated-api-password");
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    stage.pass(PERIOD);
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    assert_eq!(stage.smartabase.refused_logins(), 1);
    let hold = stage.process.connector.store.hold(Service::Smartabase, deadline().instant()).await.unwrap().unwrap();
    assert!(hold.why.contains("smartabase secret"), "{}", hold.why);

    stage.pass(SignedDuration::from_mins(1));
    stage.process.tick().await.unwrap();
    stage.process.work().await;
    let error = stage.process.enrol().await.unwrap_err();
    assert!(matches!(error, EnrolError::Credentials(_)) && error.to_string().contains("smartabase secret"), "{error}");
    assert_eq!(stage.smartabase.refused_logins(), 1, "nobody tries while the hold lasts");
    let connection = connection(&stage, "uuid-ada").await.unwrap();
    assert_eq!((connection.status, connection.lease), (Status::Active, None), "no athlete is blamed");

    replaced(&stage.process);
    stage.pass(SignedDuration::from_mins(5));
    stage.settle().await;
    stage.tick().await.unwrap();
    assert_eq!(stage.smartabase.refused_logins(), 1);
    faithful(&stage, ADA, "ada");
    curtain(&stage).await;
}

#[tokio::test]
async fn a_wrong_password_is_tried_at_most_once_in_five_minutes() {
    let stage = connected(ada()).await;
    stage.smartabase.set_password("rotated-api-password");
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["total_sleep_duration"] = 18_000.into());
    let began = stage.clock.now();
    for _ in 0..4 {
        stage.pass(PERIOD);
        stage.tick().await.unwrap();
    }
    let (refused, minutes) = (stage.smartabase.refused_logins(), stage.clock.now().duration_since(began).as_mins());
    assert!(refused > 0 && i64::try_from(refused).unwrap() <= minutes / 5, "{refused} refusals in {minutes} minutes");
    replaced(&stage.process);
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    faithful(&stage, ADA, "ada");
    audit(&stage).await;
}

#[tokio::test]
async fn wrong_password_does_not_affect_unchanged_athletes() {
    let stage = connected(ada()).await;
    stage.smartabase.set_password("rotated-api-password");
    stage.pass(PERIOD);
    stage.tick().await.unwrap();
    let spent = Spent::since(&stage);
    assert_eq!((spent.collections, spent.lookups, spent.writes), (4, 0, 0));
    assert_eq!(stage.smartabase.refused_logins(), 0);
    curtain(&stage).await;
}

#[tokio::test]
async fn a_wrong_password_at_enrolment_is_tried_once() {
    let stage = enrolled(ada()).await;
    stage.smartabase.set_password("rotated-api-password");
    for _ in 0..3 {
        let error = stage.process.enrol().await.unwrap_err();
        assert!(matches!(error, EnrolError::Credentials(_)), "{error}");
    }
    assert_eq!(stage.smartabase.refused_logins(), 1);
    replaced(&stage.process);
    stage.pass(SignedDuration::from_mins(6));
    stage.process.enrol().await.unwrap();
    curtain(&stage).await;
}
