//! `connector console`: the page, and which requests it answers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use reqwest::{Client, Method, StatusCode};
use store::Service;

use crate::aws::{Aws, STACK, keyring};
use crate::pilot::Pilot;
use crate::program::Program;
use crate::squad::{self, ago, soon};

/// A running console. Dropping it ends the process.
struct Console {
    process: Child,
    address: String,
    _program: Program,
}

impl Console {
    async fn start(program: Program, arguments: &[&str]) -> Self {
        let mut command = program.command(arguments);
        let started = tokio::task::spawn_blocking(move || {
            let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut address = String::new();
            BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
            (process, address.trim().to_owned())
        });
        let (process, address) = started.await.unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        Self { process, address, _program: program }
    }

    async fn of(aws: &Aws) -> Self {
        Self::start(aws.program(), &["--stack", STACK, "console"]).await
    }

    async fn page(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.address)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn page_shows_every_athletes_state_and_links_to_each() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    aws.store.set_hold(Service::Smartabase, ago(-1), "wrong password", soon()).await.unwrap();
    aws.queues(|queues| queues.bury("letter", "?", None));
    let console = Console::of(&aws).await;
    let page = console.page("").await;
    for part in [
        "oura-connector",
        // Cyd has to connect again first, so no tick syncs Cyd.
        "Connected</dt><dd class=\"figure\">2</dd><dd class=\"quiet\">of 4 athletes",
        "Synced longest ago</dt><dd class=\"figure bad\">30 h ago</dd><dd class=\"quiet\">Ben Ødegaard",
        "of 7,200 that",
        "Smartabase is on hold until",
        "wrong password",
        "explains them",
        "Ben Ødegaard: ",
        "1 needs to reconnect",
    ] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    // Athletes who need the operator come first.
    let place = |name: &str| page.find(name).unwrap();
    assert!(place("Ben Ødegaard: ") < place("Cyd Ng: ") && place("Cyd Ng: ") < place("Ada Okafor: "));
    let one = console.page("athlete?id=b-2").await;
    assert!(one.contains("does not have the fields Score") && one.contains("connector show b-2"));
    let chosen = console.page("?show=needs_to_reconnect").await;
    assert!(chosen.contains("Cyd Ng: ") && !chosen.contains("Ada Okafor: "));
    let found = console.page("?find=d-4&form=1").await;
    assert!(found.contains("Dee Ndiaye: nothing expected") && !found.contains("Ada Okafor: "));
}

#[tokio::test]
async fn page_is_read_only_and_never_cached() {
    let aws = Aws::start().await;
    let console = Console::of(&aws).await;
    let client = Client::new();
    let answer = client.get(&console.address).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("refresh"), "60");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(!answer.text().await.unwrap().contains("<script"));
    let still = client.get(format!("{}?refresh=off", console.address)).send().await.unwrap();
    assert!(still.headers().get("refresh").is_none());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = client.request(method, &console.address).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn wrong_path_or_host_header_is_refused() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let console = Console::of(&aws).await;
    let (root, key) = console.address.trim_end_matches('/').rsplit_once('/').unwrap();
    let port = root.rsplit_once(':').unwrap().1;
    assert_eq!(key.len(), 32);
    let ask = async |address: String, host: Option<&str>| {
        let request = Client::new().get(address);
        let request = host.into_iter().fold(request, |request, host| request.header("host", host));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    for path in
        ["", "/", "/favicon.ico", "/0123456789abcdef0123456789abcdef/", &format!("/{key}x/"), &format!("/{key}")]
    {
        let (status, page) = ask(format!("{root}{path}"), None).await;
        assert!(status == StatusCode::NOT_FOUND && !page.contains("Ada"), "{path}: {status}");
    }
    for host in ["evil.example.org", &format!("evil.example.org:{port}"), "127.0.0.1", ""] {
        let (status, page) = ask(console.address.clone(), Some(host)).await;
        assert!(status == StatusCode::MISDIRECTED_REQUEST && !page.contains("Ada"), "{host}: {status}");
    }
    let (status, _) = ask(console.address.clone(), Some(&format!("localhost:{port}"))).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(format!("{}athlete?id=nobody", console.address), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn port_in_use_is_named_before_serving() {
    let aws = Aws::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    aws.run(&["console", "--port", &port]).await.refused(2, &["is taken", "--port"]);
}

#[tokio::test]
async fn pilots_table_opens_no_port_beside_the_page() {
    // The embedded table used to be a server that answered every process that found its port.
    let pilot = Pilot::start().await;
    let file = pilot.program.home().join("connector.sqlite");
    let console = Console::start(pilot.program, &["--local", file.to_str().unwrap(), "console"]).await;
    let port = console.address.parse::<url::Url>().unwrap().port().unwrap();
    assert_eq!(sim::listening(console.process.id()).unwrap(), [port]);
}
