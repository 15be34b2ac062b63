//! The AWS SDK's HTTP client whose requests never leave the process.

use std::sync::{Arc, Weak};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use tokio::task::spawn_blocking;

use crate::answer::{TARGET, answer};

/// An HTTP client that passes its requests to `database`, for as long as the database is open.
pub(crate) fn http_client(database: &Arc<Database>) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(Arc::downgrade(database)));
    http_client_fn(move |_, _| connector.clone())
}

struct Connector(Weak<Database>);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the embedded DynamoDB")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let database = self.0.upgrade();
        HttpConnectorFuture::new(async move {
            let database = database.ok_or_else(|| ConnectorError::user("the embedded DynamoDB was closed".into()))?;
            let target = request.headers().get(TARGET).unwrap_or_default().to_owned();
            let body = request.body().bytes().map(<[u8]>::to_vec);
            let body = body.ok_or_else(|| ConnectorError::user("the request is not in memory".into()))?;
            // SQLite blocks, for seconds while another process writes to the file.
            let answer = spawn_blocking(move || answer(&database, &target, &body)).await;
            let answer = answer.map_err(|error| ConnectorError::other(error.into(), None))?;
            let status =
                StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(answer.body)))
        })
    }
}
