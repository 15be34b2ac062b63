//! Measures the zipped size and the number of crates of each function, and whether they have grown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Deserialize;

use crate::functions::{Functions, ROOT};

#[derive(Args)]
pub(crate) struct Options {
    /// Fail if a function exceeds its budget by more than a tenth.
    #[arg(long)]
    check: bool,
}

/// The budget of a function.
#[derive(Deserialize)]
struct Allowance {
    /// Zipped, in bytes.
    zipped: usize,
    /// The crates from which it is built.
    crates: usize,
}

const BUDGET: &str = include_str!("../budget.toml");

pub(crate) fn measure(functions: &Functions, options: &Options) -> anyhow::Result<()> {
    let budget: BTreeMap<String, Allowance> = toml::from_str(BUDGET)?;
    let mut grown = Vec::new();
    println!("{:<10} {:>15} {:>15} {:>8} {:>8}", "function", "zipped, bytes", "budget", "crates", "budget");
    for (function, allowed) in &budget {
        let found = Allowance { zipped: zipped(&functions.binary(function)?)?, crates: crates(function)? };
        println!(
            "{function:<10} {:>15} {:>15} {:>8} {:>8}",
            found.zipped, allowed.zipped, found.crates, allowed.crates
        );
        for (what, found, allowed) in
            [("bytes", found.zipped, allowed.zipped), ("crates", found.crates, allowed.crates)]
        {
            if exceeds(found, allowed) {
                grown.push(format!("{function} has {found} {what}, more than a tenth above {allowed}"));
            }
        }
    }
    ensure!(
        !options.check || grown.is_empty(),
        "{}: take back what made it grow, or raise tests/bench/budget.toml and say why",
        grown.join("; ")
    );
    Ok(())
}

/// Whether `found` exceeds the budget by more than a tenth.
fn exceeds(found: usize, allowed: usize) -> bool {
    found * 10 > allowed * 11
}

/// The size of a binary in a deployment package, in bytes.
pub(crate) fn zipped(binary: &Path) -> anyhow::Result<usize> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&fs::read(binary).with_context(|| format!("{} can't be read", binary.display()))?)?;
    Ok(packed.finish()?.len())
}

/// The number of crates from which a function is built.
fn crates(function: &str) -> anyhow::Result<usize> {
    let arguments = ["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--package"];
    let tree = Command::new(env!("CARGO")).args(arguments).arg(function).current_dir(ROOT).output()?;
    ensure!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout)?;
    Ok(lines.lines().map(|line| line.trim_end_matches(" (*)")).collect::<BTreeSet<_>>().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_tenth_over_the_budget_is_too_much() {
        assert!(!exceeds(90, 100) && !exceeds(110, 100) && exceeds(111, 100));
    }

    #[test]
    fn every_function_has_a_budget_and_keeps_its_crates_within_it() {
        let budget: BTreeMap<String, Allowance> = toml::from_str(BUDGET).unwrap();
        assert_eq!(budget.keys().collect::<Vec<_>>(), ["enrol", "oauth", "scheduler", "worker"]);
        for (function, allowed) in budget {
            let found = crates(&function).unwrap();
            assert!(found > 50 && !exceeds(found, allowed.crates), "{function} has {found} crates");
        }
    }

    #[test]
    fn repeated_bytes_are_compressed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [7; 10_000]).unwrap();
        assert!((1..100).contains(&zipped(file.path()).unwrap()));
    }
}
