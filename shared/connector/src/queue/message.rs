//! The messages on the queue: versioned JSON, which every later release and an operator can read.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::AthleteId;
use url::Url;

/// One unit of work for the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "lowercase")]
pub enum Job {
    /// Syncs one athlete's last days.
    Sync {
        /// The athlete.
        athlete: AthleteId,
        /// When the job was planned to start. The worker drops it one period later, since a newer job is coming. The
        /// age is counted from this time, not from the tick: otherwise, at a site spread over the whole period, the
        /// last athletes would never be synced.
        tick: Timestamp,
    },
    /// Brings one athlete's records from one day to another, both included, over as many chunks as needed.
    Backfill {
        /// The athlete.
        athlete: AthleteId,
        /// The first of Oura's days.
        from: Date,
        /// The last of Oura's days.
        to: Date,
        /// How many earlier messages of this backfill were put off without a try: another worker was busy with the
        /// athlete, or the batch had no time left.
        #[serde(default, skip_serializing_if = "is_zero")]
        put_off: u32,
    },
    /// Stores a refreshed grant that could not be written to the table when Oura issued it.
    Rescue {
        /// The athlete.
        athlete: AthleteId,
        /// The generation that the refresh began from; a later one in the table makes this message void.
        generation: u64,
        /// The grant.
        grant: SealedGrant,
        /// How many messages before this one did not succeed.
        #[serde(default, skip_serializing_if = "is_zero")]
        tries: u32,
    },
    /// Revokes a grant at Oura.
    Revoke {
        /// The athlete whose grant it was.
        athlete: AthleteId,
        /// The grant.
        grant: SealedGrant,
        /// The Oura account of the grant, if Oura ever named it. Messages of earlier releases lack it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oura_user: Option<String>,
        /// How many messages before this one did not succeed.
        #[serde(default, skip_serializing_if = "is_zero")]
        tries: u32,
    },
}

/// A grant in a queue message, sealed as in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedGrant {
    /// The token pair, sealed, in base64.
    pub sealed: String,
    /// The token endpoint that issued it.
    pub token_url: Url,
    /// When its access token expires.
    pub expires_at: Timestamp,
    /// Its scopes, space separated.
    pub scopes: String,
}

/// The longest range of a backfill, in days: ten years, which is longer than Oura's rings have existed.
const LONGEST_BACKFILL: i32 = 3660;

const VERSION: u8 = 1;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(tries: &u32) -> bool {
    *tries == 0
}

#[derive(Serialize, Deserialize)]
struct Envelope<J> {
    v: u8,
    #[serde(flatten)]
    job: J,
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

/// Why a message is not a job. The error never repeats the message's text, which may hold a sealed grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// Not JSON, or without a version.
    #[error("the message is not one of ours: {reason} at line {line}, column {column}")]
    NotAMessage {
        /// Wrong syntax, or a missing or mistyped entry.
        reason: &'static str,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Written by a later release.
    #[error("the message is of version {0}, which this release does not know")]
    Version(u8),
    /// The range of days is backwards or too long.
    #[error("the message asks for the days {from} to {to}, which is backwards or too long")]
    Range {
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
    },
}

impl Job {
    /// The message's text.
    #[must_use]
    pub fn to_message(&self) -> String {
        // This does not fail: a job consists of texts, numbers and dates, which JSON can all represent.
        serde_json::to_string(&Envelope { v: VERSION, job: self }).unwrap_or_default()
    }

    /// Reads a message's text.
    pub fn from_message(text: &str) -> Result<Self, UnreadableMessage> {
        let version: Version = serde_json::from_str(text).map_err(|error| UnreadableMessage::because(&error))?;
        if version.v != VERSION {
            return Err(UnreadableMessage::Version(version.v));
        }
        let message: Envelope<Self> = serde_json::from_str(text).map_err(|error| UnreadableMessage::because(&error))?;
        match message.job {
            Self::Backfill { from, to, .. } if to < from || (to - from).get_days() > LONGEST_BACKFILL => {
                Err(UnreadableMessage::Range { from, to })
            }
            job => Ok(job),
        }
    }

    /// The athlete that the job is about.
    #[must_use]
    pub fn athlete(&self) -> &AthleteId {
        match self {
            Self::Sync { athlete, .. }
            | Self::Backfill { athlete, .. }
            | Self::Rescue { athlete, .. }
            | Self::Revoke { athlete, .. } => athlete,
        }
    }

    /// The job's kind, as in the message.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sync { .. } => "sync",
            Self::Backfill { .. } => "backfill",
            Self::Rescue { .. } => "rescue",
            Self::Revoke { .. } => "revoke",
        }
    }
}

