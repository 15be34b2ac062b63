//! Measures many athletes in one worker process on one core, with services that answer with a delay.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use crate::baseline::Baseline;
use crate::functions::Functions;
use crate::gateway::{Offer, Traffic};
use crate::lambda::{Effort, Function};
use crate::world::{Manner, World};

#[derive(Args)]
pub(crate) struct Options {
    /// How many athletes.
    #[arg(long, default_value_t = 1000)]
    athletes: i64,
    /// How long Oura and Smartabase take to answer, in milliseconds.
    #[arg(long, default_value_t = 50)]
    delay: u64,
}

/// Athletes in flight at once (`CONCURRENCY` of the worker's batch).
const IN_FLIGHT: u32 = 64;

/// Deliveries to Smartabase at once (`shared/connector/src/credential_guard.rs`).
const DELIVERIES: f64 = 4.0;

pub(crate) async fn measure(functions: &Functions, options: Options) -> anyhow::Result<()> {
    let Options { athletes, delay } = options;
    let delay = Duration::from_millis(delay);
    println!("{athletes} athletes in one process on one core, each service answering after {delay:?}\n");
    for offer in [Offer::Http1, Offer::Http2] {
        let world = World::of(athletes, Manner { offer, delay, queue_delay: Duration::ZERO }).await?;
        let mut worker = Function::start(&functions.binary("worker")?, &world.variables()).await?;
        worker.pin(0).await?;
        let everybody = || World::syncs(World::athletes(athletes));
        // A first batch opens the connections.
        worker.invoke(&World::syncs(World::athletes(athletes.min(100)))).await?;
        let few = worker.peak_memory()?;
        let _ = (world.oura.take(), world.smartabase.take(), world.table.take());

        let (effort, _) = worker.invoke(&everybody()).await?;
        report(&format!("{offer:?}, nothing changed"), athletes, delay, effort, &world);
        if offer == Offer::Http1 {
            compare(&world, athletes, effort).await?;
        }

        let today = world.stage.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        for number in (2001..2001 + athletes).step_by(5) {
            let person = format!("p{number}");
            let day = today.saturating_sub(SignedDuration::from_hours(48));
            world.stage.oura.revise_night(&person, day, |night| night["total_sleep_duration"] = 18_000.into());
        }
        let (effort, _) = worker.invoke(&everybody()).await?;
        report(&format!("{offer:?}, a fifth changed"), athletes, delay, effort, &world);
        println!(
            "    memory: {:.1} MB after the first hundred, {:.1} MB at the end\n",
            few as f64 / 1e6,
            worker.peak_memory()? as f64 / 1e6
        );
    }
    Ok(())
}

/// Runs the same round with the baseline, and compares it with the worker.
async fn compare(world: &World, athletes: i64, worker: Effort) -> anyhow::Result<()> {
    let Some(mut baseline) = Baseline::start(world, athletes, IN_FLIGHT, 0).await? else {
        println!("    no baseline to compare with: run tests/bench/baseline/install");
        return Ok(());
    };
    // A warm-up round, so that connections are open and digests are known.
    baseline.round().await?;
    let _ = world.oura.take();
    let (effort, changed) = baseline.round().await?;
    anyhow::ensure!(changed == 0, "nothing changed, but the baseline found something new for {changed} athletes");
    let requests = world.oura.take().requests;
    let cpu = effort.cpu.as_secs_f64();
    println!(
        "    baseline: {:.2} ms CPU an athlete with {requests} requests to Oura, {:.1} times the worker's",
        cpu / athletes as f64 * 1e3,
        cpu / worker.cpu.as_secs_f64()
    );
    Ok(())
}

fn report(what: &str, athletes: i64, delay: Duration, effort: Effort, world: &World) {
    let (oura, smartabase, table) = (world.oura.take(), world.smartabase.take(), world.table.take());
    let athletes = athletes as f64;
    // The limit by latency: the rounds of athletes one after the other, or Smartabase's answers, whichever takes
    // longer.
    let rounds = (athletes / f64::from(IN_FLIGHT)).ceil();
    let ideal = rounds.max(smartabase.requests as f64 / DELIVERIES) * delay.as_secs_f64();
    let (wall, cpu) = (effort.wall.as_secs_f64(), effort.cpu.as_secs_f64());
    let requests = (oura.requests + smartabase.requests + table.requests) as f64;
    println!("{what}");
    println!(
        "    {wall:.2} s, where the latency and the concurrency allowed permit {ideal:.2} s: {:.0} %",
        100.0 * ideal / wall
    );
    println!(
        "    CPU: {:.2} ms an athlete, {:.2} ms a request, {:.0} % of the core",
        cpu / athletes * 1e3,
        cpu / requests * 1e3,
        100.0 * cpu / wall
    );
    for (name, traffic) in [("Oura", oura), ("Smartabase", smartabase), ("table", table)] {
        let Traffic { requests, connections, peak, sent, received } = traffic;
        println!(
            "    {name:<11}{requests:>6} requests, {connections:>4} new connections, {peak:>4} at once, {sent:>8} B out, \
             {received:>9} B in"
        );
    }
}
