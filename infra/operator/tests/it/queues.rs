//! A fake SQS: the two queues of a stack, with receipts that hide and delete messages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) const JOBS: &str = "https://sqs.test/jobs";
pub(crate) const DEAD_LETTERS: &str = "https://sqs.test/dead-letters";

/// The queues.
#[derive(Default)]
pub(crate) struct Queues {
    /// The jobs sent, each with its delay in seconds.
    pub(crate) jobs: Vec<(String, i64)>,
    /// How many more times each action is permitted; actions not in the map are always permitted.
    pub(crate) permitted: BTreeMap<&'static str, u32>,
    dead: Vec<Dead>,
}

struct Dead {
    id: String,
    body: String,
    reason: Option<String>,
    hidden: bool,
}

impl Queues {
    /// Adds a dead letter.
    pub(crate) fn bury(&mut self, id: &str, body: &str, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        self.dead.push(Dead { id: id.to_owned(), body: body.to_owned(), reason, hidden: false });
    }

    /// The ids of the visible dead letters.
    pub(crate) fn visible(&self) -> Vec<&str> {
        self.dead.iter().filter(|dead| !dead.hidden).map(|dead| dead.id.as_str()).collect()
    }

    /// How many dead letters there are, hidden or not.
    pub(crate) fn buried(&self) -> usize {
        self.dead.len()
    }

    /// The answer of SQS; `None` if it refuses.
    pub(crate) fn answer(&mut self, target: &str, request: &Value) -> Option<Value> {
        let of_jobs = request["QueueUrl"] == JOBS;
        assert!(of_jobs || request["QueueUrl"] == DEAD_LETTERS, "{request}");
        let action = target.trim_start_matches("AmazonSQS.");
        if let Some(left) = self.permitted.get_mut(action) {
            *left = left.checked_sub(1)?;
        }
        Some(self.permit(action, of_jobs, request))
    }

    fn permit(&mut self, action: &str, of_jobs: bool, request: &Value) -> Value {
        match (action, of_jobs) {
            ("SendMessage", true) => {
                self.send(request);
                json!({"MessageId": "m", "MD5OfMessageBody": "0"})
            }
            ("SendMessageBatch", true) => {
                let entries = request["Entries"].as_array().unwrap();
                for entry in entries {
                    self.send(entry);
                }
                let sent = |entry: &Value| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"});
                json!({"Successful": entries.iter().map(sent).collect::<Vec<_>>(), "Failed": []})
            }
            ("ReceiveMessage", false) => {
                let most = usize::try_from(request["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
                let seen = self.dead.iter_mut().filter(|dead| !dead.hidden).take(most);
                json!({"Messages": seen.map(Dead::hand_out).collect::<Vec<_>>()})
            }
            ("DeleteMessage", false) => {
                self.dead.retain(|dead| request["ReceiptHandle"] != dead.id);
                json!({})
            }
            ("ChangeMessageVisibilityBatch", false) => {
                for entry in request["Entries"].as_array().unwrap() {
                    assert_eq!(entry["VisibilityTimeout"], 0);
                    self.dead
                        .iter_mut()
                        .filter(|dead| entry["ReceiptHandle"] == dead.id)
                        .for_each(|dead| dead.hidden = false);
                }
                json!({"Successful": [], "Failed": []})
            }
            ("GetQueueAttributes", false) => {
                let (visible, all) = (self.visible().len(), self.dead.len());
                json!({"Attributes": {
                    "ApproximateNumberOfMessages": visible.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": (all - visible).to_string(),
                }})
            }
            (other, _) => panic!("nothing stands in for {other} of {}", request["QueueUrl"]),
        }
    }

    fn send(&mut self, entry: &Value) {
        let delay = entry["DelaySeconds"].as_i64().unwrap_or(0);
        self.jobs.push((entry["MessageBody"].as_str().unwrap().to_owned(), delay));
    }
}

impl Dead {
    fn hand_out(&mut self) -> Value {
        self.hidden = true;
        let reason =
            self.reason.as_ref().map(|reason| json!({"reason": {"DataType": "String", "StringValue": reason}}));
        json!({
            "MessageId": self.id,
            "ReceiptHandle": self.id,
            "Body": self.body,
            "Attributes": {"SentTimestamp": "1772000000000"},
            "MessageAttributes": reason.unwrap_or_else(|| json!({})),
        })
    }
}
