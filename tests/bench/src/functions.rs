//! The binaries that are measured.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A folder with the release binaries.
pub(crate) struct Functions(pub(crate) PathBuf);

impl Functions {
    /// Builds the functions with the features that `sam build` uses, and the hello-world.
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
        // Cargo puts binaries of the bench profile, such as this program, in the same folder as those of the release
        // profile.
        let here = std::env::current_exe()?;
        Ok(Self(here.parent().context("this program is in no folder")?.to_owned()))
    }

    /// The binary of one function, as cargo names it (`worker`) or as `sam build` does (`WorkerFunction/bootstrap`).
    pub(crate) fn binary(&self, function: &str) -> anyhow::Result<PathBuf> {
        let built = self.0.join(function);
        if built.is_file() {
            return Ok(built);
        }
        let resource = format!("{function}Function");
        let entries = fs::read_dir(&self.0).with_context(|| format!("{} can't be read", self.0.display()))?;
        let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().eq_ignore_ascii_case(&resource);
        let folder = entries.flatten().find(named).map(|entry| entry.path().join("bootstrap"));
        folder.filter(|path| path.is_file()).with_context(|| format!("{function} is not in {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_found_under_the_names_of_cargo_and_sam() {
        let folder = tempfile::tempdir().unwrap();
        let functions = Functions(folder.path().to_owned());
        assert!(functions.binary("oauth").is_err());
        let sam = folder.path().join("OAuthFunction");
        fs::create_dir(&sam).unwrap();
        fs::write(sam.join("bootstrap"), "").unwrap();
        assert_eq!(functions.binary("oauth").unwrap(), sam.join("bootstrap"));
        let cargo = folder.path().join("oauth");
        fs::write(&cargo, "").unwrap();
        assert_eq!(functions.binary("oauth").unwrap(), cargo);
    }
}
