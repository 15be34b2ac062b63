//! A pilot's file. Commands may use it while `serve` runs: both processes open the same database, and leases and fences
//! protect them from each other as they protect two functions.

use std::path::{Path, PathBuf};

use dynamo::Dynamo;
use secrecy::SecretString;

use crate::failure::Failure;

/// The open file of a pilot.
#[derive(Debug)]
pub(crate) struct Local {
    path: PathBuf,
    pub(crate) dynamo: Dynamo,
}

/// The name of the table in the file, as the local process creates it.
pub(crate) const TABLE: &str = "connector";

/// The version of the root key, as the local process names it.
pub(crate) const KEY: &str = "local";

impl Local {
    /// Opens an existing file. It creates none.
    pub(crate) async fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        if !path.is_file() {
            return Err(Failure::Usage(format!(
                "there is no file {shown}: give --local the file that `serve --table` was given"
            )));
        }
        let damaged = || Failure::Usage(format!("{shown} is not the file of a pilot: check --local"));
        let dynamo = Dynamo::at(path).await.map_err(|_| damaged())?;
        let tables = dynamo.client().list_tables().send().await.map_err(|_| damaged())?;
        if !tables.table_names().iter().any(|name| name == TABLE) {
            return Err(damaged());
        }
        Ok(Self { path: path.to_owned(), dynamo })
    }

    /// The name of the file.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Reads the root key, which the local process stores beside the file.
    pub(crate) fn key(&self) -> Result<SecretString, Failure> {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".key");
        let path = PathBuf::from(path);
        match std::fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned().into()),
            Ok(_) => Err(Failure::Failed(format!("{} is empty: restore it from your backup", path.display()))),
            Err(error) => Err(Failure::Failed(format!(
                "{} can’t be read ({}): it is made by `serve`; restore it from your backup",
                path.display(),
                error.kind()
            ))),
        }
    }
}
