//! Prints the bill: `cargo bench-cost`.

use std::io::Write;

use clap::Parser;
use cost::{Counts, Payer, Prices, Site, bill};

/// The most that 1,000 athletes may cost a month if nothing changes, without the lines of the installation.
const TARGET: f64 = 1.50;

/// Calculates what an installation costs a month on AWS: list prices times counts.
#[derive(Parser)]
struct Arguments {
    /// How many athletes are connected.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    athletes: u32,
}

fn main() -> anyhow::Result<()> {
    let Arguments { athletes } = Arguments::parse();
    let (prices, counts) = (Prices::listed()?, Counts::held()?);
    let deployed = counts.template.worker_mb;
    let site = Site { athletes, worker_mb: deployed };
    let due = bill(&prices, &counts, site);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{athletes} athletes every {} minutes, worker of {deployed} MB; list prices of {}, {}, without free tiers.\n",
        counts.template.period_minutes, prices.region, prices.as_of
    )?;
    writeln!(out, "{due}\n")?;
    let of_a_thousand = |dollars: f64| dollars * 1000.0 / f64::from(athletes);
    let (ticks, changes) = (of_a_thousand(due.dollars(Payer::Ticks)), of_a_thousand(due.dollars(Payer::Changes)));
    writeln!(out, "For 1,000 athletes: {ticks:.2} + {changes:.2} = {:.2}; aimed at {TARGET:.2}.", ticks + changes)?;
    for worker_mb in [256.0, 512.0] {
        let total = bill(&prices, &counts, Site { worker_mb, ..site }).total();
        let which = if worker_mb.total_cmp(&deployed).is_eq() { ", as the template has it" } else { "" };
        writeln!(out, "With a worker of {worker_mb} MB: {total:.2} in all{which}.")?;
    }
    Ok(())
}
