//! Runs a batch of jobs (syncs, backfills, rescues and revocations), each on its own, and returns a partial batch
//! response.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use connector::{Connector, Disposition, WorkerMessage};
use lambda_runtime::{LambdaEvent, run, service_fn};
use runtime::{Deadline, telemetry};

/// How long a new process may take to open connections before its first batch.
const WARM_UP: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let connector = &Arc::new(connector::at_start(Connector::deployed())?);
    let warm_up = Deadline::within(WARM_UP);
    tokio::join!(connector.warm(warm_up), connector.smartabase.warm(warm_up.instant()));
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = Deadline::of_invocation(event.context.deadline);
        let batch = event.payload.records.into_iter().map(message).collect();
        let verdicts = connector.work(batch, deadline).await;
        Ok::<_, lambda_runtime::Error>(response(verdicts))
    }))
    .await
}

fn message(message: SqsMessage) -> WorkerMessage {
    WorkerMessage {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        receipt: message.receipt_handle,
        attempts: message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1),
    }
}

/// Lists the messages that must come back. SQS deletes all others.
fn response(verdicts: Vec<(String, Disposition)>) -> SqsBatchResponse {
    let again = verdicts.into_iter().filter(|(_, verdict)| !matches!(verdict, Disposition::Done));
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = again.map(|(id, _)| failure(id)).collect();
    response
}

fn failure(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}
