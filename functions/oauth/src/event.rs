//! Translates API Gateway's events (HTTP API, payload format 2.0) into HTTP requests, and responses into the form that
//! API Gateway takes.
//!
//! API Gateway passes on what the browser sent, unchecked. A query may contain characters that are not valid in a URI,
//! and a header or body may contain anything. Every event becomes a request. Parts that cannot be read are left out,
//! and the routes handle their absence.
//!
//! Sources: AWS, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use serde_json::{Map, Value, json};

/// The maximum length of a path or query in bytes; the rest is cut. The routes refuse much shorter ones as too large.
const LONGEST: usize = 16 * 1024;

/// Reads the request in an event.
pub(crate) fn request(event: &Value) -> Request<Vec<u8>> {
    let mut request = Request::new(body(event));
    let method = text(event, "/requestContext/http/method").parse();
    // An event without a path or with an invalid method gets a path that matches no route.
    let path = if method.is_ok() { text(event, "/rawPath") } else { "/" };
    *request.method_mut() = method.unwrap_or(Method::GET);
    *request.uri_mut() = uri(path, text(event, "/rawQueryString"));
    let headers = event.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| header(name.parse().ok()?, value));
    let cookies = event.get("cookies").and_then(Value::as_array).into_iter().flatten();
    let cookies = cookies.filter_map(|value| header(COOKIE, value));
    for (name, value) in headers.chain(cookies) {
        request.headers_mut().append(name, value);
    }
    request
}

/// Reads the address of the client, as API Gateway saw it.
pub(crate) fn source(event: &Value) -> Option<IpAddr> {
    text(event, "/requestContext/http/sourceIp").parse().ok()
}

/// Converts a response into API Gateway's form.
pub(crate) fn answer(response: Response<String>) -> Value {
    let (head, body) = response.into_parts();
    let (mut headers, mut cookies) = (Map::new(), Vec::new());
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == SET_COOKIE {
            cookies.push(value);
        } else {
            headers.insert(name.as_str().to_owned(), value.into());
        }
    }
    json!({
        "statusCode": head.status.as_u16(),
        "headers": headers,
        "cookies": cookies,
        "body": body,
        "isBase64Encoded": false,
    })
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn header(name: HeaderName, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_bytes(value.as_str()?.as_bytes()).ok()?))
}

/// Builds the URI. Percent-encodes characters that are not valid in one, which keeps the meaning: the query parser
/// decodes them.
fn uri(path: &str, query: &str) -> Uri {
    let (path, query) = (encoded(path, b"/"), encoded(query, b"/?"));
    let slash = if path.starts_with('/') { "" } else { "/" };
    let uri = if query.is_empty() { format!("{slash}{path}") } else { format!("{slash}{path}?{query}") };
    uri.parse().unwrap_or_default()
}

/// Percent-encodes every character except those of RFC 3986, 3.3, and those in `also`. A percent sign stays, so that
/// text which the browser encoded is not encoded twice.
fn encoded(text: &str, also: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes().take(LONGEST) {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                encoded.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    encoded
}

fn body(event: &Value) -> Vec<u8> {
    let body = text(event, "/body");
    let is_encoded = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    let decoded = is_encoded.then(|| BASE64_STANDARD.decode(body).ok()).flatten();
    decoded.unwrap_or_else(|| body.as_bytes().to_vec())
}
