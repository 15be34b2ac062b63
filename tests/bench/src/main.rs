//! Measures what the product costs, on the functions as they are deployed.
//!
//! Each subcommand builds the release binaries and runs them under a stand-in for Lambda ([`lambda`]). They use the
//! simulated services, the embedded table, and stand-ins for SQS and Secrets Manager ([`world`]), all behind TLS
//! ([`gateway`]). A subcommand prints counts, ratios measured in one run, and the targets beside them. It never fails
//! because a machine is slow.
//!
//! ```text
//! cargo bench-cold          # CPU and memory from exec to the first event, beside a hello-world
//! cargo bench-throughput    # 1,000 athletes in one worker process on one core, beside the same in Python
//! cargo bench-fanout        # a tick of 1,000, 10,000 and 100,000 athletes
//! cargo bench-backfill      # five years of one athlete, a month of 500
//! cargo bench-size          # zipped size and dependencies against the budget
//! ```
#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people to read: no count here comes near the precision of a double"
)]

mod backfill;
mod baseline;
mod cold;
mod fanout;
mod functions;
mod gateway;
mod lambda;
mod process;
mod services;
mod size;
mod throughput;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use functions::Functions;

#[derive(Parser)]
#[command(about = "Measures the deployed functions")]
struct Options {
    /// Measure the binaries in this folder, as cargo or `sam build` leave them, instead of building them.
    #[arg(long, global = true)]
    functions: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From exec to the first event, and the first event compared with a later one.
    Cold,
    /// 1,000 athletes in one process: without changes, and with changes for a fifth of them.
    Throughput(throughput::Options),
    /// One tick of many athletes.
    Fanout(fanout::Options),
    /// Five years of one athlete, and a month of 500.
    Backfill,
    /// Zipped size and dependencies of each function.
    Size(size::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { functions, what } = Options::parse();
    let functions = functions.map_or_else(Functions::build, |folder| Ok(Functions(folder)))?;
    match what {
        What::Cold => cold::measure(&functions).await,
        What::Throughput(options) => throughput::measure(&functions, options).await,
        What::Fanout(options) => fanout::measure(&functions, options).await,
        What::Backfill => backfill::measure(&functions).await,
        What::Size(options) => size::measure(&functions, &options),
    }
}
