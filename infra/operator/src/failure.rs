//! Why a command failed.

use std::process::ExitCode;

use serde_json::json;
use store::StoreError;

use crate::report::{Ending, print, remark};

/// One sentence for the operator, which says what to do. The variant decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is wrong: correct it.
    #[error("{0}")]
    Usage(String),
    /// The command failed: do what the sentence says, then try again.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn print(&self, json: bool) -> ExitCode {
        if json {
            self.print_json();
        }
        remark(&format!("connector: {self}"));
        match self {
            Self::Usage(_) => Ending::Usage.into(),
            Self::Failed(_) => Ending::Failed.into(),
        }
    }

    /// The kind, for scripts.
    pub(crate) fn print_json(&self) {
        let kind = match self {
            Self::Usage(_) => "usage",
            Self::Failed(_) => "failed",
        };
        print(&format!("{:#}", json!({"error": {"kind": kind, "message": self.to_string()}})));
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let remedy = match &error {
            StoreError::Throttled { .. } | StoreError::Unavailable { .. } | StoreError::TimedOut { .. } => {
                "check the network, and try again in a minute"
            }
            StoreError::Damaged { .. } => "correct or remove that item of the table",
            StoreError::Bug { why, .. } if why.starts_with("ResourceNotFound") => {
                "the table is gone, or not of this installation: check --stack and --region, or --local"
            }
            StoreError::Bug { why, .. } if why.starts_with("AccessDenied") => {
                "sign in as somebody who may read and write the table, for example with --profile"
            }
            StoreError::Bug { .. } => "check that this program and the deployment are of the same release",
        };
        Self::Failed(format!("{error}: {remedy}"))
    }
}
