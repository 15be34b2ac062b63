//! What the product logs, as CloudWatch would receive it.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use runtime::telemetry;

thread_local! {
    /// What this thread has logged. A test and all its product's tasks run on one thread.
    static LOG: RefCell<Log> = RefCell::default();
}

#[derive(Default)]
struct Log {
    text: Vec<u8>,
    /// How many bytes [`printed`] has already returned.
    looked_at: usize,
}

struct Thread;

impl Write for Thread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.text.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures the log from now on, at the log level of a deployment. The whole process shares one subscriber, because
/// subscribers of single threads disturb each other when they are set and removed.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        tracing::subscriber::set_global_default(telemetry::subscriber("info", || Thread)).unwrap();
    });
}

/// What was logged since the last call.
#[must_use]
pub fn printed() -> String {
    LOG.with_borrow_mut(|log| {
        let new = log.text[log.looked_at..].to_vec();
        log.looked_at = log.text.len();
        String::from_utf8(new).unwrap()
    })
}

/// Everything that was logged, including what [`printed`] has returned. Clears the log.
#[must_use]
pub fn everything() -> String {
    String::from_utf8(LOG.take().text).unwrap()
}
