//! `connector status`.

use dynamo::Dynamo;
use serde_json::{Value, json};
use store::{KeyVersion, Keyring, Outage, Service, Store, schema};

use crate::aws::{Aws, keyring};
use crate::program::Program;
use crate::squad::{self, ago, soon};

#[tokio::test]
async fn all_athletes_are_listed_with_their_problems() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let ended = aws.run(&["status"]).await;
    // Ben’s form lacks a field, so the operator has to act.
    assert_eq!(ended.code, 3, "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    for (line, parts) in lines.iter().skip(1).zip([
        &["Ada Okafor", "31", "connected", "just now"][..],
        &[
            "Ben Ødegaard",
            "32",
            "form field missing: tell your administrator",
            "30 h ago",
            "does not have the fields Score",
        ],
        &["Cyd Ng", "33", "needs to reconnect", "the athlete opens the personal link and connects again"],
        &["Dee Ndiaye", "34", "not connected yet", "has not connected a ring by the personal link"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    assert_eq!(
        *lines.last().unwrap(),
        "4 athletes: 1 form field missing, 1 needs to reconnect, 1 connected, 1 not connected yet"
    );
    assert!(!ended.stdout.contains('\u{1b}'), "colours in a pipe: {ended:?}");
}

#[tokio::test]
async fn json_is_for_scripts() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let why = "wrong password";
    aws.store.set_hold(Service::Smartabase, ago(-1), why, soon()).await.unwrap();
    let listing = aws.run(&["status", "--json"]).await.json();
    assert_eq!(
        listing["states"],
        json!({"field_missing": 1, "needs_to_reconnect": 1, "connected": 1, "not_connected": 1})
    );
    let pick = |entry: &Value| json!([entry["athlete"], entry["user_id"], entry["state"], entry["needs"]]);
    assert_eq!(
        listing["athletes"].as_array().unwrap().iter().map(pick).collect::<Vec<_>>(),
        [
            json!(["a-1", 31, "connected", "nobody"]),
            json!(["b-2", 32, "field_missing", "operator"]),
            json!(["c-3", 33, "needs_to_reconnect", "athlete"]),
            json!(["d-4", 34, "not_connected", "nobody"]),
        ]
    );
    assert_eq!(listing["holds"][0]["service"], "smartabase");
    assert_eq!(listing["holds"][0]["why"], why);
}

#[tokio::test]
async fn hold_is_shown_before_any_athlete_is_enrolled() {
    let aws = Aws::start().await;
    for service in [Service::Oura, Service::Smartabase] {
        aws.store.set_hold(service, ago(-1), "refused", soon()).await.unwrap();
    }
    let ended = aws.run(&["status"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    for service in ["oura", "smartabase"] {
        assert!(ended.stdout.contains(&format!("{service} is on hold until ")), "{ended:?}");
    }
}

#[tokio::test]
async fn outage_is_not_shown_as_refused_credentials() {
    let aws = Aws::start().await;
    let why = "Smartabase is down: the site is unwell (status 503)";
    let down = Outage { until: ago(-1), why: why.to_owned(), failures: 1, answered_at: None, version: 1 };
    let answered = Outage { answered_at: Some(ago(0)), version: 2, ..down.clone() };
    for enrolled in [false, true] {
        if enrolled {
            squad::fill(&aws.store, &keyring()).await;
        }
        let before = aws.store.outage(Service::Smartabase, soon()).await.unwrap();
        aws.store.replace_outage(Service::Smartabase, before.as_ref(), &down, soon()).await.unwrap();
        let ended = aws.run(&["status", "--json"]).await;
        let holds = ended.json()["holds"].clone();
        assert_eq!((holds.as_array().unwrap().len(), &holds[0]["service"]), (1, &json!("smartabase")), "{ended:?}");
        assert_eq!(holds[0]["why"], why);
        aws.store.replace_outage(Service::Smartabase, Some(&down), &answered, soon()).await.unwrap();
        assert_eq!(aws.run(&["status", "--json"]).await.json()["holds"], json!([]), "the site answered");
    }
}

#[tokio::test]
async fn filters_narrow_the_list_and_the_exit_code() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    for (arguments, listed, code) in [
        (&["ada"][..], &["a-1"][..], 0),
        (&["ØDEG"], &["b-2"], 3),
        (&["34", "a-1"], &["a-1", "d-4"], 0),
        (&["--state", "needs_to_reconnect", "--state", "not_connected"], &["c-3", "d-4"], 0),
        (&["--attention"], &["b-2", "c-3"], 3),
        (&["--unsynced-for", "2h"], &["b-2"], 3),
        (&["nobody"], &[], 0),
    ] {
        let ended = aws.run(&[&["status", "--json"], arguments].concat()).await;
        let found = ended.json()["athletes"].as_array().unwrap().clone();
        let found: Vec<_> = found.iter().map(|entry| entry["athlete"].as_str().unwrap()).collect();
        assert_eq!((found.as_slice(), ended.code), (listed, code), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_pilots_file_is_read_without_the_variables_of_serve() {
    let program = Program::new();
    let file = program.home().join("connector.sqlite");
    let dynamo = Dynamo::at(&file).await.unwrap();
    schema::create_table(&dynamo.client(), "connector").await.unwrap();
    let keyring = Keyring::new(KeyVersion { id: "local".to_owned(), secret: "a key".into() });
    squad::fill(&Store::new(dynamo.client(), "connector"), &keyring).await;
    // The database is still open, as `serve` has it.
    let ended = program.run(&["--local", file.to_str().unwrap(), "status", "--json"]).await;
    assert_eq!(ended.json()["athletes"].as_array().unwrap().len(), 4);
}
