//! Places where no secret may be unsealed: the table and the queue. Logs are tested in a process of their own,
//! `tests/secrecy`.

use e2e::{ADA, BEN, NIGHTS, Spent, ada_and_ben, audit, connected, curtain, enrolled};
use jiff::SignedDuration;
use sim::wire::{Answer, Fault, When};

#[tokio::test]
async fn invariant_4_no_token_is_unsealed_in_the_table_or_the_queue() {
    let stage = enrolled(ada_and_ben()).await;
    let (consent, cookie) = stage.depart(ADA).await.unwrap();
    // During the visit.
    audit(&stage).await;
    let address = url::Url::parse(&consent).unwrap();
    let secret = address.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let table = stage.dynamo.client().scan().table_name(stage.process.connector.store.table()).send().await.unwrap();
    let table = format!("{table:?}");
    assert!(!table.contains(&secret) && !table.contains(cookie.split_once('=').unwrap().1), "only hashes are kept");
    let back = stage.oura.approve(&consent, "ada");
    stage.arrive(back.as_str(), &cookie).await.unwrap();
    // While the backfill is queued, and while a revocation is queued.
    assert_eq!(stage.process.waiting.len(), 1);
    audit(&stage).await;
    stage.settle().await;
    stage.oura_wire.inject(When::every().path("/oauth/"), Fault::Answer(Answer::status(503)));
    stage.disconnect(ADA).await.unwrap();
    assert!(stage.process.waiting.bodies()[0].contains("\"job\":\"revoke\""));
    audit(&stage).await;
}

#[tokio::test]
async fn invariant_4_grant_moved_to_another_athlete_does_not_open() {
    let stage = connected(ada_and_ben()).await;
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
    assert_eq!(Spent::since(&stage).collections, 4, "Ada's only");
    assert_eq!(stage.smartabase.events_of(BEN, NIGHTS), bens);
    curtain(&stage).await;
}
