//! How large each function is, and of how many crates it is made; and whether that has grown.

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
    /// Fail if one has grown by more than a tenth over the budget.
    #[arg(long)]
    check: bool,
}

/// What a function may be.
#[derive(Deserialize)]
struct Allowance {
    /// Zipped, in bytes.
    zipped: usize,
    /// The crates it is built from.
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

/// By more than a tenth.
fn exceeds(found: usize, allowed: usize) -> bool {
    found * 10 > allowed * 11
}

/// The bytes of a binary as a deployment package holds it.
pub(crate) fn zipped(binary: &Path) -> anyhow::Result<usize> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&fs::read(binary).with_context(|| format!("{} can't be read", binary.display()))?)?;
    Ok(packed.finish()?.len())
}

/// The crates that a function is built from.
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
    fn a_tenth_is_forgiven_and_no_more() {
        assert!(!exceeds(90, 100) && !exceeds(110, 100) && exceeds(111, 100));
    }

    #[test]
    fn the_budget_names_every_function_and_what_cargo_says_of_it_fits() {
        let budget: BTreeMap<String, Allowance> = toml::from_str(BUDGET).unwrap();
        assert_eq!(budget.keys().collect::<Vec<_>>(), ["enrol", "oauth", "scheduler", "worker"]);
        for (function, allowed) in budget {
            let found = crates(&function).unwrap();
            assert!(found > 50 && !exceeds(found, allowed.crates), "{function} has {found} crates");
        }
    }

    #[test]
    fn what_repeats_packs_well() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [7; 10_000]).unwrap();
        assert!((1..100).contains(&zipped(file.path()).unwrap()));
    }
}
