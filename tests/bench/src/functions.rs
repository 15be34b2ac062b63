//! The binaries that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A folder with the release binaries.
pub(crate) struct Functions(pub(crate) PathBuf);

impl Functions {
    /// Builds them: the functions with the features that `sam build` gives them, and the hello-world.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let build = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO"));
            command.args(["build", "--release", "--quiet"]).args(arguments).current_dir(ROOT);
            let status = command.status().context("cargo can't be run")?;
            ensure!(status.success(), "the functions can't be built");
            Ok(())
        };
        build(&["--bin", "scheduler", "--bin", "worker", "--bin", "oauth", "--bin", "enrol"])?;
        build(&["--package", "hello"])?;
        // Cargo puts what has the profile of benchmarks, as this program has, beside what has the release profile.
        let here = std::env::current_exe()?;
        Ok(Self(here.parent().context("this program is in no folder")?.to_owned()))
    }

    /// The binary of one function, as cargo or as `sam build` leaves it.
    pub(crate) fn binary(&self, function: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(function);
        let found = [path.join("bootstrap"), path].into_iter().find(|path| Path::is_file(path));
        found.with_context(|| format!("{function} is not in {}", self.0.display()))
    }
}
