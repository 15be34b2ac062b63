use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The instant by which an invocation must have answered, on the process's monotonic clock.
///
/// Every wait in the product is limited by a deadline. Lambda kills an invocation that runs past its timeout, and then
/// the outcome of its current request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// Reserved in every invocation for handing over unfinished work: reporting the batch and writing the last log line.
const HANDOVER: Duration = Duration::from_secs(2);

impl Deadline {
    /// A deadline `within` from now.
    #[must_use]
    pub fn within(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// The deadline of a Lambda invocation, less the time for the handover. Takes milliseconds since 1970, as the
    /// runtime API gives them (`Lambda-Runtime-Deadline-Ms`).
    #[must_use]
    pub fn of_invocation(epoch_milliseconds: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::within(Duration::from_millis(epoch_milliseconds).saturating_sub(now).saturating_sub(HANDOVER))
    }

    /// The instant itself, for `tokio::time::timeout_at` and the clients.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time that is left; zero once the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// A deadline for handing over unfinished work. It lies before the instant at which Lambda ends the invocation,
    /// even if this deadline has just passed.
    #[must_use]
    pub fn handover(self) -> Self {
        self.max(Self::within(HANDOVER * 3 / 4))
    }

    /// The earlier of this deadline and one `within` from now.
    #[must_use]
    pub fn at_most(self, within: Duration) -> Self {
        self.min(Self::within(within))
    }

    /// This deadline, `by` earlier.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.checked_sub(by).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn remaining_time_shrinks_to_zero_and_stays_there() {
        let deadline = Deadline::within(MINUTE);
        assert_eq!(deadline.remaining(), MINUTE);
        tokio::time::advance(Duration::from_secs(45)).await;
        assert_eq!(deadline.remaining(), Duration::from_secs(15));
        tokio::time::advance(MINUTE).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_and_earlier_only_shorten_a_deadline() {
        let deadline = Deadline::within(MINUTE);
        let second = Duration::from_secs(1);
        assert_eq!(deadline.at_most(second), Deadline::within(second));
        assert_eq!(deadline.at_most(2 * MINUTE), deadline);
        assert_eq!(deadline.earlier(second), Deadline::within(Duration::from_secs(59)));
        assert_eq!(deadline.earlier(2 * MINUTE).remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn of_invocation_reserves_time_for_the_handover() {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let remaining = Deadline::of_invocation(now + 3_600_000).remaining();
        // The system clock advances between its two readings. An hour is longer than any test takes.
        assert!(remaining + HANDOVER <= Duration::from_hours(1), "{remaining:?}");
        assert!(remaining > Duration::ZERO);
        for over in [0, now - 1, now + 1_999] {
            assert_eq!(Deadline::of_invocation(over).remaining(), Duration::ZERO);
        }
    }
}
