//! The embedded DynamoDB: persistence, and which requests it refuses.

#![expect(clippy::unwrap_used, reason = "the lints know test functions, but not what those share")]

use std::io::{Read, Write};
use std::net::TcpStream;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use dynamo::{Dynamo, StartError};

async fn create(client: &Client) {
    let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    client
        .create_table()
        .table_name("things")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
        .send()
        .await
        .unwrap();
}

async fn tables(client: &Client) -> Vec<String> {
    client.list_tables().send().await.unwrap().table_names().to_vec()
}

mod databases {
    use super::*;

    #[tokio::test]
    async fn a_file_keeps_what_was_written_and_can_be_reopened_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.sqlite");
        let key = AttributeValue::S("one".to_owned());

        let first = Dynamo::at(&file).await.unwrap();
        let client = first.client();
        create(&client).await;
        client.put_item().table_name("things").item("pk", key.clone()).send().await.unwrap();
        drop(first);

        let second = Dynamo::at(&file).await.unwrap();
        let found = second.client().get_item().table_name("things").key("pk", key.clone()).send().await.unwrap();
        assert_eq!(found.item().and_then(|item| item.get("pk")), Some(&key));
    }

    #[tokio::test]
    async fn two_databases_in_memory_share_nothing() {
        let (one, two) = (Dynamo::in_memory().await.unwrap(), Dynamo::in_memory().await.unwrap());
        create(&one.client()).await;
        assert_eq!(tables(&one.client()).await, ["things"]);
        assert!(tables(&two.client()).await.is_empty());
    }

    #[tokio::test]
    async fn a_client_within_the_process_and_one_over_http_see_the_same() {
        let dynamo = Dynamo::in_memory().await.unwrap();
        create(&dynamo.client()).await;
        let endpoint = dynamo.endpoint().await.unwrap();
        assert_eq!(tables(&dynamo::client_at(&endpoint)).await, ["things"]);
        assert_eq!(dynamo.endpoint().await.unwrap(), endpoint, "one server, however often it is asked for");
    }

    #[tokio::test]
    async fn a_failed_condition_returns_the_error_of_dynamodb() {
        let dynamo = Dynamo::in_memory().await.unwrap();
        create(&dynamo.client()).await;
        for client in [dynamo.client(), dynamo::client_at(&dynamo.endpoint().await.unwrap())] {
            let request = client.put_item().table_name("things").item("pk", AttributeValue::S("one".to_owned()));
            let error = request.condition_expression("attribute_exists(pk)").send().await.unwrap_err();
            assert!(error.into_service_error().is_conditional_check_failed_exception());
        }
    }

    #[tokio::test]
    async fn a_client_of_one_that_was_dropped_fails() {
        let dynamo = Dynamo::in_memory().await.unwrap();
        let client = dynamo.client();
        drop(dynamo);
        assert!(client.list_tables().send().await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let error = Dynamo::at(folder.path()).await.unwrap_err();
        assert!(matches!(error, StartError::Open(_)), "{error}");
    }
}

/// Another user of the machine, or a web page that finds the port, sends requests as the AWS SDK does. The server
/// checks no signature, so if it answered them it would disclose every grant and record.
mod strangers {
    use reqwest::header::{HeaderMap, HeaderValue};
    use reqwest::{Method, Url};

    use super::*;

    /// A database with one table, which an unauthorised client must not learn about.
    async fn served() -> (Dynamo, Url) {
        let dynamo = Dynamo::in_memory().await.unwrap();
        create(&dynamo.client()).await;
        let endpoint = dynamo.endpoint().await.unwrap().parse().unwrap();
        (dynamo, endpoint)
    }

