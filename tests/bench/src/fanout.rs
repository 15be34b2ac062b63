//! Measures one tick of many athletes.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::functions::Functions;
use crate::lambda::Function;
use crate::world::{Manner, World};

#[derive(Args)]
pub(crate) struct Options {
    /// How many athletes; several values for several measurements.
    #[arg(long, default_values_t = [1_000, 10_000, 100_000])]
    athletes: Vec<usize>,
}

/// How long the queue takes to answer a call.
const QUEUE: Duration = Duration::from_millis(10);

/// Oura's budget: the requests that a plan may start in five minutes, of 5,000 allowed.
const BUDGET: usize = 2_500;

const WINDOW: u64 = 300;

pub(crate) async fn measure(functions: &Functions, options: Options) -> anyhow::Result<()> {
    println!("the scheduler against the embedded table and a queue that takes {QUEUE:?}\n");
    println!(
        "{:>9} {:>8} {:>9} {:>11} {:>12} {:>11} {:>7} {:>8} {:>12} {:>14}",
        "athletes",
        "wall, s",
        "CPU, ms",
        "memory, MB",
        "table reads",
        "MB read",
        "jobs",
        "calls",
        "last delay",
        "worst 5 min"
    );
    for athletes in options.athletes {
        let world = World::of(1, Manner { queue_delay: QUEUE, ..Manner::PROMPT }).await?;
        populate(&world, athletes).await?;
        let mut scheduler = Function::start(&functions.binary("scheduler")?, &world.variables()).await?;
        let _ = (world.services.take(), world.table.take());
        let (effort, _) = scheduler.invoke(&json!({})).await?;
        let (queue, table) = (world.services.take(), world.table.take());
        println!(
            "{athletes:>9} {:>8.2} {:>9.0} {:>11.1} {:>12} {:>11.2} {:>7} {:>8} {:>10} s {:>5} of {BUDGET}",
            effort.wall.as_secs_f64(),
            effort.cpu.as_secs_f64() * 1e3,
            scheduler.peak_memory()? as f64 / 1e6,
            table.requests,
            table.received as f64 / 1e6,
            queue.bodies.len(),
            queue.calls,
            queue.delays.iter().max().copied().unwrap_or_default(),
            worst(&queue.delays) * 4,
        );
    }
    println!("\ntargets: 100,000 athletes within 60 s and 64 MB; what Oura’s budget does not allow waits for its turn");
    Ok(())
}

/// The most jobs that start within any five minutes.
fn worst(delays: &[u64]) -> usize {
    let within = |start: &u64| delays.iter().filter(|delay| (*start..start + WINDOW).contains(*delay)).count();
    let mut starts: Vec<_> = delays.to_vec();
    starts.sort_unstable();
    starts.dedup();
    starts.iter().map(within).max().unwrap_or_default()
}

/// Copies the one existing connection until there are `athletes` of them.
async fn populate(world: &World, athletes: usize) -> anyhow::Result<()> {
    let client = world.stage.dynamo.client();
    let text = |text: String| AttributeValue::S(text);
    let model = client.get_item().table_name("connector").key("pk", text("ATHLETE#uuid-2001".to_owned()));
    let model = model.key("sk", text("CONNECTION".to_owned())).send().await?;
    let model = model.item.context("nobody is connected")?;
    let shards = 4;
    let copies = (1..athletes).map(|number| {
        let athlete = format!("copy-{number:06}");
        let mut item = model.clone();
        item.insert("pk".to_owned(), text(format!("ATHLETE#{athlete}")));
        item.insert("athlete".to_owned(), text(athlete));
        item.insert("active_shard".to_owned(), text(format!("{}", number % shards)));
        item
    });
    let requests: Vec<_> = copies
        .filter_map(|item| PutRequest::builder().set_item(Some(item)).build().ok())
        .map(|put| WriteRequest::builder().put_request(put).build())
        .collect();
    stream::iter(requests.chunks(25))
        .map(|chunk| client.batch_write_item().request_items("connector", chunk.to_vec()).send())
        .buffer_unordered(4)
        .try_for_each(async |_| Ok(()))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_five_minutes_can_begin_with_any_job() {
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[0, 299, 300, 301, 599]), 3);
    }
}
