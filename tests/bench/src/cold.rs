//! Measures the time from exec to the first event, and the first event compared with a later one. It measures processor
//! time, because a smaller share of a processor lengthens exactly that.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::functions::Functions;
use crate::lambda::Function;
use crate::size;
use crate::world::{Manner, World};

/// How often each function is started; the medians are printed.
const RUNS: usize = 9;

/// The share of a processor for 256 MB: 1,769 MB have a whole one (AWS's *Configure Lambda function memory*).
const SHARE: f64 = 256.0 / 1769.0;

/// The most processor time of INIT, as a multiple of the hello-world's.
const TARGET_INIT: f64 = 2.0;

/// The most processor time that the first event takes beyond a later one.
const TARGET_FIRST: Duration = Duration::from_millis(10);

/// The most memory, in bytes.
const TARGET_MEMORY: u64 = 20_000_000;

/// The largest zipped function, in bytes.
const TARGET_ZIPPED: usize = 4_000_000;

/// One run of a process.
struct Life {
    init: Duration,
    first: Duration,
    later: Duration,
    /// Elapsed time with [`SHARE`] of a processor, if this machine can limit it.
    first_limited: Option<Duration>,
    memory: u64,
}

pub(crate) async fn measure(functions: &Functions) -> anyhow::Result<()> {
    let world = World::of(1, Manner::PROMPT).await?;
    println!("medians of {RUNS} processes; CPU in milliseconds, all threads; targets in brackets\n");
    println!(
        "{:<10} {:>9} {:>9} {:>11} {:>9} {:>20} {:>12} {:>10}",
        "function", "INIT", "x hello", "first event", "later", "first on 256 MB, ms", "memory, MB", "zipped, MB"
    );
    let mut hello = Duration::ZERO;
    for (name, event) in events() {
        let binary = functions.binary(name)?;
        let life = lives(&world, &binary, &event).await?;
        if name == "hello" {
            hello = life.init;
        }
        let zipped = size::zipped(&binary)?;
        println!(
            "{name:<10} {:>9.1} {:>9.2} {:>11.1} {:>9.1} {:>20} {:>12.1} {:>10.2}",
            milliseconds(life.init),
            life.init.as_secs_f64() / hello.as_secs_f64(),
            milliseconds(life.first),
            milliseconds(life.later),
            life.first_limited.map_or("not to be had".to_owned(), |wall| format!("{:.0}", milliseconds(wall))),
            life.memory as f64 / 1e6,
            zipped as f64 / 1e6,
        );
    }
    println!(
        "\ntargets: INIT {TARGET_INIT} x hello, first event {:.0} ms beyond a later one, memory {} MB, zipped {} MB",
        milliseconds(TARGET_FIRST),
        TARGET_MEMORY / 1_000_000,
        TARGET_ZIPPED / 1_000_000,
    );
    Ok(())
}

/// Each function with a typical event.
fn events() -> [(&'static str, Value); 5] {
    let page = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/connect", "rawQueryString": "athlete=uuid-2001",
        "headers": { "host": "connect.example.org" }, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "0", "apiId": "0", "domainName": "connect.example.org", "domainPrefix": "connect",
            "http": { "method": "GET", "path": "/connect", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench" },
            "requestId": "0", "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64,
        },
    });
    [
        ("hello", json!({})),
        ("scheduler", json!({})),
        ("worker", World::syncs(World::athletes(1))),
        ("oauth", page),
        ("enrol", json!({})),
    ]
}

/// The medians of several runs.
async fn lives(world: &World, binary: &Path, event: &Value) -> anyhow::Result<Life> {
    let mut lives = Vec::new();
    for _ in 0..RUNS {
        let mut function = Function::start(binary, &world.variables()).await?;
        let (first, _) = function.invoke(event).await?;
        let (later, _) = function.invoke(event).await?;
        let memory = function.peak_memory()?;
        let init = function.start.cpu;
        drop(function);
        let mut slow = Function::start(binary, &world.variables()).await?;
        let first_limited = if slow.limit(SHARE) { Some(slow.invoke(event).await?.0.wall) } else { None };
        lives.push(Life { init, first: first.cpu, later: later.cpu, first_limited, memory });
    }
    let median = |value: fn(&Life) -> Duration| {
        let mut values: Vec<_> = lives.iter().map(value).collect();
        values.sort_unstable();
        values.get(RUNS / 2).copied().unwrap_or_default()
    };
    Ok(Life {
        init: median(|life| life.init),
        first: median(|life| life.first),
        later: median(|life| life.later),
        first_limited: lives
            .iter()
            .all(|life| life.first_limited.is_some())
            .then(|| median(|life| life.first_limited.unwrap_or_default())),
        memory: lives.iter().map(|life| life.memory).max().unwrap_or_default(),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
