//! An attacker can write to the table and the queue but cannot read any secret. The attacker points grants at a token
//! server of their own. The connector must send nothing to it: no refresh token and no client secret.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use connector::queue::message::{Job, SealedGrant};
use e2e::{ADA, Spent, ada, athlete, connection, deadline};
use jiff::{SignedDuration, Timestamp};
use local::Stage;
use secrecy::ExposeSecret;
use serde_json::Value;
use sim::oura::TokenServer;
use sim::wire::{Answer, Fault, When, Wire};
use store::{Connection, SealPurpose, Sealed, Status};
use url::Url;

const PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// A stage with Ada connected, and the attacker's token server, which answers like Oura's.
struct Attack {
    stage: Stage,
    theirs: Wire,
}

impl Attack {
    async fn begin() -> Self {
        // Not `connected`, which installs a log listener: this process has its own subscriber.
        let stage = Stage::set(ada()).await.unwrap();
        stage.process.enrol().await.unwrap();
        assert_eq!(stage.connect(ADA, "ada").await.unwrap().status, 200);
        stage.settle().await;
        stage.tick().await.unwrap();
        let theirs = Wire::start(&stage.oura.url()).await.unwrap();
        let _opening = stage.cost();
        Self { stage, theirs }
    }

    async fn ada(&self) -> Connection {
        connection(&self.stage, "uuid-ada").await.unwrap()
    }

    fn their_token_url(&self) -> Url {
        format!("{}/oauth/v2/ext/oauth-token", self.theirs.url()).parse().unwrap()
    }

    fn our_token_url(&self) -> Url {
        self.stage.process.connector.settings.oura.token.clone()
    }

    /// Writes one attribute of Ada's connection.
    async fn write(&self, attribute: &str, value: AttributeValue) {
        let table = self.stage.process.connector.store.table();
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.stage.dynamo.client().update_item().table_name(table);
        let update = update.key("pk", text("ATHLETE#uuid-ada")).key("sk", text("CONNECTION"));
        let update = update.update_expression("SET #a = :v").expression_attribute_names("#a", attribute);
        update.expression_attribute_values(":v", value).send().await.unwrap();
    }

    /// Points the connection at this endpoint and marks its access token as expired.
    async fn point_at(&self, token_url: &Url) {
        self.write("token_url", AttributeValue::S(token_url.to_string())).await;
        self.write("expires_at", AttributeValue::S(format!("{:.9}", Timestamp::UNIX_EPOCH))).await;
    }

    /// Ada's tokens, sealed as an earlier release did, without their endpoint.
    async fn sealed_before(&self) -> Sealed {
        let sealed = self.ada().await.grant.unwrap().sealed;
        let keyring = self.stage.process.connector.secrets.keyring(deadline()).await.unwrap();
        let opened = keyring.open(SealPurpose::Grant, &athlete("uuid-ada"), &sealed).unwrap();
        let mut tokens: Value = serde_json::from_slice(opened.expose_secret()).unwrap();
        tokens.as_object_mut().unwrap().remove("token_url");
        keyring.seal(SealPurpose::Grant, &athlete("uuid-ada"), tokens.to_string().as_bytes()).unwrap()
    }

    async fn seal_as_before(&self) {
        let sealed = self.sealed_before().await;
        self.write("grant", AttributeValue::B(sealed.as_bytes().to_vec().into())).await;
    }

    async fn tick(&self) {
        self.stage.pass(PERIOD);
        self.stage.tick().await.unwrap();
    }

    fn nothing_was_sent_there(&self) {
        let log = self.theirs.log();
        assert!(log.is_empty(), "{:?}", log.entries);
    }
}

#[tokio::test]
async fn token_url_changed_in_the_table_is_not_used() {
    let attack = Attack::begin().await;
    attack.point_at(&attack.their_token_url()).await;
    attack.tick().await;
    attack.nothing_was_sent_there();
    let ada = attack.ada().await;
    assert_eq!((ada.status, ada.generation), (Status::Active, 2), "refreshed where it was issued");
    assert_eq!(ada.grant.unwrap().token_url, attack.our_token_url(), "and the copy is right again");
}

