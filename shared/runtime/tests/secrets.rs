//! Reads secrets from a small Secrets Manager on a local socket: when they are read, and what each answer means.

#![expect(clippy::unwrap_used, reason = "the lints know test functions, but not what those share")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::{Json, Router};
use runtime::{Deadline, Deployment, SecretError, SecretName, Secrets, SecretsManager};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::{AthleteId, KeyVersion, Keyring, SealPurpose};

/// A simulated Secrets Manager, and the secrets that read from it.
struct Vault {
    secrets: Secrets,
    shelves: Arc<Mutex<Shelves>>,
}

/// The answers, by secret id and version id or stage; and the requests received.
#[derive(Default)]
struct Shelves {
    answers: BTreeMap<(String, String), (StatusCode, Value)>,
    asked: Vec<(String, String)>,
}

const OURA: &str = "arn:oura";
const SMARTABASE: &str = "arn:smartabase";
const KEY: &str = "arn:key";
const CURRENT: &str = "AWSCURRENT";

impl Vault {
    async fn open() -> Self {
        let shelves: Arc<Mutex<Shelves>> = Arc::default();
        let shared = Arc::clone(&shelves);
        let service = Router::new().fallback(move |body: Bytes| {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
            let version = text("VersionId").or_else(|| text("VersionStage")).unwrap_or_else(|| CURRENT.to_owned());
            let asked = (text("SecretId").unwrap_or_default(), version);
            let mut shelves = shared.lock().unwrap();
            shelves.asked.push(asked.clone());
            let missing = (StatusCode::BAD_REQUEST, json!({"__type": "ResourceNotFoundException", "Message": "no"}));
            let (status, answer) = shelves.answers.get(&asked).cloned().unwrap_or(missing);
            async move { (status, Json(answer)) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        let configuration = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .endpoint_url(endpoint)
            .http_client(aws::http_client())
            .retry_config(RetryConfig::disabled())
            .build();
        let deployment = Deployment {
            table: String::new(),
            queue: String::new(),
            dead_letter_queue: String::new(),
            oura_secret: OURA.to_owned(),
            smartabase_secret: SMARTABASE.to_owned(),
            key_secret: KEY.to_owned(),
        };
        Self { secrets: Secrets::Manager(SecretsManager::new(Client::from_conf(configuration), deployment)), shelves }
    }

    /// Stores a value under a stage, such as that of the current version, and under its version id.
    fn put(&self, secret: &str, stage: &str, version: &str, text: &str) {
        let answer = (StatusCode::OK, json!({"ARN": secret, "VersionId": version, "SecretString": text}));
        let mut shelves = self.shelves.lock().unwrap();
        for place in [stage, version] {
            shelves.answers.insert((secret.to_owned(), place.to_owned()), answer.clone());
        }
    }

    fn fail(&self, secret: &str, status: StatusCode, kind: &str) {
        let answer = (status, json!({"__type": kind, "Message": "no"}));
        self.shelves.lock().unwrap().answers.insert((secret.to_owned(), CURRENT.to_owned()), answer);
    }

    /// The requests since the last call.
    fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.shelves.lock().unwrap().asked)
    }

    async fn client_id(&self) -> String {
        self.secrets.oura(soon()).await.unwrap().client_id.clone()
    }
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_mins(1))
}

/// Advances the clock at once. Afterwards the sockets use real time again.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn oura(id: &str) -> String {
    json!({"client_id": id, "client_secret": "never-printed"}).to_string()
}

#[tokio::test]
async fn a_secret_is_cached_for_five_minutes() {
    let vault = Vault::open().await;
    vault.put(OURA, CURRENT, "1", &oura("first"));
    assert_eq!(vault.client_id().await, "first");
    vault.put(OURA, CURRENT, "2", &oura("second"));
    pass(Duration::from_secs(299)).await;
    assert_eq!(vault.client_id().await, "first");
    assert_eq!(vault.asked().len(), 1);
    pass(Duration::from_secs(2)).await;
    assert_eq!(vault.client_id().await, "second");
    assert_eq!(vault.asked().len(), 1);
}

