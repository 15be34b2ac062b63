use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// What time it is, for everything that is remembered or compared across processes: leases, holds, expiries, windows.
///
/// Waiting is not its business: deadlines and back-off run on the process's own monotonic clock.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that stands where it was put, in milliseconds since 1970, for the demo and for tests. Whoever shares the
    /// cell (a simulated remote service, for example) shares the time.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `now` until it is moved.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.as_millisecond())))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(milliseconds) => {
                Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves a manual clock; the system's can't be moved, and is left alone.
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
    fn a_manual_clock_stands_until_it_is_moved_for_all_who_share_it() {
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
    fn the_systems_clock_is_not_moved() {
        let before = Timestamp::now();
        Clock::System.advance(SignedDuration::from_hours(-24 * 365));
        assert!(Clock::default().now() >= before);
    }
}
