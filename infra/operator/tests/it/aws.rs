//! A fake AWS: CloudFormation with one stack, Secrets Manager with the stack's key, two queues. The table is in the
//! embedded database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use dynamo::Dynamo;
use serde_json::{Value, json};
use store::{KeyVersion, Keyring, Store, schema};

use crate::program::Program;
use crate::queues::{self, Queues};

pub(crate) const STACK: &str = "oura-connector";
const TABLE: &str = "the-table";
const KEY: &str = "the root key of the stack";

/// A region of AWS with one stack in it.
pub(crate) struct Aws {
    pub(crate) store: Store,
    dynamo: Dynamo,
    table_endpoint: String,
    endpoint: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

/// The state of the fake, and the answer that it gives instead, if any.
#[derive(Default)]
struct Behaviour {
    refusal: Option<(StatusCode, String)>,
    signed_by: BTreeSet<String>,
    queues: Queues,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Aws {
    /// Removes an attribute from a connection's row, so that it can't be read.
    pub(crate) async fn damage(&self, athlete: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self.dynamo.client().update_item().table_name(TABLE);
        let request = request.key("pk", text(&format!("ATHLETE#{athlete}"))).key("sk", text("CONNECTION"));
        request.update_expression("REMOVE generation").send().await.unwrap();
    }

    /// A stack whose table is empty.
    pub(crate) async fn start() -> Self {
        let dynamo = Dynamo::in_memory().await.unwrap();
        schema::create_table(&dynamo.client(), TABLE).await.unwrap();
        let store = Store::new(dynamo.client(), TABLE);
        let table_endpoint = dynamo.endpoint().await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let outputs = [
            ("ConnectUrl", "https://connect.example.org/connect"),
            ("CallbackUrl", "https://connect.example.org/oauth/callback"),
            ("TableName", TABLE),
            ("QueueUrl", queues::JOBS),
            ("DeadLetterQueueUrl", queues::DEAD_LETTERS),
            ("OuraSecretArn", "arn:oura"),
            ("SmartabaseSecretArn", "arn:smartabase"),
            ("KeySecretArn", "arn:key"),
        ];
        let parameters = [("SmartabaseUrl", "example.smartabase.com/site"), ("TimeZone", "Europe/London")];
        let named =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let behaviour = Behaviour {
            refusal: None,
            signed_by: BTreeSet::new(),
            queues: Queues::default(),
            outputs: named(&outputs),
            parameters: named(&parameters),
        };
        let behaviour = Arc::new(Mutex::new(behaviour));
        let shared = Arc::clone(&behaviour);
        let service = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let answer = shared.lock().unwrap().answer(&headers, &body);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { store, dynamo, table_endpoint, endpoint, behaviour }
    }

    /// The program, signed in to this region.
    pub(crate) fn program(&self) -> Program {
        Program::new()
            .with("AWS_ENDPOINT_URL", &self.endpoint)
            .with("AWS_ENDPOINT_URL_DYNAMODB", &self.table_endpoint)
            .with("AWS_REGION", "eu-west-2")
            .with("AWS_ACCESS_KEY_ID", "someone")
            .with("AWS_SECRET_ACCESS_KEY", "a-password")
    }

    /// The program, signed in and with the name of the stack.
    pub(crate) async fn run(&self, arguments: &[&str]) -> crate::program::Ended {
        self.program().run(&[&["--stack", STACK], arguments].concat()).await
    }

    /// From now on, answers every request with this, except those to the table.
    pub(crate) fn refuse(&self, status: u16, body: &str) {
        let refusal = (StatusCode::from_u16(status).unwrap(), body.to_owned());
        self.behaviour.lock().unwrap().refusal = Some(refusal);
    }

    /// The key id and region that signed each request since the last call; without the requests to the table.
    pub(crate) fn signed_by(&self) -> Vec<String> {
        std::mem::take(&mut self.behaviour.lock().unwrap().signed_by).into_iter().collect()
    }

    /// The two queues, for tests to inspect and fill.
    pub(crate) fn queues<T>(&self, look: impl FnOnce(&mut Queues) -> T) -> T {
        look(&mut self.behaviour.lock().unwrap().queues)
    }

    /// Removes one of the stack's outputs.
    pub(crate) fn lose_output(&self, name: &str) {
        self.behaviour.lock().unwrap().outputs.remove(name).unwrap();
    }
}

/// The installation's key.
pub(crate) fn keyring() -> Keyring {
    Keyring::new(KeyVersion { id: "first".to_owned(), secret: KEY.into() })
}

impl Behaviour {
    fn answer(&mut self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, String) {
        // AWS4-HMAC-SHA256 Credential=someone/20260303/eu-west-2/cloudformation/aws4_request, ...
        let signature = headers["authorization"].to_str().unwrap().split_once("Credential=").unwrap().1;
        let scope: Vec<_> = signature.split('/').collect();
        self.signed_by.insert(format!("{} in {}", scope[0], scope[2]));
        if let Some(refusal) = &self.refusal {
            return refusal.clone();
        }
        let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap());
        match target {
            Some("secretsmanager.GetSecretValue") => {
                let request: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(request["SecretId"], "arn:key");
                (StatusCode::OK, json!({"ARN": "arn:key", "VersionId": "first", "SecretString": KEY}).to_string())
            }
            Some(target) if target.starts_with("AmazonSQS.") => {
                let request: Value = serde_json::from_slice(body).unwrap();
                match self.queues.answer(target, &request) {
                    Some(answer) => (StatusCode::OK, answer.to_string()),
                    None => (StatusCode::FORBIDDEN, json!({"__type": "AccessDeniedException"}).to_string()),
                }
            }
            None => self.stacks(std::str::from_utf8(body).unwrap()),
            Some(other) => panic!("nothing stands in for {other}"),
        }
    }

    /// CloudFormation speaks AWS's query protocol: a form in, XML out.
    fn stacks(&self, form: &str) -> (StatusCode, String) {
        assert!(form.contains("Action=DescribeStacks"), "{form}");
        if !form.ends_with(&format!("StackName={STACK}")) {
            let message = "Stack with id somewhere does not exist";
            return (StatusCode::BAD_REQUEST, refused("ValidationError", message));
        }
        (StatusCode::OK, described(&self.outputs, &self.parameters))
    }
}

/// The stack, as CloudFormation describes it.
pub(crate) fn described<K: Display>(outputs: &BTreeMap<K, String>, parameters: &BTreeMap<K, String>) -> String {
    let pairs = |values: &BTreeMap<K, String>, kind: &str| {
        values.iter().fold(String::new(), |mut xml, (key, value)| {
            let _ = write!(xml, "<member><{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value></member>");
            xml
        })
    };
    format!(
        "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
         <Stacks><member><StackName>{STACK}</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
         <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}</Outputs><Parameters>{}</Parameters></member></Stacks>\
         </DescribeStacksResult></DescribeStacksResponse>",
        pairs(outputs, "Output"),
        pairs(parameters, "Parameter"),
    )
}

/// An error as CloudFormation words it.
pub(crate) fn refused(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}
