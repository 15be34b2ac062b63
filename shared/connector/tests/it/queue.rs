//! Sending jobs to SQS: full batches, partial failures, and dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use connector::queue::message::Job;
use runtime::Deadline;
use serde_json::{Value, json};
use store::AthleteId;

use crate::sqs::{DEAD_LETTERS, JOBS, Sqs};

fn soon() -> Deadline {
    Deadline::within(Duration::from_mins(1))
}

fn job(name: &str) -> Job {
    Job::Sync { athlete: AthleteId::parse(name).unwrap(), tick: "2026-03-03T07:30:00Z".parse().unwrap() }
}

/// `count` jobs, each a second later than the one before.
fn jobs(count: u64) -> Vec<(Job, Duration)> {
    (0..count).map(|number| (job(&format!("athlete-{number:02}")), Duration::from_secs(number))).collect()
}

fn entries(request: &Value) -> &[Value] {
    request["Entries"].as_array().unwrap()
}

/// The sizes of the batches sent, smallest first, since they are sent concurrently.
fn sizes(sqs: &Sqs) -> Vec<usize> {
    let mut sizes: Vec<_> = sqs.calls().iter().map(|(_, request)| entries(request).len()).collect();
    sizes.sort_unstable();
    sizes
}

#[tokio::test]
async fn jobs_are_sent_in_tens_each_with_its_delay() {
    let sqs = Sqs::start().await;
    let jobs = jobs(23);
    sqs.queue.send(&jobs, soon()).await.unwrap();
    assert_eq!(sizes(&sqs), [3, 10, 10]);
    let mut sent = BTreeMap::new();
    for (operation, request) in sqs.calls() {
        assert_eq!((operation.as_str(), &request["QueueUrl"]), ("SendMessageBatch", &json!(JOBS)));
        for entry in entries(&request) {
            let body = entry["MessageBody"].as_str().unwrap().to_owned();
            let again = sent.insert(body, entry["DelaySeconds"].as_u64().unwrap());
            assert_eq!(again, None, "sent twice");
        }
    }
    let expected: BTreeMap<_, _> = jobs.iter().map(|(job, delay)| (job.to_message(), delay.as_secs())).collect();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn nothing_is_sent_for_no_jobs() {
    let sqs = Sqs::start().await;
    sqs.queue.send(&[], soon()).await.unwrap();
    assert_eq!(sqs.calls(), []);
}

#[tokio::test]
async fn no_delay_is_longer_than_sqs_allows() {
    let sqs = Sqs::start().await;
    let delays = [Duration::from_millis(900_999), Duration::from_secs(901), Duration::MAX];
    sqs.queue.send(&delays.map(|delay| (job("a"), delay)), soon()).await.unwrap();
    let calls = sqs.calls();
    assert!(entries(&calls[0].1).iter().all(|entry| entry["DelaySeconds"] == 900), "{calls:?}");
}

#[tokio::test]
async fn only_failed_entries_of_a_batch_are_sent_again() {
    let sqs = Sqs::start().await;
    sqs.fail("athlete-03", 2);
    sqs.fail("athlete-07", 1);
    sqs.queue.send(&jobs(10), soon()).await.unwrap();
    let sent: Vec<Vec<String>> = sqs
        .calls()
        .iter()
        .skip(1)
        .map(|(_, request)| {
            let body = |entry: &Value| entry["MessageBody"].as_str().unwrap().to_owned();
            entries(request).iter().map(body).collect()
        })
        .collect();
    let message = |name| job(name).to_message();
    assert_eq!(sent, [vec![message("athlete-03"), message("athlete-07")], vec![message("athlete-03")]]);
}

#[tokio::test]
async fn an_entry_that_fails_three_times_counts_as_lost() {
    let sqs = Sqs::start().await;
    sqs.fail("athlete-00", 99);
    sqs.fail("athlete-11", 99);
    let error = sqs.queue.send(&jobs(12), soon()).await.unwrap_err();
    assert_eq!((error.sent, error.lost, error.why.as_str()), (12, 2, "InternalError"));
    assert_eq!(sizes(&sqs), [1, 1, 1, 1, 2, 10]);
}

#[tokio::test]
async fn a_refusing_service_loses_all_jobs_and_gives_the_reason() {
    let sqs = Sqs::start().await;
    sqs.refuse();
    let error = sqs.queue.send(&jobs(12), soon()).await.unwrap_err();
    assert_eq!((error.sent, error.lost), (12, 12));
    assert!(error.why.contains("slow down"), "{error}");
    assert!(!error.why.contains("athlete-00"), "{error}");
    assert_eq!(sizes(&sqs), [2, 2, 2, 10, 10, 10]);
    assert!(sqs.queue.bury("text", "reason", soon()).await.is_err());
    assert!(sqs.queue.postpone("receipt", Duration::ZERO, soon()).await.is_err());
}

#[tokio::test]
async fn nothing_is_tried_again_after_the_deadline() {
    let sqs = Sqs::start().await;
    sqs.refuse();
    let error = sqs.queue.send(&jobs(2), Deadline::within(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error.lost, 2);
    assert!(sqs.calls().len() <= 1);
}

#[tokio::test]
async fn a_dead_letter_carries_its_reason() {
    let sqs = Sqs::start().await;
    sqs.queue.bury("not a job", "it is not JSON", soon()).await.unwrap();
    sqs.queue.bury("", "it ends too early", soon()).await.unwrap();
    let letter = |body: &str, reason: &str| {
        let attributes = json!({"reason": {"DataType": "String", "StringValue": reason}});
        let request = json!({"QueueUrl": DEAD_LETTERS, "MessageBody": body, "MessageAttributes": attributes});
        ("SendMessage".to_owned(), request)
    };
    assert_eq!(sqs.calls(), [letter("not a job", "it is not JSON"), letter(" ", "it ends too early")]);
}

#[tokio::test]
async fn a_message_is_postponed_for_at_most_sqss_limit() {
    let sqs = Sqs::start().await;
    let delays = [Duration::ZERO, Duration::from_secs(90), Duration::from_hours(13), Duration::MAX];
    for delay in delays {
        sqs.queue.postpone("receipt", delay, soon()).await.unwrap();
    }
    let calls = sqs.calls();
    let seconds: Vec<_> = calls.iter().map(|(_, request)| request["VisibilityTimeout"].as_i64().unwrap()).collect();
    assert_eq!(seconds, [0, 90, 43_200, 43_200]);
    for (operation, request) in calls {
        assert_eq!(operation, "ChangeMessageVisibility");
        assert_eq!((&request["QueueUrl"], &request["ReceiptHandle"]), (&json!(JOBS), &json!("receipt")));
    }
}