    /// Sends the SDK's request to list the tables, with these additional headers.
    async fn list(method: Method, url: Url, more: &[(&'static str, &'static str)]) -> (u16, HeaderMap, String) {
        let signature = "AWS4-HMAC-SHA256 Credential=local/20260303/local/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date;x-amz-target, Signature=00";
        let usual = [
            ("x-amz-target", "DynamoDB_20120810.ListTables"),
            ("x-amz-date", "20260303T083000Z"),
            ("content-type", "application/x-amz-json-1.0"),
            ("authorization", signature),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in usual.iter().chain(more) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let request = reqwest::Client::new().request(method, url).headers(headers).body("{}");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
    }

    /// Asserts that the request was refused, and that the response neither discloses data nor has CORS headers.
    fn refused(answer: &(u16, HeaderMap, String)) {
        let (status, headers, body) = answer;
        assert_eq!((*status, body.as_str()), (403, ""));
        assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{headers:?}");
    }

    #[tokio::test]
    async fn a_request_without_the_secret_path_is_refused() {
        let (_dynamo, endpoint) = served().await;
        let secret = endpoint.path().to_owned();
        let (most, last) = secret.split_at(secret.len() - 1);
        let nearly = format!("{most}{}", if last == "0" { "1" } else { "0" });
        for path in ["/", "", &"/0".repeat(32), most, &nearly, &format!("{secret}/more"), &format!("/x{secret}")] {
            let mut url = endpoint.clone();
            url.set_path(path);
            refused(&list(Method::POST, url, &[]).await);
        }
        let mut url = endpoint.clone();
        url.set_path("/");
        url.set_query(Some(&secret));
        refused(&list(Method::POST, url, &[]).await);
    }

    #[tokio::test]
    async fn web_page_is_refused_even_with_the_secret_path() {
        let (_dynamo, endpoint) = served().await;
        for origin in ["https://evil.example.org", "http://127.0.0.1", "null", ""] {
            refused(&list(Method::POST, endpoint.clone(), &[("origin", origin)]).await);
            let mut url = endpoint.clone();
            url.set_path("/");
            refused(&list(Method::POST, url, &[("origin", origin)]).await);
        }
    }

    #[tokio::test]
    async fn a_browsers_preflight_is_refused() {
        let (_dynamo, endpoint) = served().await;
        let preflight = [
            ("origin", "https://evil.example.org"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,x-amz-target"),
        ];
        for path in ["/", endpoint.path()] {
            let mut url = endpoint.clone();
            url.set_path(path);
            refused(&list(Method::OPTIONS, url, &preflight).await);
        }
    }

    #[tokio::test]
    async fn other_methods_are_refused() {
        let (_dynamo, endpoint) = served().await;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            refused(&list(method, endpoint.clone(), &[]).await);
        }
    }

    #[tokio::test]
    async fn the_same_request_with_the_secret_path_is_answered() {
        let (_dynamo, endpoint) = served().await;
        let (status, headers, body) = list(Method::POST, endpoint, &[]).await;
        assert_eq!((status, body.as_str()), (200, r#"{"TableNames":["things"]}"#));
        assert!(!headers.contains_key("access-control-allow-origin"));
    }

    #[tokio::test]
    async fn two_servers_have_different_secrets() {
        let ((_one, one), (_two, two)) = (served().await, served().await);
        assert_ne!(one.path(), two.path());
        assert_eq!(one.path().len(), 1 + 64);
    }

    #[tokio::test]
    async fn the_secret_is_not_in_the_debug_output() {
        let (dynamo, endpoint) = served().await;
        assert!(!format!("{dynamo:?}").contains(endpoint.path().trim_matches('/')));
    }
}

#[tokio::test]
async fn dropping_it_closes_the_connections() {
    let dynamo = Dynamo::in_memory().await.unwrap();
    let endpoint = dynamo.endpoint().await.unwrap();
    let (address, path) = endpoint.trim_start_matches("http://").split_once('/').unwrap();
    // A client that has sent half a request and will never send the rest must not keep it alive.
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(format!("POST /{path} HTTP/1.1\r\nContent-Length: 10\r\n\r\n{{").as_bytes()).unwrap();
    drop(dynamo);
    // The end of the stream or a reset; with the server still there this would wait for ever.
    assert!(matches!(half.read(&mut [0]), Ok(0) | Err(_)));
}
