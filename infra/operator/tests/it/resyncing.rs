//! `connector resync` on a deployment: the jobs queued, and how the command follows them.

use std::time::Duration;

use connector::queue::message::Job;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use store::{BackfillDebt, Claim, Finish, Status, WindowDigest};

use crate::aws::{Aws, keyring};
use crate::squad::{self, ago, id, soon};

/// A worker that brings the days of every job in two steps and leaves this note.
async fn work(aws: &Aws, note: Option<&str>) -> ! {
    loop {
        for (body, _) in aws.queues(|queues| std::mem::take(&mut queues.jobs)) {
            let Job::Backfill { athlete, from, to, .. } = Job::from_message(&body).unwrap() else { panic!("{body}") };
            for (first, last) in [(from, from), (from.tomorrow().unwrap(), to)] {
                let claim = aws.store.claim(&athlete, "worker", ago(0), ago(-1), None, soon()).await.unwrap();
                let Claim::Won(connection) = claim else { panic!("{claim:?}") };
                let finish = Finish {
                    digest: WindowDigest::Keep,
                    note: note.map(str::to_owned),
                    last_day: None,
                    backfill: BackfillDebt::Keep,
                    brought: Some((first, last)),
                    synced: true,
                    released: true,
                    now: Timestamp::now(),
                };
                aws.store.confirm(&athlete, connection.user_id, connection.fence, &[], finish, soon()).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn day(days_ago: i64) -> Date {
    (Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Europe/London").unwrap())).date() - days_ago.days()
}

#[tokio::test]
async fn resync_is_followed_until_every_day_is_brought() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let from = day(40).to_string();
    let arguments = ["resync", "ada", "33", "--from", &from, "--json"];
    let ended = tokio::select! {
        ended = aws.run(&arguments) => ended,
        _ = work(&aws, None) => unreachable!(),
    };
    // Cyd has to connect again first, so no job is queued.
    assert_eq!(ended.code, 3, "{ended:?}");
    let json = ended.json();
    assert_eq!((json["from"].as_str().unwrap(), json["to"].as_str().unwrap()), (from.as_str(), &*day(0).to_string()));
    assert_eq!(json["athletes"][0]["outcome"], "done");
    assert_eq!(json["athletes"][1]["outcome"], "skipped");
    assert_eq!(json["athletes"][1]["why"], "needs to reconnect");
}

#[tokio::test]
async fn problems_of_a_resync_are_named() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let from = day(3).to_string();
    let arguments = ["resync", "a-1", "--from", &from];
    let ended = tokio::select! {
        ended = aws.run(&arguments) => ended,
        _ = work(&aws, Some("the form \"Sleep\" does not have the fields Score")) => unreachable!(),
    };
    assert_eq!(ended.code, 3);
    assert!(ended.stdout.contains("done, but: the form \"Sleep\""), "{ended:?}");
}

#[tokio::test]
async fn athlete_without_progress_ends_the_wait() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let (from, athlete) = (day(3).to_string(), id("a-1"));
    let lapse = async {
        while aws.queues(|queues| queues.jobs.is_empty()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        aws.store.set_status(&athlete, 1, Status::MembershipLapsed, None, None, ago(0), soon()).await.unwrap();
    };
    let arguments = ["resync", "a-1", "--from", &from, "--json"];
    let (ended, ()) = tokio::join!(aws.run(&arguments), lapse);
    let json = ended.json();
    assert_eq!((ended.code, &json["athletes"][0]["outcome"]), (3, &"unfinished".into()));
    assert_eq!(json["athletes"][0]["why"], "no Oura membership");
}

#[tokio::test]
async fn detached_jobs_begin_at_the_pace_of_a_tick_times_their_length() {
    let aws = Aws::start().await;
    for n in 0..8 {
        squad::connect(&aws.store, &keyring(), &format!("athlete-{n}"), n).await;
    }
    // Two years and 29 days are 25 chunks of history each: two athletes fill a burst.
    let ended = aws.run(&["resync", "--all", "--from", "2024-01-01", "--to", "2026-01-29", "--detach"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("8 of 8 athletes queued"));
    let jobs = aws.queues(|queues| queues.jobs.clone());
    let mut delays: Vec<_> = jobs.iter().map(|(_, delay)| *delay).collect();
    delays.sort_unstable();
    assert_eq!(delays, [0, 0, 25, 25, 50, 50, 75, 75]);
    let first = jobs.iter().find(|(_, delay)| *delay == 0).unwrap();
    assert_eq!(first.0, r#"{"v":1,"job":"backfill","athlete":"athlete-0","from":"2024-01-01","to":"2026-01-29"}"#);
}

#[tokio::test]
async fn more_than_fits_a_quarter_of_an_hour_is_not_detached() {
    let aws = Aws::start().await;
    for n in 0..40 {
        squad::connect(&aws.store, &keyring(), &format!("athlete-{n}"), n).await;
    }
    let ended = aws.run(&["resync", "--all", "--from", "2020-01-01", "--to", "2025-12-31", "--detach"]).await;
    ended.refused(2, &["leave --detach out"]);
    assert!(aws.queues(|queues| queues.jobs.is_empty()));
}

#[tokio::test]
async fn invalid_days_are_refused_before_any_job_is_queued() {
    let aws = Aws::start().await;
    squad::fill(&aws.store, &keyring()).await;
    let tomorrow = day(-1).to_string();
    for (arguments, part) in [
        (&["--from", "2026-03-02", "--to", "2026-03-01"][..], "are backwards"),
        (&["--from", "2026-03-02", "--to", &tomorrow], "in the future"),
        (&["--from", "2001-01-01"], "more than ten years"),
    ] {
        aws.run(&[&["resync", "ada"], arguments].concat()).await.refused(2, &[part]);
    }
    let ended = aws.run(&["resync", "ada", "--from", "yesterday"]).await;
    assert!(ended.code == 2 && ended.stderr.contains("YYYY-MM-DD"), "{ended:?}");
    aws.run(&["resync", "--from", "2026-03-01"]).await.refused(2, &["--all for everybody connected"]);
    assert!(aws.queues(|queues| queues.jobs.is_empty()));
}
