//! The queue of a single process follows the rules of SQS, on a clock that a test moves.

use std::time::Duration;

use connector::{InProcessQueue, Queue};
use jiff::{SignedDuration, Timestamp};
use runtime::{Clock, Deadline};

fn start() -> Timestamp {
    "2026-03-03T07:30:00Z".parse().unwrap()
}

fn waiting() -> (InProcessQueue, Clock) {
    let clock = Clock::manual(start());
    (InProcessQueue::new(clock.clone()), clock)
}

fn bodies(received: &[connector::Received]) -> Vec<&str> {
    received.iter().map(|message| message.body.as_str()).collect()
}

#[test]
fn a_message_is_received_once_after_its_delay() {
    let (waiting, clock) = waiting();
    waiting.send("late".to_owned(), Duration::from_secs(10));
    waiting.send("soon".to_owned(), Duration::from_secs(5));
    waiting.send("now".to_owned(), Duration::ZERO);
    let later = |seconds| start() + SignedDuration::from_secs(seconds);
    assert_eq!(waiting.last_visible(later(9)), Some(later(5)));
    assert_eq!(waiting.last_visible(later(10)), Some(later(10)));
    assert_eq!(bodies(&waiting.receive(10)), ["now"]);
    assert!(waiting.receive(10).is_empty());
    assert_eq!(waiting.last_visible(later(4)), None);
    clock.advance(SignedDuration::from_secs(10));
    assert_eq!(bodies(&waiting.receive(10)), ["soon", "late"]);
    assert!(waiting.is_empty());
}

#[test]
fn at_most_the_requested_number_is_received_oldest_first() {
    let (waiting, clock) = waiting();
    for number in 0..5 {
        waiting.send(number.to_string(), Duration::from_secs(5 - number));
    }
    clock.advance(SignedDuration::from_mins(1));
    assert_eq!(bodies(&waiting.receive(3)), ["4", "3", "2"]);
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting.bodies().len(), 2);
    assert_eq!(bodies(&waiting.receive(3)), ["1", "0"]);
}

#[test]
fn an_unhandled_message_returns_until_its_fifth_attempt() {
    let (waiting, clock) = waiting();
    waiting.send("stubborn".to_owned(), Duration::ZERO);
    for attempt in 1..=5 {
        assert_eq!(waiting.dead_letters(), [], "before attempt {attempt}");
        let message = waiting.receive(1).pop().unwrap();
        waiting.put_back(message, Duration::from_secs(30));
        assert!(waiting.receive(1).is_empty(), "it is invisible for a while");
        clock.advance(SignedDuration::from_secs(30));
    }
    assert!(waiting.is_empty());
    assert_eq!(waiting.dead_letters(), [("stubborn".to_owned(), "tried too often".to_owned())]);
}

#[test]
fn an_unlimited_delay_causes_no_error() {
    let (waiting, _) = waiting();
    waiting.send("never".to_owned(), Duration::MAX);
    assert_eq!(waiting.last_visible(Timestamp::MAX), Some(Timestamp::MAX));
}

#[tokio::test]
async fn it_serves_as_the_connectors_queue() {
    let (waiting, _) = waiting();
    let queue = Queue::InProcess(waiting.clone());
    let deadline = Deadline::within(Duration::from_mins(1));
    let job =
        connector::queue::message::Job::Sync { athlete: store::AthleteId::parse("31152").unwrap(), tick: start() };
    queue.send(&[(job.clone(), Duration::from_secs(7))], deadline).await.unwrap();
    assert_eq!(waiting.bodies(), [job.to_message()]);
    assert_eq!(waiting.last_visible(Timestamp::MAX), Some(start() + SignedDuration::from_secs(7)));
    queue.bury("not a job", "it is not JSON", deadline).await.unwrap();
    assert_eq!(waiting.dead_letters(), [("not a job".to_owned(), "it is not JSON".to_owned())]);
}
