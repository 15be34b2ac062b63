//! Where nothing secret may stand: logs, pages, forms, the table, the queue.

use e2e::{ADA, BEN, Journal, NIGHTS, ada_and_ben, audit, enrolled, gives_nothing_away};
use jiff::SignedDuration;
use jiff::civil::date;
use sim::oura::Collection;
use sim::wire::{Answer, Fault, When};

#[tokio::test]
async fn invariant_4_a_life_of_many_troubles_leaves_no_secret_in_any_log() {
    let journal = Journal::open();
    let stage = enrolled(ada_and_ben()).await;
    let mut secrets = Vec::new();
    // Visits that go wrong, and right.
    for (change, person) in [("iss", "ada"), ("code", "ada"), ("", "ada"), ("", "ben")] {
        let user = if person == "ada" { ADA } else { BEN };
        let (consent, cookie) = stage.depart(user).await.unwrap();
        let mut back = stage.oura.approve(&consent, person);
        let pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
        secrets
            .extend(pairs.iter().filter(|(name, _)| name == "state" || name == "code").map(|(_, value)| value.clone()));
        secrets.push(cookie.split_once('=').unwrap().1.to_owned());
        secrets.push(stage.link(user).unwrap().split_once("signature=").unwrap().1.to_owned());
        let changed = |(name, value): (String, String)| {
            let value = if name == change { "https://evil.example.org/broken".to_owned() } else { value };
            (name, value)
        };
        back.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(changed));
        let visit = stage.arrive(back.as_str(), &cookie).await.unwrap();
        secrets.iter().for_each(|secret| assert!(!visit.page.contains(secret.as_str()), "{}", visit.page));
    }
    stage.settle().await;
    // Ticks with a refresh, revisions, unreadable documents, refusals, a full queue of nonsense, a wrong password.
    stage.oura.revise_night("ada", date(2026, 3, 2), |night| night["average_hrv"] = 987_654.into());
    stage.oura.revise_night("ada", date(2026, 3, 1), |night| night["average_hrv"] = "hrv-of-123-ms".into());
    stage.oura.put_raw(
        "ben",
        Collection::DailySleep,
        "odd",
        r#"{"id":"odd","day":"2026-03-01","score":"score-of-77"}"#,
    );
    stage.pass(SignedDuration::from_mins(24 * 60 - 4));
    stage.tick().await.unwrap();
    let form = stage.smartabase.events_of(ADA, NIGHTS);
    assert!(form.iter().any(|event| event.value("Average HRV") == Some("987654")), "it went where it belongs");
    let refusal =
        serde_json::json!({"result": {"state": "UNEXPECTED_ERROR", "message": "bad value 987655 for Average HRV"}});
    stage
        .smartabase_wire
        .inject(When::every().path("/site/api/v1/eventsimport"), Fault::Answer(Answer::json(&refusal)));
    stage.oura.revise_night("ada", date(2026, 3, 3), |night| night["average_hrv"] = 987_655.into());
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    stage.smartabase_wire.heal();
    let token = stage.oura.grants("ada")[0].refresh_token.clone().unwrap();
    stage.process.waiting.send(format!("{{\"v\":1,\"job\":\"{token}\"}}"), std::time::Duration::ZERO);
    stage.process.work().await;
    stage.smartabase.set_password("rotated");
    stage.oura.revise_night("ben", date(2026, 3, 3), |night| night["average_hrv"] = 987_656.into());
    stage.oura_wire.inject(When::every().path("/oauth/"), Fault::Answer(Answer::status(500).body(&token)));
    stage.oura.expire_access_tokens("ada");
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    stage.disconnect(ADA).await.unwrap();

    let log = journal.text();
    gives_nothing_away(&stage, &log);
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
    for health in ["987654", "987655", "987656", "hrv-of-123-ms", "score-of-77", "rotated"] {
        assert!(!log.contains(health), "{health} is in the log");
    }
    // What an operator needs is there: the log was kept at all.
    for said in ["connected", "unreadable document", "unreadable message", "disconnected", "setback", "uuid-ada"] {
        assert!(log.contains(said), "the log does not say {said:?}");
    }
    for name in ["Ada", "Sample", "example.org/connect"] {
        assert!(!log.contains(name), "{name} is in the log");
    }
}

#[tokio::test]
async fn invariant_4_no_token_is_unsealed_in_the_table_or_on_the_queue() {
    let stage = enrolled(ada_and_ben()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    // While the visit lasts.
    audit(&stage).await;
    let state = url::Url::parse(&consent).unwrap();
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let table = stage.dynamo.client().scan().table_name(stage.process.connector.store.table()).send().await.unwrap();
    let table = format!("{table:?}");
    assert!(!table.contains(&state) && !table.contains(cookie.split_once('=').unwrap().1), "only hashes are kept");
    let back = stage.oura.approve(&consent, "ada");
    stage.arrive(back.as_str(), &cookie).await.unwrap();
    // While the backfill waits, while a revocation waits.
    assert_eq!(stage.process.waiting.len(), 1);
    audit(&stage).await;
    stage.settle().await;
    stage.oura_wire.inject(When::every().path("/oauth/"), Fault::Answer(Answer::status(503)));
    stage.disconnect(ADA).await.unwrap();
    assert!(stage.process.waiting.bodies()[0].contains("\"job\":\"revoke\""));
    audit(&stage).await;
}

#[tokio::test]
async fn invariant_4_a_sealed_grant_moved_to_another_athlete_does_not_open() {
    let stage = e2e::connected(ada_and_ben()).await;
    let database = stage.dynamo.client();
    let table = stage.process.connector.store.table();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let key =
        |who: &str| [("pk".to_owned(), text(&format!("ATHLETE#uuid-{who}"))), ("sk".to_owned(), text("CONNECTION"))];
    let adas = database.get_item().table_name(table).set_key(Some(key("ada").into())).send().await.unwrap();
    let grant = adas.item.unwrap()["grant"].clone();
    let theft = database.update_item().table_name(table).set_key(Some(key("ben").into()));
    let theft = theft.update_expression("SET #grant = :grant").expression_attribute_names("#grant", "grant");
    theft.expression_attribute_values(":grant", grant).send().await.unwrap();
    let bens = stage.smartabase.events_of(BEN, NIGHTS);
    let _ = stage.cost();
    stage.pass(SignedDuration::from_mins(15));
    stage.tick().await.unwrap();
    assert_eq!(e2e::Spent::since(&stage).collections, 4, "Ada's only");
    assert_eq!(stage.smartabase.events_of(BEN, NIGHTS), bens);
    e2e::curtain(&stage).await;
}
