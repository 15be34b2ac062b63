//! A pilot for a small club: the real Oura and Smartabase, a file for a table, no AWS account.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use clap::Args;
use connector::forms::Forms;
use dynamo::Dynamo;
use local::{Parts, Process};
use runtime::{Clock, ConfigurationError, Given, Secrets, Settings, telemetry};
use secrecy::SecretString;
use store::{KeyVersion, Keyring};

#[derive(Args)]
pub(crate) struct Options {
    /// The file that stores connections and records. A key is stored beside it, as `FILE.key`. Without the key, the
    /// file's grants can't be opened. Back up both, in different places.
    #[arg(long, default_value = "connector.sqlite")]
    table: PathBuf,
    /// The port of 127.0.0.1 to listen on. Your reverse proxy must offer it at PUBLIC_URL.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// How often the roster is read.
const ENROLMENT: Duration = Duration::from_hours(24);

/// How often the queue is polled.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    telemetry::start();
    let keyring = Keyring::new(KeyVersion { id: "local".to_owned(), secret: root_key(&options.table)? });
    let (settings, secrets) = ConfigurationError::both(Settings::from_environment(), Given::from_environment(keyring))?;
    let table = options.table.display();
    private().open(&options.table).with_context(|| format!("{table} can't be made"))?;
    let dynamo = Dynamo::at(&options.table).await.with_context(|| format!("{table} can't be opened"))?;
    let period = settings.period;
    let parts = Parts {
        settings,
        public: true,
        forms: Forms::shipped()?,
        secrets: Secrets::Given(secrets),
        clock: Clock::System,
        database: dynamo.client(),
        port: options.port,
    };
    let process = Process::start(parts).await?;
    let settings = &process.connector.settings;
    println!("listening on {}, offered at {}", process.address, settings.public_url);
    println!("redirect address to register at Oura: {}", settings.callback());
    let (mut next_enrolment, mut next_tick) = (Instant::now(), Instant::now());
    loop {
        if Instant::now() >= next_enrolment {
            next_enrolment += ENROLMENT;
            if let Err(error) = process.enrol().await {
                tracing::error!(%error, "the enrolment failed");
            }
        }
        if Instant::now() >= next_tick {
            next_tick += period;
            if let Err(error) = process.tick().await {
                tracing::error!(%error, "the tick failed");
            }
        }
        while process.work().await > 0 {}
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
        }
    }
}

/// Opens a file, or creates one that only its owner can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Reads the key's file, or creates one that only its owner can read.
fn root_key(table: &Path) -> anyhow::Result<SecretString> {
    let mut path = table.as_os_str().to_owned();
    path.push(".key");
    let path = PathBuf::from(path);
    let shown = path.display();
    match private().create_new(true).open(&path) {
        Ok(mut file) => {
            let mut bytes = [0; 32];
            SystemRandom::new().fill(&mut bytes).ok().context("the operating system has no randomness")?;
            let key = hex::encode(bytes);
            file.write_all(key.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("{shown} can't be written"))?;
            Ok(key.into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut key = String::new();
            let mut file =
                OpenOptions::new().read(true).open(&path).with_context(|| format!("{shown} can't be read"))?;
            file.read_to_string(&mut key).with_context(|| format!("{shown} can't be read"))?;
            if key.trim().is_empty() {
                bail!(
                    "{shown} is empty; restore it from your backup, or remove it and {} to begin anew",
                    table.display()
                );
            }
            Ok(key.trim().to_owned().into())
        }
        Err(error) => Err(error).with_context(|| format!("{shown} can't be made")),
    }
}