#[tokio::test]
async fn only_a_refused_secret_is_read_again_at_once() {
    let vault = Vault::open().await;
    vault.put(OURA, CURRENT, "1", &oura("first"));
    vault.put(SMARTABASE, CURRENT, "1", r#"{"username": "connector", "password": "never-printed"}"#);
    vault.put(KEY, CURRENT, "1", "never-printed");
    let read_all = async || {
        vault.secrets.smartabase(soon()).await.unwrap();
        vault.secrets.keyring(soon()).await.unwrap();
        vault.client_id().await
    };
    read_all().await;
    for (name, id) in [(SecretName::Oura, OURA), (SecretName::Smartabase, SMARTABASE), (SecretName::Key, KEY)] {
        vault.asked();
        vault.secrets.refused(name);
        read_all().await;
        read_all().await;
        assert_eq!(vault.asked(), [(id.to_owned(), CURRENT.to_owned())]);
    }
}

#[tokio::test]
async fn an_unfilled_secret_names_the_command_that_fills_it() {
    let vault = Vault::open().await;
    let command = "aws secretsmanager put-secret-value --secret-id arn:oura --secret-string file:///dev/stdin \
                   (standard input: {\"client_id\":\"...\",\"client_secret\":\"...\"})";
    // At first the secret has no value.
    let error = vault.secrets.oura(soon()).await.unwrap_err();
    assert!(matches!(&error, SecretError::Unfilled { name: SecretName::Oura, command: said } if said == command));
    assert!(error.to_string().contains(command), "{error}");
    for empty in [
        "",
        "{}",
        r#"{"client_id": "", "client_secret": ""}"#,
        r#"{"client_id": " ", "client_secret": " "}"#,
        r#"{"client_id": "filled", "client_secret": ""}"#,
    ] {
        vault.put(OURA, CURRENT, "1", empty);
        let error = vault.secrets.oura(soon()).await.unwrap_err();
        assert!(matches!(error, SecretError::Unfilled { name: SecretName::Oura, .. }), "{empty}: {error}");
    }
    let error = vault.secrets.keyring(soon()).await.unwrap_err();
    assert!(matches!(error, SecretError::Unfilled { name: SecretName::Key, .. }), "{error}");
    vault.put(KEY, CURRENT, "1", " ");
    let error = vault.secrets.keyring(soon()).await.unwrap_err();
    assert!(error.to_string().contains("--secret-id arn:key"), "{error}");
    // A failure is not cached, so filling the secret is enough.
    vault.put(OURA, CURRENT, "1", &oura("filled"));
    assert_eq!(vault.client_id().await, "filled");
}

#[tokio::test]
async fn a_malformed_secret_is_named_but_not_quoted() {
    let vault = Vault::open().await;
    for malformed in [
        "hunter2",
        r#""hunter2""#,
        r#"["hunter2"]"#,
        "null",
        r#"{"client_id": "hunter2"}"#,
        r#"{"client_id": "hunter2", "client_secret": 2}"#,
        r#"{"client_id": {"hunter2": 1}, "client_secret": "hunter2"}"#,
        r#"{"client_id": "hunter2", "client_secret": "hunter2""#,
    ] {
        vault.put(OURA, CURRENT, "1", malformed);
        let error = vault.secrets.oura(soon()).await.unwrap_err();
        assert!(matches!(error, SecretError::Malformed { name: SecretName::Oura, .. }), "{malformed}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn failed_requests_do_not_count_as_an_unfilled_secret() {
    let vault = Vault::open().await;
    for (status, kind) in [
        (StatusCode::BAD_REQUEST, "AccessDeniedException"),
        (StatusCode::BAD_REQUEST, "DecryptionFailure"),
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError"),
    ] {
        vault.fail(OURA, status, kind);
        let error = vault.secrets.oura(soon()).await.unwrap_err();
        assert!(matches!(error, SecretError::Unavailable { name: SecretName::Oura, .. }), "{error}");
        assert!(error.to_string().contains(kind), "{error}");
    }
    let error = vault.secrets.oura(Deadline::within(Duration::ZERO)).await.unwrap_err();
    assert!(matches!(error, SecretError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_value_sealed_by_an_older_key_version_stays_readable() {
    let vault = Vault::open().await;
    let athlete = AthleteId::parse("31152").unwrap();
    let old = Keyring::new(KeyVersion { id: "old".to_owned(), secret: "root of old".into() });
    let sealed = old.seal(SealPurpose::Grant, &athlete, b"tokens").unwrap();
    vault.put(KEY, "", "old", "root of old");
    vault.put(KEY, CURRENT, "new", "root of new");

    let keyring = vault.secrets.keyring_with("old", soon()).await.unwrap();
    assert_eq!(keyring.current(), "new");
    assert_eq!(keyring.open(SealPurpose::Grant, &athlete, &sealed).unwrap().expose_secret(), b"tokens");
    let asked = |version: &str| (KEY.to_owned(), version.to_owned());
    assert_eq!(vault.asked(), [asked(CURRENT), asked("old")]);
    // The old version is cached beside the current one.
    vault.secrets.keyring_with("old", soon()).await.unwrap();
    vault.secrets.keyring_with("new", soon()).await.unwrap();
    assert_eq!(vault.asked(), []);

    let error = vault.secrets.keyring_with("gone", soon()).await.unwrap_err();
    assert!(matches!(&error, SecretError::KeyGone { version } if version == "gone"), "{error}");
}

#[tokio::test]
async fn keyring_with_previous_includes_an_existing_previous() {
    let vault = Vault::open().await;
    vault.put(KEY, CURRENT, "new", "root of new");
    let alone = vault.secrets.keyring_with_previous(soon()).await.unwrap();
    assert!(alone.knows("new"));
    vault.put(KEY, "AWSPREVIOUS", "old", "root of old");
    pass(Duration::from_mins(1)).await;
    let keyring = vault.secrets.keyring_with_previous(soon()).await.unwrap();
    assert!(keyring.knows("old") && keyring.current() == "new");
}

#[tokio::test]
async fn a_blank_key_version_is_not_used() {
    let vault = Vault::open().await;
    vault.put(KEY, CURRENT, "new", "root of new");
    vault.put(KEY, "AWSPREVIOUS", "blank", " ");
    assert!(!vault.secrets.keyring_with_previous(soon()).await.unwrap().knows("blank"));
    let error = vault.secrets.keyring_with("blank", soon()).await.unwrap_err();
    assert!(matches!(error, SecretError::KeyGone { .. }), "{error}");
}

#[tokio::test]
async fn looking_up_older_versions_does_not_extend_the_cache() {
    let vault = Vault::open().await;
    for version in ["a", "b", "c"] {
        vault.put(KEY, "", version, "root of an older one");
    }
    vault.put(KEY, CURRENT, "old", "root of old");
    vault.secrets.keyring(soon()).await.unwrap();
    vault.put(KEY, CURRENT, "new", "root of new");
    for version in ["a", "b", "c"] {
        pass(Duration::from_secs(99)).await;
        assert_eq!(vault.secrets.keyring_with(version, soon()).await.unwrap().current(), "old");
    }
    pass(Duration::from_secs(4)).await;
    assert_eq!(vault.secrets.keyring(soon()).await.unwrap().current(), "new");
}

/// Links that no known version of the key signed. Any client can send them, for example twenty a second.
mod links_with_unknown_keys {
    use super::*;

    #[tokio::test]
    async fn ask_secrets_manager_at_most_once_a_minute() {
        let vault = Vault::open().await;
        vault.put(KEY, CURRENT, "new", "root of new");
        vault.secrets.keyring(soon()).await.unwrap();
        vault.asked();
        for _ in 0..5 {
            for _ in 0..40 {
                assert!(vault.secrets.keyring_with_previous(soon()).await.unwrap().knows("new"));
            }
            let asked = |version: &str| (KEY.to_owned(), version.to_owned());
            assert_eq!(vault.asked(), [asked(CURRENT), asked("AWSPREVIOUS")]);
            pass(Duration::from_secs(59)).await;
            vault.secrets.keyring_with_previous(soon()).await.unwrap();
            assert_eq!(vault.asked(), []);
            pass(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test]
    async fn find_a_key_that_was_just_rotated_within_the_minute() {
        let vault = Vault::open().await;
        vault.put(KEY, CURRENT, "old", "root of old");
        assert!(vault.secrets.keyring_with_previous(soon()).await.unwrap().knows("old"));
        vault.put(KEY, "AWSPREVIOUS", "old", "root of old");
        vault.put(KEY, CURRENT, "new", "root of new");
        pass(Duration::from_mins(1)).await;
        let keyring = vault.secrets.keyring_with_previous(soon()).await.unwrap();
        assert_eq!(keyring.current(), "new");
        assert!(keyring.knows("old"), "links signed before the rotation still open");
        assert_eq!(vault.secrets.keyring(soon()).await.unwrap().current(), "new", "and everybody else uses it, too");
    }

    #[tokio::test]
    async fn ask_again_after_a_failed_look_up() {
        let vault = Vault::open().await;
        vault.put(KEY, CURRENT, "old", "root of old");
        vault.secrets.keyring(soon()).await.unwrap();
        vault.fail(KEY, StatusCode::INTERNAL_SERVER_ERROR, "InternalServiceError");
        let error = vault.secrets.keyring_with_previous(soon()).await.unwrap_err();
        assert!(matches!(error, SecretError::Unavailable { .. }), "{error}");
        vault.put(KEY, CURRENT, "new", "root of new");
        assert_eq!(vault.secrets.keyring_with_previous(soon()).await.unwrap().current(), "new");
    }
}

#[tokio::test]
async fn a_gone_version_is_requested_once_in_five_minutes() {
    let vault = Vault::open().await;
    vault.put(KEY, CURRENT, "new", "root of new");
    vault.secrets.keyring(soon()).await.unwrap();
    vault.asked();
    let gone = async |version: &str| {
        let error = vault.secrets.keyring_with(version, soon()).await.unwrap_err();
        assert!(matches!(&error, SecretError::KeyGone { version: named } if named == version), "{error}");
    };
    for _ in 0..20 {
        gone("gone").await;
    }
    assert_eq!(vault.asked(), [(KEY.to_owned(), "gone".to_owned())]);
    // The list of gone versions is bounded, and a restored version is found once its entry expires.
    for number in 0..40 {
        gone(&format!("gone {number}")).await;
    }
    vault.put(KEY, "", "gone 39", "root of a restored one");
    gone("gone 39").await;
    pass(Duration::from_mins(5)).await;
    assert!(vault.secrets.keyring_with("gone 39", soon()).await.unwrap().knows("gone 39"));
}

#[tokio::test]
async fn debug_prints_no_secret() {
    let vault = Vault::open().await;
    vault.put(OURA, CURRENT, "1", &oura("public"));
    vault.put(SMARTABASE, CURRENT, "1", r#"{"username": "connector", "password": "never-printed"}"#);
    vault.put(KEY, CURRENT, "1", "never-printed");
    let (oura, smartabase, keyring) =
        tokio::try_join!(vault.secrets.oura(soon()), vault.secrets.smartabase(soon()), vault.secrets.keyring(soon()),)
            .unwrap();
    let printed = format!("{:?} {oura:?} {smartabase:?} {keyring:?}", vault.secrets);
    assert!(printed.contains("public") && !printed.contains("never-printed"), "{printed}");
}
