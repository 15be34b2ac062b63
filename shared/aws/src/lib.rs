//! Configures the AWS SDK for a function on Lambda: from the environment variables that Lambda sets, over the HTTP
//! client that the process has anyway.
//!
//! The SDK's own loader also looks for profiles, roles and instance metadata, which a function does not have. The SDK's
//! own HTTP client brings a second connection pool and reads the root certificates a second time. Together they are a
//! tenth of a deployed function. This crate does not know what AWS is used for.
//!
//! ```
//! let configuration = aws::configuration();
//! assert!(configuration.http_client().is_some());
//! ```

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

pub use aws_types::SdkConfig;

/// The maximum wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Reads region, credentials and endpoints from the environment, as Lambda sets them. The SDK makes up to three
/// attempts with its own backoff. Every use case limits the total time by its deadline.
#[must_use]
pub fn configuration() -> SdkConfig {
    let mut configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(variable("AWS_REGION").map(Region::new))
        .service_config(Endpoints)
        .http_client(http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build());
    configuration.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    configuration.set_credentials_provider(credentials());
    configuration.build()
}

/// The credentials have no expiry here, because Lambda replaces a process before they expire.
fn credentials() -> Option<SharedCredentialsProvider> {
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment");
    Some(SharedCredentialsProvider::new(credentials))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads the endpoint of one service from variables such as `AWS_ENDPOINT_URL_DYNAMODB`.
#[derive(Debug)]
struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        variable(&service_variable(&key))
    }
}

fn service_variable(key: &ServiceConfigKey<'_>) -> String {
    format!("{}_{}", key.env(), key.service_id().to_uppercase().replace(' ', "_"))
}

/// The HTTP client for the SDK. If the client could not be built, every request fails, even one over plain HTTP.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector::new());
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Clone, Debug)]
struct Connector(Result<reqwest::Client, Arc<reqwest::Error>>);

impl Connector {
    fn new() -> Self {
        let client = tls::client(tls::Offer::Http2)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            // A request is signed for one address, so follow no redirect. The SDK does the retries. DynamoDB's
            // checksums cover the bytes as sent, so do not decompress them.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_gzip()
            .build();
        Self(client.map_err(Arc::new))
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self(client) = self.clone();
        HttpConnectorFuture::new(async move { exchange(client.map_err(user)?, request).await })
    }
}

async fn exchange(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(user)?.map(reqwest::Body::wrap);
    let response = client.execute(request.try_into().map_err(user)?).await.map_err(failure)?;
    let (status, headers) = (response.status(), response.headers().clone());
    // Read the whole body: responses are small, and the SDK would read all of it anyway.
    let body = response.bytes().await.map_err(failure)?;
    let mut response = HttpResponse::new(status.into(), SdkBody::from(body));
    *response.headers_mut() = headers.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
    Ok(response)
}

/// An error that the SDK does not retry.
fn user(error: impl Error + Send + Sync + 'static) -> ConnectorError {
    ConnectorError::user(Box::new(error))
}

/// An error that the SDK retries: a timeout or a failed connection.
fn failure(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};
    use axum::{Router, response::Redirect};

    use super::*;

    /// Starts a server with these routes and returns its address.
    async fn serve(routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    async fn send(uri: String, body: &'static str) -> Result<HttpResponse, ConnectorError> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(if body.is_empty() { "GET" } else { "POST" }).unwrap();
        request.set_uri(uri).unwrap();
        request.headers_mut().insert("x-amz-target", "DynamoDB_20120810.GetItem");
        Connector::new().call(request).await
    }

    #[tokio::test]
    async fn request_and_response_pass_through_unchanged() {
        let routes = Router::new().route(
            "/",
            post(|headers: HeaderMap, body: String| async move {
                let target = headers["x-amz-target"].to_str().unwrap().to_owned();
                (StatusCode::BAD_REQUEST, [("x-amz-crc32", "7")], format!("{target} {body}"))
            }),
        );
        let answer = send(serve(routes).await, "{}").await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("x-amz-crc32")), (400, Some("7")));
        assert_eq!(answer.body().bytes(), Some(&b"DynamoDB_20120810.GetItem {}"[..]));
    }

    #[tokio::test]
    async fn a_signed_request_follows_no_redirect() {
        let routes = Router::new().route("/", get(|| async { Redirect::temporary("/elsewhere") }));
        assert_eq!(send(serve(routes).await, "").await.unwrap().status().as_u16(), 307);
    }

    #[tokio::test]
    async fn a_refused_connection_is_a_retryable_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(send(address, "").await.unwrap_err().is_io());
    }

    #[test]
    fn endpoint_variables_are_named_as_for_the_aws_cli() {
        let key =
            ServiceConfigKey::builder().service_id("Secrets Manager").env("AWS_ENDPOINT_URL").profile("endpoint_url");
        assert_eq!(service_variable(&key.build().unwrap()), "AWS_ENDPOINT_URL_SECRETS_MANAGER");
    }
}
