//! Finds the shortest story that still breaks a promise: with fewer athletes, fewer days and fewer kinds of event.

use super::play::{Failure, simulate};
use super::story::Scale;

/// Leaves out the parts that a failing story does not need. The seed stays, so the remaining events are the same.
pub async fn shortest(failure: Box<Failure>) -> Box<Failure> {
    let mut failure = failure;
    loop {
        let mut shorter = None;
        for candidate in candidates(&failure) {
            if let Err(again) = simulate(&candidate).await {
                shorter = Some(again);
                break;
            }
        }
        match shorter {
            Some(again) => failure = again,
            None => return failure,
        }
    }
}

/// Shorter stories, the shortest first.
fn candidates(failure: &Failure) -> Vec<Scale> {
    let scale = &failure.scale;
    let mut candidates = Vec::new();
    let with = |change: &dyn Fn(&mut Scale)| {
        let mut scale = scale.clone();
        change(&mut scale);
        scale
    };
    if let Some(athlete) = failure.athlete {
        candidates.push(with(&|scale| scale.athletes = vec![athlete]));
    }
    let half = scale.athletes.len() / 2;
    candidates.push(with(&|scale| scale.athletes.truncate(half.max(1))));
    candidates.push(with(&|scale| drop(scale.athletes.drain(..half))));
    for days in [failure.day / 2, failure.day, failure.day + 1] {
        candidates.push(with(&|scale| scale.days = days.max(1)));
    }
    for kind in &scale.kinds {
        candidates.push(with(&|scale| {
            scale.kinds.remove(kind);
        }));
    }
    candidates.retain(|candidate| {
        let size = |scale: &Scale| scale.athletes.len() + scale.days as usize + scale.kinds.len();
        size(candidate) < size(scale)
    });
    candidates
}
