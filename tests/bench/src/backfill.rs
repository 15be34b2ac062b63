//! Measures backfills: five years of one athlete, and a month of many athletes at once.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use connector::queue::message::Job;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::functions::Functions;
use crate::gateway::Offer;
use crate::lambda::{Effort, Function};
use crate::world::{Manner, World};

/// How long Oura and Smartabase take to answer.
const DELAY: Duration = Duration::from_millis(50);

/// The most messages in one batch (the template's `BatchSize`).
const BATCH: usize = connector::schedule::plan::BURST as usize;

/// The requests that Oura allows in five minutes.
const ALLOWANCE: u32 = connector::schedule::plan::ALLOWANCE;

pub(crate) async fn measure(functions: &Functions) -> anyhow::Result<()> {
    println!("one worker, each service answering after {DELAY:?}; what is left over goes round as in the queue\n");
    for (athletes, days) in [(1, 5 * 365), (500, 30)] {
        let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let since = today.checked_sub(days.days())?;
        let manner = Manner { offer: Offer::Http1, delay: DELAY, queue_delay: Duration::ZERO };
        let world = World::living_since(athletes, since, manner).await?;
        let mut worker = Function::start(&functions.binary("worker")?, &world.variables()).await?;
        let _ = (world.oura.take(), world.smartabase.take(), world.table.take(), world.services.take());

        let job = |athlete| Job::Backfill { athlete, from: since, to: today, put_off: 0 }.to_message();
        let mut waiting: VecDeque<_> = World::athletes(athletes).map(job).collect();
        let (mut invocations, mut again, mut sum) = (0, 0, Effort::default());
        while !waiting.is_empty() {
            let batch: Vec<_> = waiting.drain(..waiting.len().min(BATCH)).collect();
            let (effort, answer) = worker.invoke(&World::messages(batch.iter().cloned())).await?;
            sum = Effort { wall: sum.wall + effort.wall, cpu: sum.cpu + effort.cpu };
            invocations += 1;
            for failure in answer.get("batchItemFailures").and_then(Value::as_array).into_iter().flatten() {
                let position = failure
                    .get("itemIdentifier")
                    .and_then(Value::as_str)
                    .and_then(|id| id.rsplit('-').next()?.parse::<usize>().ok());
                waiting.push_back(position.and_then(|position| batch.get(position)).context("whose message?")?.clone());
                again += 1;
            }
            waiting.extend(world.services.take().bodies);
        }
        let (oura, smartabase, table) = (world.oura.take(), world.smartabase.take(), world.table.take());
        let user = |number: i64| {
            world.stage.smartabase.events_of(number, e2e::NIGHTS).len()
                + world.stage.smartabase.events_of(number, e2e::DAYS).len()
        };
        let records: usize = (2001..2001 + athletes).map(user).sum();
        println!("{days} days of {athletes}: {records} records");
        println!(
            "    {:.1} s in {invocations} invocations ({again} messages came back), {:.2} ms of CPU a record, {:.1} MB",
            sum.wall.as_secs_f64(),
            sum.cpu.as_secs_f64() * 1e3 / records as f64,
            worker.peak_memory()? as f64 / 1e6,
        );
        println!(
            "    {} requests to Oura ({ALLOWANCE} are allowed in five minutes, ticks plan half of them), {} to Smartabase, {} to the table",
            oura.requests, smartabase.requests, table.requests
        );
    }
    Ok(())
}
