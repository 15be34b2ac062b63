//! No grant is lost if Secrets Manager goes down and the root key can't be read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::{Json, Router};
use connector::Connector;
use oura::Endpoints;
use runtime::{Deployment, SecretName, Secrets, SecretsManager};
use serde_json::{Value, json};
use store::{AthleteId, Status};

use crate::installation::{Installation, soon};
use crate::web::{depart, send_with};

/// Serves on a free port, and returns the address.
async fn serve(service: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// A Secrets Manager that returns the key and the application's credentials until it is down.
async fn secrets_manager(down: Arc<AtomicBool>) -> Secrets {
    let service = Router::new().fallback(move |body: Bytes| {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let text = match request["SecretId"].as_str() {
            Some("arn:key") => "root of one",
            _ => r#"{"client_id":"client","client_secret":"client secret"}"#,
        };
        let answer = json!({"ARN": request["SecretId"], "VersionId": "one", "SecretString": text});
        let down = down.load(Ordering::Relaxed);
        async move { (if down { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }, Json(answer)) }
    });
    let configuration = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(serve(service).await)
        .http_client(aws::http_client())
        .retry_config(RetryConfig::disabled())
        .build();
    let deployment = Deployment {
        table: String::new(),
        queue: String::new(),
        dead_letter_queue: String::new(),
        oura_secret: "arn:oura".to_owned(),
        smartabase_secret: "arn:smartabase".to_owned(),
        key_secret: "arn:key".to_owned(),
    };
    Secrets::Manager(SecretsManager::new(Client::from_conf(configuration), deployment))
}

#[tokio::test]
async fn a_key_that_expires_during_the_exchange_loses_no_grant() {
    let (down, connector): (Arc<AtomicBool>, Arc<OnceLock<Arc<Connector>>>) = Default::default();
    let secrets = secrets_manager(Arc::clone(&down)).await;
    let exchanging = Arc::clone(&connector);
    let oura = serve(Router::new().fallback(move |uri: Uri| {
        // While Oura answers, the cached key expires and can't be read again.
        if uri.path() == "/token" {
            down.store(true, Ordering::Relaxed);
            exchanging.get().unwrap().secrets.refused(SecretName::Key);
        }
        let answer = match uri.path() {
            "/token" => json!({
                "access_token": "access", "refresh_token": "refresh", "token_type": "bearer", "expires_in": 86400,
                "scope": "daily personal"
            }),
            _ => json!({"id": "oura-ada"}),
        };
        async move { Json(answer) }
    }))
    .await;
    let installation = Installation::with(|connector| {
        let at = |path: &str| format!("{oura}{path}").parse().unwrap();
        let endpoints =
            Endpoints { authorize: at("/authorize"), token: at("/token"), revoke: at("/revoke"), api: at("/") };
        connector.oura = oura::Client::new(endpoints).unwrap();
        connector.secrets = secrets;
    })
    .await;
    assert!(connector.set(Arc::clone(&installation.connector)).is_ok());
    let link = installation.enrolled("ada", "Ada Sample").await;
    let (cookie, query) = depart(&installation, &link).await;
    let back = format!("/club/oauth/callback?code=code&state={}", query["state"]);
    let response = send_with(&installation, "GET", &back, "", &cookie).await;
    assert_eq!(response.status(), StatusCode::OK, "{}", response.body());
    let athlete = AthleteId::parse("ada").unwrap();
    let connection = installation.connector.store.connection(&athlete, soon().instant()).await.unwrap().unwrap();
    assert_eq!((connection.status, connection.oura_user.as_deref()), (Status::Active, Some("oura-ada")));
}
