//! The same requests from a Python program with `aiohttp`, on the same core and in the same run. A ratio of two
//! processor times means something only if both are measured on one machine at one time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Context;
use oura::{DailyActivity, DailyReadiness, DailySleep, Document, Sleep};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::functions::ROOT;
use crate::lambda::Effort;
use crate::process;
use crate::world::World;

/// The process of the baseline, which is idle between two rounds. It is killed when this is dropped.
pub(crate) struct Baseline {
    /// Held so that the process ends with it.
    _process: Child,
    id: u32,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Baseline {
    /// Starts the baseline on a core, for these athletes. Returns `None` if `tests/bench/baseline/install` has not been
    /// run.
    pub(crate) async fn start(
        world: &World,
        athletes: i64,
        in_flight: u32,
        core: usize,
    ) -> anyhow::Result<Option<Self>> {
        let python = PathBuf::from(ROOT).join("target/bench/python/bin/python");
        if !python.is_file() {
            return Ok(None);
        }
        let mut child = Command::new(python)
            .arg(PathBuf::from(ROOT).join("tests/bench/baseline/baseline.py"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("the baseline can't be started")?;
        let id = child.id().context("the baseline has ended")?;
        process::pin(id, core).await?;
        let input = child.stdin.take().context("the baseline has no standard input")?;
        let output = child.stdout.take().context("the baseline has no standard output")?;
        let mut baseline = Self { _process: child, id, input, output: BufReader::new(output).lines() };
        let today = world.stage.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let tokens = (2001..2001 + athletes).map(|number| {
            let grants = world.stage.oura.grants(&format!("p{number}"));
            grants.into_iter().filter(|grant| !grant.revoked).find_map(|grant| grant.access_token)
        });
        let tokens = tokens.collect::<Option<Vec<_>>>().context("an athlete has no access token")?;
        baseline
            .tell(&json!({
                "api": world.oura.url(),
                "authorities": world.authorities(),
                "tokens": tokens,
                "collections": {
                    (DailyActivity::COLLECTION): fields::<DailyActivity>(),
                    (DailyReadiness::COLLECTION): fields::<DailyReadiness>(),
                    (DailySleep::COLLECTION): fields::<DailySleep>(),
                    (Sleep::COLLECTION): fields::<Sleep>(),
                },
                "start": today.saturating_sub(jiff::Span::new().days(8)).to_string(),
                "end": today.saturating_add(jiff::Span::new().days(2)).to_string(),
                "in_flight": in_flight,
            }))
            .await?;
        Ok(Some(baseline))
    }

    /// Runs one round over all athletes. Returns what it took, and for how many athletes Oura's data had changed.
    pub(crate) async fn round(&mut self) -> anyhow::Result<(Effort, u64)> {
        let (began, before) = (Instant::now(), process::cpu(self.id)?);
        self.tell(&json!("round")).await?;
        let changed = self.output.next_line().await?.context("the baseline has ended")?;
        let cpu = process::cpu(self.id)?.saturating_sub(before);
        Ok((Effort { wall: began.elapsed(), cpu }, changed.parse().context("the baseline prints no count")?))
    }

    async fn tell(&mut self, line: &serde_json::Value) -> anyhow::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }
}

/// The top-level fields that the connector selects.
fn fields<D: Document>() -> String {
    let top = |path: &'static str| path.split_once('.').map_or(path, |(top, _)| top);
    let names: BTreeSet<_> = ["id", "day"].into_iter().chain(D::FIELDS.iter().map(|field| top(field.name))).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}
