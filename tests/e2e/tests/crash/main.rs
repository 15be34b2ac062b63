//! Makes every request of every scenario fail once, in every way. Then time passes, and the state must be as if nothing
//! had failed.
//!
//! Each case has a stage of its own: simulated services, a real table, and wires that count requests and make them
//! fail. A scenario first runs without a failure, which gives the names of its requests. It then runs once for each
//! request and each [`FailureMode`].
//!
//! When a process dies, its tasks are aborted, and a new connector starts on the same table and queue. Its messages
//! become visible again after their visibility timeout. When a request hangs, the test moves the clock of the process
//! on, so no real time passes.
//!
//! Requests to the table fail twice. Once the database client retries, as it does when deployed ("repeated"). Once it
//! does not, as if the retries were used up. A client's retry does not count as a request of its own.
//!
//! ```text
//! cargo test -p e2e --test crash                       # one case in five, of all requests and failure modes: two minutes
//! cargo test -p e2e --test crash -- --all              # every case: ten minutes
//! cargo test -p e2e --test crash -- 'refresh / '       # the cases with this in their name
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case that can't be set up has failed"
)]

mod case;
mod failure_mode;
mod fault_injector;
mod harness;
mod request;
mod scenario;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::{Case, Strike};
use failure_mode::FailureMode;
use request::Target;
use scenario::Scenario;

/// Fewer cases than this mean that the scenarios lost some.
const AT_LEAST: usize = 1_500;

/// Without a filter, one case in this many runs. The number of failure modes is no multiple of it, so that each of them
/// runs.
const ONE_IN: usize = 5;

thread_local! {
    /// The panic message of this thread's case.
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let filter: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let chosen = |name: &str| filter.iter().all(|part| name.contains(part.as_str()));
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(|panic| LAST_WORDS.set(panic.to_string())));
    let began = Instant::now();

    let unharmed: Vec<Case> = Scenario::ALL
        .into_iter()
        .filter(|scenario| {
            let begins = |other: &Scenario| filter.iter().any(|part| part.starts_with(&format!("{} /", other.name())));
            begins(scenario) || !Scenario::ALL.iter().any(begins)
        })
        .map(|scenario| Case { scenario, strike: None })
        .collect();
    let requests = run(&unharmed);
    let mut failures = 0;
    let mut cases = Vec::new();
    for (case, requests) in unharmed.iter().zip(requests) {
        match requests {
            Ok(requests) if filter.iter().any(|part| part.contains("unharmed")) => {
                println!("{case}{}", case::list(&requests));
            }
            Ok(requests) => cases.extend(strikes(case.scenario, &requests).filter(|case| chosen(&case.to_string()))),
            Err(_) => failures += 1,
        }
    }
    let all = std::env::args().any(|argument| argument == "--all");
    if filter.is_empty() && cases.len() < AT_LEAST {
        println!("there should be at least {AT_LEAST} cases, not {}", cases.len());
        return ExitCode::FAILURE;
    }
    if filter.is_empty() && !all {
        cases = cases.into_iter().step_by(ONE_IN).collect();
    }
    let mut counts: BTreeMap<(usize, &str), (usize, usize)> = BTreeMap::new();
    for (case, outcome) in cases.iter().zip(run(&cases)) {
        let position = Scenario::ALL.iter().position(|scenario| *scenario == case.scenario).unwrap();
        let (ran, failed) = counts.entry((position, case.scenario.name())).or_default();
        *ran += 1;
        *failed += usize::from(outcome.is_err());
        failures += usize::from(outcome.is_err());
    }
    for ((_, scenario), (ran, failed)) in &counts {
        println!("{scenario:>16}: {ran:>4} cases, {failed} failed");
    }
    println!(
        "{:>16}: {:>4} cases, {} failed, in {:.0} s",
        "crash",
        cases.len(),
        failures,
        began.elapsed().as_secs_f32()
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every failure mode for every request.
fn strikes(scenario: Scenario, requests: &[Target]) -> impl Iterator<Item = Case> + use<'_> {
    requests.iter().flat_map(move |target| {
        let patience = [false, true];
        let all = patience.into_iter().flat_map(|patient| FailureMode::ALL.into_iter().map(move |way| (patient, way)));
        all.filter(|(patient, way)| !patient || (target.is_write() && way.is_repeated()))
            .map(move |(patient, way)| Case { scenario, strike: Some(Strike { target: target.clone(), way, patient }) })
    })
}

/// Runs cases on all processors. Each has its own thread and runtime, so that the test can move its clock.
fn run(cases: &[Case]) -> Vec<Result<Vec<Target>, String>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Err(String::new()); cases.len()]);
    let workers = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    let Some(case) = cases.get(place) else { return };
                    let outcome = catch_unwind(AssertUnwindSafe(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(case.run())
                    }));
                    let outcome = outcome.map_err(|_| LAST_WORDS.take());
                    if let Err(why) = &outcome {
                        println!("{}", report(case, why));
                    }
                    outcomes.lock().unwrap()[place] = outcome;
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

fn report(case: &Case, why: &str) -> String {
    format!("FAILED {case}\n  {}\n  again: cargo test -p e2e --test crash -- '{case}'\n", why.replace('\n', "\n  "))
}
