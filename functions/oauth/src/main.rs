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
    let connector = &connector::at_start(Connector::deployed().await)?;
    connector.warm(Deadline::within(WARM_UP)).await;
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
