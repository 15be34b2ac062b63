//! A whole deployment: the product with simulated Oura and Smartabase, and fakes for the AWS services that the stage
//! lacks. A test adds one fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use local::{Cast, Stage};
use serde_json::{Value, json};
use sim::oura::{Life, Person};
use sim::smartabase::User;

use crate::aws::{STACK, described, refused};
use crate::program::{Ended, Program};
use crate::queues;

const EMAIL: &str = "ops@example.org";
const FUNCTIONS: [&str; 4] = ["scheduler", "worker", "oauth", "enrol"];

/// A healthy deployment, with two athletes and one user who is no athlete.
pub(crate) struct World {
    pub(crate) stage: Stage,
    cloud: Arc<Mutex<Cloud>>,
    endpoint: String,
}

/// What the fake AWS knows of the stack.
pub(crate) struct Cloud {
    pub(crate) parameters: BTreeMap<&'static str, String>,
    pub(crate) outputs: BTreeMap<&'static str, String>,
    /// By ARN; `None` for a secret that was created and not filled.
    pub(crate) secrets: BTreeMap<&'static str, Option<String>>,
    /// The functions' reserved concurrency, by name.
    pub(crate) functions: BTreeMap<&'static str, Option<u32>>,
    /// Whether each schedule is on, by name.
    pub(crate) schedules: BTreeMap<&'static str, bool>,
    pub(crate) dead_letters: u32,
    /// The ARN of the subscription to the alarms.
    pub(crate) subscription: &'static str,
    /// Services that answer 403, by a part of the address or the target.
    pub(crate) forbidden: Vec<&'static str>,
}

impl World {
    /// No athlete is connected yet.
    pub(crate) async fn new() -> Self {
        let now = Timestamp::now();
        Self::around(Self::stage(now).await).await
    }

    /// One athlete was connected and synced, the given time ago.
    pub(crate) async fn synced(ago: SignedDuration) -> Self {
        let stage = Self::stage(Timestamp::now() - ago).await;
        assert_eq!(stage.connect(1001, "ada").await.unwrap().status, 200);
        stage.settle().await;
        stage.tick().await.unwrap();
        Self::around(stage).await
    }

    async fn stage(now: Timestamp) -> Stage {
        let since = now.to_zoned(jiff::tz::TimeZone::UTC).date() - jiff::Span::new().days(3);
        let stage = Stage::set(Cast {
            now,
            people: vec![Person::new("ada", "Ada Okafor", "UTC").living(Life::Regular { since })],
            users: vec![
                User::new(1001, "uuid-ada", "Ada", "Okafor").in_group("Squad"),
                User::new(1002, "uuid-ben", "Ben", "Ng").in_group("Squad"),
                User { uuid: None, ..User::new(1003, "", "Coach", "Adair") },
            ],
            variables: vec![("BACKFILL_DAYS", "0".to_owned())],
            ..Cast::new()
        })
        .await
        .unwrap();
        stage.process.enrol().await.unwrap();
        stage
    }

    async fn around(stage: Stage) -> Self {
        let cloud = Arc::new(Mutex::new(Cloud::of(&stage)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&cloud);
        let service = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let answer = shared.lock().unwrap().answer(uri.path(), &headers, &body);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { stage, cloud, endpoint }
    }

    pub(crate) fn cloud<T>(&self, change: impl FnOnce(&mut Cloud) -> T) -> T {
        change(&mut self.cloud.lock().unwrap())
    }

    pub(crate) fn program(&self) -> Program {
        Program::new()
            .with("AWS_ENDPOINT_URL", &self.endpoint)
            .with("AWS_ENDPOINT_URL_DYNAMODB", &self.stage.table_wire.url())
            .with("AWS_REGION", "eu-west-2")
            .with("AWS_ACCESS_KEY_ID", "someone")
            .with("AWS_SECRET_ACCESS_KEY", "a-password")
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.program().run(&[&["--stack", STACK], arguments].concat()).await
    }

    pub(crate) async fn fed(&self, arguments: &[&str], input: &str) -> Ended {
        self.program().fed(&[&["--stack", STACK], arguments].concat(), input).await
    }
}

impl Cloud {
    fn of(stage: &Stage) -> Self {
        let settings = &stage.process.connector.settings;
        let oura = &settings.oura;
        Self {
            parameters: BTreeMap::from([
                ("SmartabaseUrl", settings.site.to_string()),
                ("SmartabaseGroup", "Squad".to_owned()),
                ("TimeZone", "UTC".to_owned()),
                ("OuraAuthorizeUrl", oura.authorize.to_string()),
                ("OuraTokenUrl", oura.token.to_string()),
                ("OuraRevokeUrl", oura.revoke.to_string()),
                ("OuraApiUrl", oura.api.to_string()),
                ("AlarmEmail", EMAIL.to_owned()),
            ]),
            outputs: BTreeMap::from([
                ("ConnectUrl", settings.page("connect").to_string()),
                ("CallbackUrl", settings.callback().to_string()),
                ("TableName", stage.process.connector.store.table().to_owned()),
                ("QueueUrl", queues::JOBS.to_owned()),
                ("DeadLetterQueueUrl", queues::DEAD_LETTERS.to_owned()),
                ("OuraSecretArn", "arn:oura".to_owned()),
                ("SmartabaseSecretArn", "arn:smartabase".to_owned()),
                ("KeySecretArn", "arn:key".to_owned()),
            ]),
            secrets: BTreeMap::from([
                ("arn:oura", Some(json!({"client_id": "client", "client_secret": "client-secret"}).to_string())),
                ("arn:smartabase", Some(json!({"username": "api.account", "password": "api-password"}).to_string())),
                ("arn:key", Some("the root key of the stage".to_owned())),
            ]),
            functions: FUNCTIONS.map(|name| (name, None)).into(),
            schedules: BTreeMap::from([("ticks", true), ("enrolment", true)]),
            dead_letters: 0,
            subscription: "arn:aws:sns:eu-west-2:1:alarms:2",
            forbidden: Vec::new(),
        }
    }

