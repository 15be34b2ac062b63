//! The HTTP API: the connect page, the redirect to Oura, the callback, and disconnecting.

mod event;

use std::time::Duration;

use connector::{Connector, RateLimit};
use lambda_runtime::{Diagnostic, LambdaEvent, run, service_fn};
use runtime::{Deadline, telemetry};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

/// How long a new process may take to open connections before its first visitor.
const WARM_UP: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let connector = &connector::at_start(Connector::deployed())?;
    let warm_up = Deadline::within(WARM_UP);
    // An athlete who comes back from Oura should wait only for the code exchange, so read its secret now. The exchange
    // itself reports an error of the secret.
    let _ = tokio::join!(connector.warm(warm_up), connector.secrets.oura(warm_up));
    let limit = &RateLimit::default();
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let deadline = Deadline::of_invocation(event.context.deadline);
        Ok::<_, Diagnostic>(answer(connector, limit, event.payload.get(), deadline).await)
    }))
    .await
}

/// Answers every event, valid or not, because a failed invocation triggers an alarm.
async fn answer(connector: &Connector, limit: &RateLimit, event: &str, deadline: Deadline) -> Value {
    // A lone surrogate makes the whole event invalid JSON. Such an event is handled like one without a path.
    let event = serde_json::from_str(event).unwrap_or_default();
    if event::source(&event).is_some_and(|address| !limit.admits(address, Instant::now())) {
        return event::answer(connector.refuse_flood());
    }
    event::answer(connector.respond(event::request(&event), deadline).await)
}

#[cfg(test)]
mod tests;
