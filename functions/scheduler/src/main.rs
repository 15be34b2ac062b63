//! A tick of the schedule: one job for every connected athlete.

use connector::Connector;
use lambda_runtime::{Diagnostic, LambdaEvent, run, service_fn};
use runtime::{Deadline, telemetry};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let connector = &connector::at_start(Connector::deployed())?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        // Whatever the event says, it means "now": a tick needs nothing from it, so nothing in it can be wrong.
        let ticked = connector.tick(Deadline::of_invocation(event.context.deadline)).await;
        ticked.map(|_| ()).map_err(|error| {
            // Failing the invocation makes the schedule try again, and the alarm see it.
            tracing::error!(%error, "the tick failed");
            Diagnostic { error_type: "TickFailed".to_owned(), error_message: error.to_string() }
        })
    }))
    .await
}