    fn answer(&mut self, path: &str, headers: &HeaderMap, body: &[u8]) -> (StatusCode, String) {
        let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap());
        let form = std::str::from_utf8(body).unwrap();
        let asked = |part: &&str| path.contains(*part) || target.unwrap_or(form).contains(*part);
        if self.forbidden.iter().any(asked) {
            let query = target.is_none() && path == "/";
            let json = || json!({"__type": "AccessDeniedException", "message": "no"}).to_string();
            return (StatusCode::FORBIDDEN, if query { refused("AccessDenied", "no") } else { json() });
        }
        let request = || serde_json::from_slice::<Value>(body).unwrap();
        if let Some(name) = path.strip_prefix("/2019-09-30/functions/") {
            return self.concurrency(name.strip_suffix("/concurrency").unwrap());
        }
        match (target, path.strip_prefix("/schedules/")) {
            (None, Some(name)) => self.schedule(name),
            (None, None) if form.contains("Action=DescribeStacks&") => {
                (StatusCode::OK, described(&self.outputs, &self.parameters))
            }
            (None, None) if form.contains("Action=DescribeStackResources") => (StatusCode::OK, resources()),
            (None, None) if form.contains("Action=ListSubscriptionsByTopic") => (StatusCode::OK, self.subscriptions()),
            (Some("secretsmanager.GetSecretValue"), _) => self.secret(&request()),
            (Some("secretsmanager.PutSecretValue"), _) => self.put_secret(&request()),
            (Some("AmazonSQS.GetQueueAttributes"), _) => {
                assert_eq!(request()["QueueUrl"], queues::DEAD_LETTERS);
                let count = self.dead_letters.to_string();
                (StatusCode::OK, json!({"Attributes": {"ApproximateNumberOfMessages": count}}).to_string())
            }
            (target, _) => panic!("nothing stands in for {target:?} {path} {form}"),
        }
    }

    fn concurrency(&self, name: &str) -> (StatusCode, String) {
        match self.functions.get(name) {
            Some(Some(reserved)) => (StatusCode::OK, json!({"ReservedConcurrentExecutions": reserved}).to_string()),
            Some(None) => (StatusCode::OK, json!({}).to_string()),
            None => gone(),
        }
    }

    fn schedule(&self, name: &str) -> (StatusCode, String) {
        match self.schedules.get(name) {
            Some(on) => {
                let state = if *on { "ENABLED" } else { "DISABLED" };
                (StatusCode::OK, json!({"Name": name, "GroupName": "default", "State": state}).to_string())
            }
            None => gone(),
        }
    }

    fn secret(&self, request: &Value) -> (StatusCode, String) {
        let arn = request["SecretId"].as_str().unwrap();
        if let Some(value) = &self.secrets[arn] {
            let answer = json!({"ARN": arn, "VersionId": "first", "SecretString": value});
            (StatusCode::OK, answer.to_string())
        } else {
            let refused = json!({"__type": "ResourceNotFoundException", "Message": "no value"});
            (StatusCode::BAD_REQUEST, refused.to_string())
        }
    }

    fn put_secret(&mut self, request: &Value) -> (StatusCode, String) {
        let arn = request["SecretId"].as_str().unwrap();
        let value = request["SecretString"].as_str().unwrap();
        *self.secrets.get_mut(arn).unwrap() = Some(value.to_owned());
        (StatusCode::OK, json!({"ARN": arn, "VersionId": "second"}).to_string())
    }

    fn subscriptions(&self) -> String {
        let arn = self.subscription;
        let member = format!(
            "<member><Endpoint>{EMAIL}</Endpoint><Protocol>email</Protocol><SubscriptionArn>{arn}</SubscriptionArn></member>"
        );
        xml("ListSubscriptionsByTopic", &format!("<Subscriptions>{member}</Subscriptions>"))
    }
}

fn gone() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, json!({"__type": "ResourceNotFoundException", "Message": "no"}).to_string())
}

/// An answer in AWS's query protocol.
fn xml(action: &str, result: &str) -> String {
    format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
}

/// The resources that the template creates, even if one was deleted since.
fn resources() -> String {
    let schedules = ["ticks", "enrolment"].map(|name| ("AWS::Scheduler::Schedule", name));
    let functions = FUNCTIONS.map(|name| ("AWS::Lambda::Function", name));
    let resources =
        schedules.into_iter().chain(functions).chain([("AWS::SNS::Topic", "arn:aws:sns:eu-west-2:1:alarms")]);
    let members = resources.fold(String::new(), |mut xml, (kind, name)| {
        let _ = write!(
            xml,
            "<member><ResourceType>{kind}</ResourceType><LogicalResourceId>{name}</LogicalResourceId>\
             <PhysicalResourceId>{name}</PhysicalResourceId><Timestamp>2026-01-01T00:00:00Z</Timestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        );
        xml
    });
    xml("DescribeStackResources", &format!("<StackResources>{members}</StackResources>"))
}
