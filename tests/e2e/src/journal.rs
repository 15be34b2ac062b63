use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;

/// What the connector logs on this thread, at its most talkative, while this is kept.
///
/// A test runs on one thread, and everything it starts with it; other tests' logs go elsewhere.
pub struct Journal {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Journal {
    /// Begins to keep the log, with the deployed functions' rules about whose lines are kept.
    #[must_use]
    pub fn open() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let ours = "warn,connector=trace,oura=trace,smartabase=trace,store=trace,runtime=trace,local=trace";
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new(ours))
            .with_writer(move || writer.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// Everything logged so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.0.lock().unwrap()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