#[tokio::test]
async fn grant_of_earlier_release_is_sent_to_no_unknown_endpoint() {
    let attack = Attack::begin().await;
    attack.seal_as_before().await;
    attack.point_at(&attack.their_token_url()).await;
    attack.tick().await;
    attack.nothing_was_sent_there();
    assert_eq!(Spent::since(&attack.stage).tokens, 0);
    let ada = attack.ada().await;
    assert_eq!((ada.status, ada.generation), (Status::Active, 1), "nobody is asked to connect again");
    assert!(ada.note.unwrap().contains("neither OuraTokenUrl nor one of Oura's own"));
    // After the row is corrected, the grant is refreshed. Its endpoint is sealed from then on.
    attack.point_at(&attack.our_token_url()).await;
    attack.tick().await;
    assert_eq!(attack.ada().await.generation, 2);
    attack.point_at(&attack.their_token_url()).await;
    attack.tick().await;
    attack.nothing_was_sent_there();
    assert_eq!(attack.ada().await.generation, 3);
}

#[tokio::test]
async fn queued_grant_with_another_endpoint_is_rejected() {
    for sealed_before in [false, true] {
        let attack = Attack::begin().await;
        if sealed_before {
            attack.seal_as_before().await;
        }
        let ada = attack.ada().await;
        let grant = SealedGrant {
            sealed: ada.grant.unwrap().sealed.to_base64(),
            token_url: attack.their_token_url(),
            expires_at: Timestamp::UNIX_EPOCH,
            scopes: "daily".to_owned(),
        };
        let athlete = athlete("uuid-ada");
        let rescue = Job::Rescue { athlete: athlete.clone(), generation: 1, grant: grant.clone(), tries: 0 };
        let revoke = Job::Revoke { athlete, grant, oura_user: None, tries: 0 };
        for message in [revoke.clone(), rescue] {
            attack.stage.process.waiting.send(message.to_message(), Duration::ZERO);
            attack.stage.process.work().await;
            attack.tick().await;
        }
        attack.nothing_was_sent_there();
        assert!(!attack.stage.oura.grants("ada")[0].revoked, "the grant is in use");
        assert_eq!(attack.ada().await.status, Status::Active);
        // The athlete disconnects while Oura takes no revocation. The attacker's message replaces the real one.
        let revocation = When::every().path("/oauth/v2/ext/oauth-revoke");
        attack.stage.oura_wire.inject(revocation, Fault::Answer(Answer::status(503)));
        attack.stage.disconnect(ADA).await.unwrap();
        attack.stage.oura_wire.heal();
        attack.stage.pass(SignedDuration::from_mins(1));
        assert_eq!(attack.stage.process.waiting.receive(10).len(), 1);
        let _ = attack.stage.cost();
        attack.stage.process.waiting.send(revoke.to_message(), Duration::ZERO);
        attack.stage.process.work().await;
        assert_eq!(Spent::since(&attack.stage).revocations, 1, "sent to Oura");
        assert!(attack.stage.oura.grants("ada")[0].revoked);
        attack.nothing_was_sent_there();
    }
}

/// Every installation knows the older token server, but it did not issue the newer server's grant.
#[tokio::test]
async fn grant_is_not_sent_to_ouras_other_token_server() {
    let attack = Attack::begin().await;
    let other = attack.stage.oura.token_url(TokenServer::Legacy);
    let other = other.replacen(&attack.stage.oura.url(), &attack.stage.oura_wire.url(), 1);
    attack.point_at(&other.parse().unwrap()).await;
    attack.tick().await;
    assert_eq!(attack.stage.oura.violations(), []);
    assert_eq!(attack.ada().await.generation, 2);
}

/// An earlier release reads `access` and `refresh` from the sealed value and ignores its other fields. It reads the
/// endpoint from the attribute `token_url`.
#[tokio::test]
async fn earlier_release_can_read_the_sealed_grant() {
    let attack = Attack::begin().await;
    let grant = attack.ada().await.grant.unwrap();
    let keyring = attack.stage.process.connector.secrets.keyring(deadline()).await.unwrap();
    let opened = keyring.open(SealPurpose::Grant, &athlete("uuid-ada"), &grant.sealed).unwrap();
    let tokens: Value = serde_json::from_slice(opened.expose_secret()).unwrap();
    let living = &attack.stage.oura.grants("ada")[0];
    assert_eq!(tokens["access"].as_str(), living.access_token.as_deref());
    assert_eq!(tokens["refresh"].as_str(), living.refresh_token.as_deref());
    assert_eq!(grant.token_url, attack.our_token_url());
    assert_eq!(tokens["token_url"].as_str(), Some(attack.our_token_url().as_str()), "and this release where it does");
}
