//! Plays simulated stories, several at a time. For each story that breaks a promise, prints the shortest story that
//! still breaks it.
//!
//! ```text
//! cargo simulate --seeds 20 --athletes 200 --days 60
//! ```

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Parser;
use e2e::simulation::{Failure, Kind, Scale, Tally, shortest, simulate};

/// Simulates a club over weeks, once per seed.
#[derive(Parser)]
struct Options {
    /// How many seeds to play, beginning with `--seed`.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many athletes take part.
    #[arg(long, default_value_t = 30)]
    athletes: u32,
    /// Only these athletes, by number, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<u32>>,
    /// How many days pass before the faults stop.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// The largest number of ticks per day.
    #[arg(long, default_value_t = 3)]
    ticks: u32,
    /// Only these kinds of event, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    kinds: Option<Vec<Kind>>,
    /// How many stories to play at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Do not look for a shorter story.
    #[arg(long)]
    as_it_is: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = Kind::ALL.map(|kind| kind.to_string()).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.to_string() == name).ok_or_else(|| format!("one of {known}"))
}

impl Options {
    fn scale(&self, seed: u64) -> Scale {
        let mut scale = Scale::full(seed, self.athletes, self.days);
        if let Some(athletes) = &self.only {
            scale.athletes.clone_from(athletes);
        }
        if let Some(kinds) = &self.kinds {
            scale.kinds = kinds.iter().copied().collect();
        }
        scale.ticks = self.ticks;
        scale
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let waiting: Mutex<VecDeque<u64>> = Mutex::new((options.seed..options.seed + options.seeds).collect());
    let failures = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = waiting.lock().map(|mut waiting| waiting.pop_front());
                    let Ok(Some(seed)) = seed else { break };
                    let began = Instant::now();
                    let played = play(&options, seed);
                    let seconds = began.elapsed().as_secs_f64();
                    match played {
                        Ok(tally) => println!("seed {seed}: {seconds:.1} s, {}", told(&tally)),
                        Err(failure) => {
                            println!("seed {seed}: {seconds:.1} s\n{failure}");
                            if let Ok(mut failures) = failures.lock() {
                                *failures += 1;
                            }
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or(u64::MAX);
    println!("{} of {} seeds broke no promise", options.seeds.saturating_sub(failures), options.seeds);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays one story. Each story has its own thread and runtime.
#[expect(clippy::expect_used, reason = "without a runtime there is nothing to play on")]
fn play(options: &Options, seed: u64) -> Result<Tally, Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match simulate(&options.scale(seed)).await {
            Err(failure) if !options.as_it_is => Err(shortest(failure).await),
            ended => ended,
        }
    })
}

fn told(tally: &Tally) -> String {
    let Tally { ticks, jobs, visits, foul, rotations, conditions, reconnects, scenes, events, refreshes, lost } = tally;
    let conditions = conditions.iter().map(|(what, ticks)| format!("{what} at {ticks}")).collect::<Vec<_>>();
    let scenes = scenes.iter().map(|(kind, (fired, drawn))| format!("{fired} {kind} of {drawn}")).collect::<Vec<_>>();
    format!(
        "{ticks} ticks ({foul} foul), {jobs} jobs, {visits} visits, {rotations} rotations, {}, \
         {reconnects} reconnects, {}, {refreshes} refreshes \
         ({lost} lost), {events} events",
        conditions.join(", "),
        scenes.join(", ")
    )
}
