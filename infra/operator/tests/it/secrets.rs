//! `connector secrets set` stores no value that the service refuses, and prints no secret.

use crate::pilot::Pilot;
use crate::program::{Ended, Program};
use crate::world::World;

const OURA: &str = r#"{"client_id": "client", "client_secret": "client-secret"}"#;
const SMARTABASE: &str = r#"{"username": "api.account", "password": "api-password"}"#;

/// A deployment whose two secrets are as the template creates them.
async fn unfilled() -> World {
    let world = World::new().await;
    world.cloud(|cloud| {
        cloud.secrets.insert("arn:oura", None);
        cloud.secrets.insert("arn:smartabase", None);
    });
    world
}

fn stored(world: &World, arn: &str) -> Option<serde_json::Value> {
    world.cloud(|cloud| cloud.secrets[arn].as_deref().map(|value| serde_json::from_str(value).unwrap()))
}

#[track_caller]
fn says_nothing_secret(ended: &Ended) {
    for secret in ["client-secret", "api-password", "hush-hush"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
    }
}

#[tokio::test]
async fn accepted_values_are_stored_for_the_product() {
    let world = unfilled().await;
    for (name, arn, value) in [("oura", "arn:oura", OURA), ("smartabase", "arn:smartabase", SMARTABASE)] {
        let ended = world.fed(&["secrets", "set", name, "--stdin", "--json"], value).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(ended.json()["verified"], true);
        assert_eq!(stored(&world, arn), Some(serde_json::from_str(value).unwrap()));
        says_nothing_secret(&ended);
    }
    assert_eq!(world.run(&["doctor"]).await.code, 0);
    assert_eq!(world.stage.oura.violations(), []);
}

#[tokio::test]
async fn refused_values_are_tried_once_and_not_stored() {
    let world = unfilled().await;
    let wrong = r#"{"username": "api.account", "password": "hush-hush"}"#;
    for arguments in [&["--stdin"][..], &["--stdin", "--unverified"]] {
        let ended = world.fed(&[&["secrets", "set", "smartabase"], arguments].concat(), wrong).await;
        ended.refused(1, &["nothing was stored", "refuses the username or the password"]);
        says_nothing_secret(&ended);
    }
    assert_eq!(world.stage.smartabase.refused_logins(), 2, "one for each time");
    let wrong = r#"{"client_id": "client", "client_secret": "hush-hush"}"#;
    let ended = world.fed(&["secrets", "set", "oura", "--stdin"], wrong).await;
    ended.refused(1, &["nothing was stored", "does not know this client id"]);
    says_nothing_secret(&ended);
    assert_eq!((stored(&world, "arn:oura"), stored(&world, "arn:smartabase")), (None, None));
}

#[tokio::test]
async fn unverified_values_are_stored_only_on_request() {
    let world = unfilled().await;
    world.cloud(|cloud| cloud.parameters.insert("SmartabaseUrl", "http://127.0.0.1:1/site".to_owned()));
    let ended = world.fed(&["secrets", "set", "smartabase", "--stdin"], SMARTABASE).await;
    ended.refused(1, &["nothing was stored", "can’t be reached", "--unverified"]);
    assert_eq!(stored(&world, "arn:smartabase"), None);
    let ended = world.fed(&["secrets", "set", "smartabase", "--stdin", "--unverified", "--json"], SMARTABASE).await;
    assert_eq!((ended.code, &ended.json()["verified"]), (0, &false.into()), "{ended:?}");
    says_nothing_secret(&ended);
    assert_eq!(stored(&world, "arn:smartabase"), Some(serde_json::from_str(SMARTABASE).unwrap()));
}

#[tokio::test]
async fn without_a_terminal_it_says_how_else() {
    let world = unfilled().await;
    for name in ["oura", "smartabase"] {
        world.run(&["secrets", "set", name]).await.refused(2, &["no terminal", "--stdin"]);
    }
}

#[tokio::test]
async fn invalid_json_is_not_quoted() {
    let world = unfilled().await;
    for input in ["", "hush-hush", "{\"username\": \"api.account\", \"passwort\": \"hush-hush\"}", "[\"hush-hush\"]"] {
        let ended = world.fed(&["secrets", "set", "smartabase", "--stdin"], input).await;
        ended.refused(2, &["is not the JSON"]);
        says_nothing_secret(&ended);
    }
    let ended =
        world.fed(&["secrets", "set", "oura", "--stdin"], r#"{"client_id": "", "client_secret": "hush-hush"}"#).await;
    ended.refused(2, &["neither may be empty"]);
    says_nothing_secret(&ended);
    assert_eq!(world.stage.smartabase.refused_logins(), 0);
}

#[tokio::test]
async fn missing_permission_to_store_is_reported() {
    let world = unfilled().await;
    world.cloud(|cloud| cloud.forbidden = vec!["PutSecretValue"]);
    let ended = world.fed(&["secrets", "set", "oura", "--stdin"], OURA).await;
    ended.refused(1, &["not allowed to store the secret"]);
    says_nothing_secret(&ended);
}

#[tokio::test]
async fn a_secret_is_no_argument() {
    let ended = Program::new().run(&["secrets", "set", "smartabase", "hush-hush"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[tokio::test]
async fn a_pilots_secrets_are_stored_nowhere() {
    let pilot = Pilot::start().await;
    for (name, variable) in [("oura", "OURA_CLIENT_SECRET"), ("smartabase", "SMARTABASE_PASSWORD")] {
        pilot.run(&["secrets", "set", name, "--stdin"]).await.refused(2, &[variable, "environment of `serve`"]);
    }
}
