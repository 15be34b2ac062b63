//! The HTTP API: the connect page, the way to Oura and back, disconnecting.

use std::time::Duration;

use connector::Connector;
use lambda_http::{Body, Request, RequestExt, Response, run, service_fn};
use runtime::{Deadline, telemetry};

/// How long a fresh process may spend on opening connections before its first visitor.
const WARM_UP: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let connector = &connector::at_start(Connector::deployed())?;
    let warm_up = Deadline::within(WARM_UP);
    // Whoever comes back from Oura waits for the exchange, not for the secret it needs. What is wrong with it is said there.
    let _ = tokio::join!(connector.warm(warm_up), connector.secrets.oura(warm_up));
    run(service_fn(async |request: Request| {
        let deadline = request.lambda_context_ref().map_or(0, |context| context.deadline);
        let request = request.map(bytes);
        let response = connector.respond(request, Deadline::of_invocation(deadline)).await;
        Ok::<Response<String>, lambda_http::Error>(response)
    }))
    .await
}

fn bytes(body: Body) -> Vec<u8> {
    match body {
        Body::Text(text) => text.into_bytes(),
        Body::Binary(bytes) => bytes,
        _ => Vec::new(),
    }
}
