use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// The clock of the simulators: shared, and settable while they run.
///
/// All clones show the same time. Lifetimes of codes and tokens, throttling windows, the times at which documents
/// become visible, and change times at Smartabase follow this clock. Only the idle time-out of connections and injected
/// delays use real time.
///
/// ```
/// use jiff::{SignedDuration, Timestamp};
///
/// let clock = sim::Clock::at("2026-03-01T12:00:00Z".parse::<Timestamp>()?);
/// let same = clock.clone();
/// clock.advance(SignedDuration::from_mins(15));
/// assert_eq!(same.now().to_string(), "2026-03-01T12:15:00Z");
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    /// Does not move unless it is set. In milliseconds since the epoch.
    Set(Arc<AtomicI64>),
    /// Runs with the machine's clock, this many milliseconds ahead of it.
    Running(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `instant` until it is set or advanced.
    #[must_use]
    pub fn at(instant: Timestamp) -> Self {
        Self(Hands::Set(Arc::new(AtomicI64::new(instant.as_millisecond()))))
    }

    /// The machine's clock. Setting or advancing shifts it; it keeps running.
    #[must_use]
    pub fn system() -> Self {
        Self(Hands::Running(Arc::default()))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(&self) -> i64 {
        match &self.0 {
            Hands::Set(millis) => millis.load(Ordering::SeqCst),
            Hands::Running(ahead) => Timestamp::now().as_millisecond() + ahead.load(Ordering::SeqCst),
        }
    }

    /// The present instant, to the millisecond. Returns the epoch if the clock was set beyond what a timestamp can
    /// hold.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Sets the clock to `instant`.
    pub fn set(&self, instant: Timestamp) {
        match &self.0 {
            Hands::Set(millis) => millis.store(instant.as_millisecond(), Ordering::SeqCst),
            Hands::Running(ahead) => {
                ahead.store(instant.as_millisecond() - Timestamp::now().as_millisecond(), Ordering::SeqCst);
            }
        }
    }

    /// Moves the clock by `by`; a negative span moves it back.
    pub fn advance(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(0);
        match &self.0 {
            Hands::Set(hands) | Hands::Running(hands) => hands.fetch_add(by, Ordering::SeqCst),
        };
    }
}

impl From<Arc<AtomicI64>> for Clock {
    /// A clock that another component sets, in milliseconds since the epoch.
    fn from(millis: Arc<AtomicI64>) -> Self {
        Self(Hands::Set(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_milliseconds_move_the_clock() {
        let hands = Arc::new(AtomicI64::new(0));
        let clock = Clock::from(Arc::clone(&hands));
        hands.store(86_400_000, Ordering::SeqCst);
        assert_eq!(clock.now().to_string(), "1970-01-02T00:00:00Z");
    }

    #[test]
    fn running_clock_can_be_shifted() {
        let clock = Clock::system();
        clock.set("2030-01-01T00:00:00Z".parse().unwrap());
        assert!(clock.now() >= "2030-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        clock.advance(SignedDuration::from_hours(-48));
        assert!(clock.now() < "2030-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
    }
}
