use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// The current time, for everything that is stored or compared across processes: leases, holds, expiries, windows.
///
/// It is not used for waiting: deadlines and backoff use the process's own monotonic clock.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that changes only when it is moved, in milliseconds since 1970. For the demo and for tests. All that
    /// share the cell (a simulated remote service, for example) share the time.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `now` until it is moved.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.as_millisecond())))
    }

    /// The current instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(milliseconds) => {
                Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves a manual clock. Does nothing to the system clock.
    pub fn advance(&self, by: SignedDuration) {
        if let Self::Manual(milliseconds) = self {
            milliseconds.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_advance_and_is_shared() {
        let start: Timestamp = "2026-03-03T07:30:00.123456789Z".parse().unwrap();
        let clock = Clock::manual(start);
        let shared = clock.clone();
        assert_eq!(clock.now().to_string(), "2026-03-03T07:30:00.123Z", "to the millisecond");
        clock.advance(SignedDuration::from_hours(16) + SignedDuration::from_mins(30));
        assert_eq!(shared.now().to_string(), "2026-03-04T00:00:00.123Z");
        shared.advance(SignedDuration::from_millis(-123));
        assert_eq!(clock.now().to_string(), "2026-03-04T00:00:00Z");
    }

    #[test]
    fn advance_does_not_move_the_system_clock() {
        let before = Timestamp::now();
        Clock::System.advance(SignedDuration::from_hours(-24 * 365));
        assert!(Clock::default().now() >= before);
    }
}
