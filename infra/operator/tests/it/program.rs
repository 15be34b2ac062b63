//! The program in its own process, without the environment of the user who runs the tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A way to start it.
pub(crate) struct Program {
    variables: Vec<(String, String)>,
    home: TempDir,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        // Disable the metadata service, which a virtual machine that runs the tests may have.
        let variables = vec![("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())];
        Self { variables, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, variable: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self
    }

    /// A temporary folder, the program’s home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The command, ready to start. Its standard input is empty and no terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connector"));
        command.args(arguments).env_clear().env("HOME", self.home()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, while the fake services keep answering.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.fed(arguments, "").await
    }

    /// The same, with something on standard input.
    pub(crate) async fn fed(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // A program that does not read its input may end before the write.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The one sentence that the failure printed.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let sentence = self.stderr.strip_suffix('\n').unwrap();
        assert!(sentence.starts_with("connector: ") && !sentence.contains('\n'), "{self:?}");
        for noise in ["panicked", "backtrace", "Error {", "Some(", "SdkError", "dispatch failure"] {
            assert!(!sentence.contains(noise), "{self:?}");
        }
        for part in parts {
            assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
        }
    }
}
