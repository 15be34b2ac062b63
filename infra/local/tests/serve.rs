//! A pilot as its operator starts it: the ports it opens, and who can read the files it writes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints know test functions, but not what those share")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use local::{Cast, Stage};
use tempfile::TempDir;

/// A running `serve`, against simulated services. Dropping it ends the process.
struct Pilot {
    process: Child,
    port: u16,
    folder: TempDir,
    _stage: Stage,
}

impl Pilot {
    async fn start() -> Self {
        let cast = Cast::default();
        let (client_id, client_secret) = (cast.oura.client_id.clone(), cast.oura.client_secret.clone());
        let stage = Stage::set(cast).await.unwrap();
        let account = sim::smartabase::Config::default();
        let settings = &stage.process.connector.settings;
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command.args(["serve", "--port", "0", "--table"]).arg(folder.path().join("connector.sqlite"));
        command.env_clear().envs([
            ("SMARTABASE_URL", settings.site.url().as_str()),
            ("PUBLIC_URL", "http://127.0.0.1"),
            ("OURA_AUTHORIZE_URL", settings.oura.authorize.as_str()),
            ("OURA_TOKEN_URL", settings.oura.token.as_str()),
            ("OURA_REVOKE_URL", settings.oura.revoke.as_str()),
            ("OURA_API_URL", settings.oura.api.as_str()),
            ("OURA_CLIENT_ID", &client_id),
            ("OURA_CLIENT_SECRET", &client_secret),
            ("SMARTABASE_USERNAME", &account.username),
            ("SMARTABASE_PASSWORD", &account.password),
        ]);
        let started = tokio::task::spawn_blocking(move || {
            let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
            let port =
                lines.find_map(|line| line.strip_prefix("listening on 127.0.0.1:")?.split(',').next()?.parse().ok());
            // The process keeps logging, so this thread keeps reading its output; otherwise the pipe would fill up.
            std::thread::spawn(move || lines.for_each(drop));
            (process, port)
        });
        let (process, port) = started.await.unwrap();
        let Some(port) = port else { panic!("it ended before it listened") };
        Self { process, port, folder, _stage: stage }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The embedded table used to be an HTTP server on its own port, which checked no signature. Another user of the
/// machine, or a web page that found the port, could read and write everything, whatever the mode of the file.
mod the_table {
    use super::*;

    #[tokio::test]
    async fn opens_no_port_beside_the_web_server() {
        let pilot = Pilot::start().await;
        assert_eq!(sim::listening(pilot.process.id()).unwrap(), [pilot.port]);
    }

    #[tokio::test]
    async fn is_not_reached_through_the_port_of_the_pages() {
        let pilot = Pilot::start().await;
        let request = reqwest::Client::new().post(format!("http://127.0.0.1:{}/", pilot.port));
        let request = request.header("x-amz-target", "DynamoDB_20120810.ListTables").body("{}");
        let answer = request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404);
        assert!(!answer.text().await.unwrap().contains("TableNames"));
    }

    #[tokio::test]
    async fn is_in_files_that_only_their_owner_can_read() {
        let pilot = Pilot::start().await;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let files = std::fs::read_dir(pilot.folder.path()).unwrap().map(|file| file.unwrap().path());
        let modes: Vec<_> = files.map(|path| (path.file_name().unwrap().to_owned(), mode(&path))).collect();
        // The database, its key, and what SQLite keeps beside it.
        assert!(modes.len() >= 2, "{modes:?}");
        assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    }
}