impl UnreadableMessage {
    /// Uses only the place and the category of the error, since the parser's message quotes the text.
    fn because(error: &serde_json::Error) -> Self {
        let reason = match error.classify() {
            serde_json::error::Category::Data => "an entry is missing or of the wrong type",
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        Self::NotAMessage { reason, line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_the_documented_json() {
        let athlete = AthleteId::parse("31152").unwrap();
        let sync = Job::Sync { athlete: athlete.clone(), tick: "2026-03-03T07:30:00Z".parse().unwrap() };
        assert_eq!(sync.to_message(), r#"{"v":1,"job":"sync","athlete":"31152","tick":"2026-03-03T07:30:00Z"}"#);
        let (from, to) = ("2026-02-01".parse().unwrap(), "2026-03-03".parse().unwrap());
        let backfill = Job::Backfill { athlete, from, to, put_off: 0 };
        assert_eq!(
            backfill.to_message(),
            r#"{"v":1,"job":"backfill","athlete":"31152","from":"2026-02-01","to":"2026-03-03"}"#
        );
        for job in [sync, backfill] {
            assert_eq!(Job::from_message(&job.to_message()), Ok(job));
        }
    }

    #[test]
    fn a_revocation_written_by_an_earlier_release_is_read() {
        let grant = r#""grant":{"sealed":"AA==","token_url":"https://oura.test/token","expires_at":"2026-03-03T07:30:00Z","scopes":"daily"}"#;
        let text = format!(r#"{{"v":1,"job":"revoke","athlete":"31152",{grant}}}"#);
        let job = Job::from_message(&text).unwrap();
        assert!(matches!(job, Job::Revoke { tries: 0, oura_user: None, .. }), "{job:?}");
        assert_eq!(job.to_message(), text);
    }

    #[test]
    fn an_invalid_message_is_refused_and_not_quoted() {
        let huge = format!(r#"{{"v":1,"job":"sync","athlete":"{}"}}"#, "a".repeat(1 << 20));
        let hostile = [
            "",
            "null",
            "[]",
            "{}",
            "secret-looking text",
            r#"{"v":1}"#,
            r#"{"v":"1","job":"sync","athlete":"a","tick":"2026-03-03T07:30:00Z"}"#,
            r#"{"v":1,"job":"dance","athlete":"a"}"#,
            r#"{"v":1,"job":"sync","athlete":7,"tick":"2026-03-03T07:30:00Z"}"#,
            r#"{"v":1,"job":"sync","athlete":"","tick":"2026-03-03T07:30:00Z"}"#,
            r#"{"v":1,"job":"sync","athlete":"a","tick":"yesterday"}"#,
            r#"{"v":1,"job":"backfill","athlete":"a","from":"2026-02-30","to":"2026-03-03"}"#,
            r#"{"v":1,"job":"rescue","athlete":"a"}"#,
            &huge,
        ];
        for text in hostile {
            let error = Job::from_message(text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(error.to_string().len() < 200, "{error}");
        }
        assert_eq!(
            Job::from_message(r#"{"v":2,"job":"sync","athlete":"a","tick":"2026-03-03T07:30:00Z"}"#),
            Err(UnreadableMessage::Version(2))
        );
        for (from, to) in [("2026-03-03", "2026-03-02"), ("1990-01-01", "2026-03-02")] {
            let text = format!(r#"{{"v":1,"job":"backfill","athlete":"a","from":"{from}","to":"{to}"}}"#);
            assert!(matches!(Job::from_message(&text), Err(UnreadableMessage::Range { .. })));
        }
    }

    fn any_job() -> impl Strategy<Value = Job> {
        let athlete = "[a-z0-9\"\\\\#\u{e9}-]{1,12}".prop_map(|text| AthleteId::parse(&text).unwrap());
        let day = || (0i64..3_000).prop_map(|days| jiff::civil::date(2020, 1, 1) + jiff::Span::new().days(days));
        let instant = || (0i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap());
        let grant = (".{0,40}", instant(), "[a-z ]{0,12}").prop_map(|(sealed, expires_at, scopes)| SealedGrant {
            sealed,
            token_url: "https://oura.test/oauth/token".parse().unwrap(),
            expires_at,
            scopes,
        });
        (athlete, 0..4, day(), day(), instant(), any::<u64>(), grant).prop_map(
            |(athlete, kind, one, other, tick, generation, grant)| match kind {
                0 => Job::Sync { athlete, tick },
                1 => Job::Backfill { athlete, from: one.min(other), to: one.max(other), put_off: 2 },
                2 => Job::Rescue { athlete, generation, grant, tries: 3 },
                _ => Job::Revoke { oura_user: Some(athlete.to_string()), athlete, grant, tries: 7 },
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_written_job_is_read_back_unchanged(job in any_job()) {
            prop_assert_eq!(Job::from_message(&job.to_message()), Ok(job));
        }

        #[test]
        fn a_damaged_message_is_a_job_or_a_short_error(job in any_job(), at in 0usize..400, cut in 0usize..20, inserted in ".{0,5}") {
            let mut text = job.to_message();
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &inserted);
            if let Err(unreadable) = Job::from_message(&text) {
                prop_assert!(unreadable.to_string().len() < 200, "{}", unreadable);
            }
        }

        #[test]
        fn no_text_causes_a_panic(text in any::<String>()) {
            let _ = Job::from_message(&text);
        }
    }
}
