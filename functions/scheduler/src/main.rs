//! Runs a tick of the schedule: plans the jobs of the connected athletes and queues them.

use connector::Connector;
use lambda_runtime::{Diagnostic, LambdaEvent, run, service_fn};
use runtime::{Deadline, telemetry};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let connector = &connector::at_start(Connector::deployed())?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        // The content of the event is ignored: any event means "run a tick now".
        let ticked = connector.tick(Deadline::of_invocation(event.context.deadline)).await;
        ticked.map(|_| ()).map_err(|error| {
            // A failed invocation makes the schedule try again and triggers the alarm.
            tracing::error!(%error, "the tick failed");
            Diagnostic { error_type: "TickFailed".to_owned(), error_message: error.to_string() }
        })
    }))
    .await
}
