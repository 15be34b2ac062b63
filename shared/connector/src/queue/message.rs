//! What stands on the queue: versioned JSON, readable by every later release and by an operator.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::AthleteId;
use url::Url;

/// One unit of work for the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "lowercase")]
pub enum Job {
    /// Bring one athlete's last days up to date.
    Sync {
        /// Whom.
        athlete: AthleteId,
        /// When the tick that planned it wanted it to begin. A period later it is dropped, since a newer one is coming;
        /// counted from the beginning wanted, lest a site spread over the whole period never reaches its last athletes.
        tick: Timestamp,
    },
    /// Bring one athlete's records from one day to another, both included, however long it takes.
    Backfill {
        /// Whom.
        athlete: AthleteId,
        /// Oura's first day wanted.
        from: Date,
        /// Oura's last day wanted.
        to: Date,
        /// How many messages before this one were put off without a try: another worker was busy with the athlete, or
        /// the batch's time was over.
        #[serde(default, skip_serializing_if = "is_zero")]
        put_off: u32,
    },
    /// Store a rotated grant that the table would not take when it was issued.
    Rescue {
        /// Whose.
        athlete: AthleteId,
        /// The generation the refresh began from; a later one makes this message void.
        generation: u64,
        /// The grant.
        grant: SealedGrant,
        /// How many messages before this one did not succeed.
        #[serde(default, skip_serializing_if = "is_zero")]
        tries: u32,
    },
    /// Tell Oura that a grant is no longer wanted.
    Revoke {
        /// Whose it was.
        athlete: AthleteId,
        /// The grant.
        grant: SealedGrant,
        /// The Oura account it opens, if Oura ever said so; no release before this one wrote it down here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oura_user: Option<String>,
        /// How many messages before this one did not succeed.
        #[serde(default, skip_serializing_if = "is_zero")]
        tries: u32,
    },
}

/// A grant on its way through the queue, sealed as in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedGrant {
    /// The token pair, sealed, in base64.
    pub sealed: String,
    /// The endpoint that issued it.
    pub token_url: Url,
    /// When its access token expires.
    pub expires_at: Timestamp,
    /// Its scopes, space separated.
    pub scopes: String,
}

/// The longest range one backfill may ask for, in days: ten years, longer than Oura has had a ring to ask about.
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

/// Why a message is not a job. None of its text is repeated: it may hold a sealed grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// Not JSON, or without a version.
    #[error("the message is not one of ours: {reason} at line {line}, column {column}")]
    NotAMessage {
        /// Syntax, missing or mistyped entry.
        reason: &'static str,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Written by a later release.
    #[error("the message is of version {0}, which this release does not know")]
    Version(u8),
    /// The days make no sense.
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
        // A job is made of texts, numbers and dates: there is nothing in it that JSON can't say.
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

    /// Whom the job is about.
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
    /// The parser's message quotes the text; its place and category don't.
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
    fn a_revocation_of_a_release_that_neither_counted_nor_named_the_account_is_read() {
        let grant = r#""grant":{"sealed":"AA==","token_url":"https://oura.test/token","expires_at":"2026-03-03T07:30:00Z","scopes":"daily"}"#;
        let text = format!(r#"{{"v":1,"job":"revoke","athlete":"31152",{grant}}}"#);
        let job = Job::from_message(&text).unwrap();
        assert!(matches!(job, Job::Revoke { tries: 0, oura_user: None, .. }), "{job:?}");
        assert_eq!(job.to_message(), text);
    }

    #[test]
    fn whatever_is_not_a_message_is_refused_without_being_quoted() {
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
        fn every_job_is_read_as_it_was_written(job in any_job()) {
            prop_assert_eq!(Job::from_message(&job.to_message()), Ok(job));
        }

        #[test]
        fn a_damaged_message_is_a_job_or_a_short_reason(job in any_job(), at in 0usize..400, cut in 0usize..20, inserted in ".{0,5}") {
            let mut text = job.to_message();
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &inserted);
            if let Err(unreadable) = Job::from_message(&text) {
                prop_assert!(unreadable.to_string().len() < 200, "{}", unreadable);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Job::from_message(&text);
        }
    }
}
