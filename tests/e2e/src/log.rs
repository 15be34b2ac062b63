//! What the product prints, as CloudWatch would receive it.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use runtime::telemetry;

thread_local! {
    /// What was printed on this thread. A test has one, and so has all that its product does.
    static LOG: RefCell<Log> = RefCell::default();
}

#[derive(Default)]
struct Log {
    text: Vec<u8>,
    /// How much of it a test has looked at.
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

/// From now on everything is kept, at the level of a deployment. One subscriber serves the process: those of single
/// threads disturb each other as they come and go.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        tracing::subscriber::set_global_default(telemetry::subscriber("info", || Thread)).unwrap();
    });
}

/// What was printed since the last look.
#[must_use]
pub fn printed() -> String {
    LOG.with_borrow_mut(|log| {
        let new = log.text[log.looked_at..].to_vec();
        log.looked_at = log.text.len();
        String::from_utf8(new).unwrap()
    })
}

/// All that was printed, looked at or not, which is then forgotten.
#[must_use]
pub fn everything() -> String {
    String::from_utf8(LOG.take().text).unwrap()
}
