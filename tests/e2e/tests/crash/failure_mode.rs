//! The ways in which a request can fail.

use sim::wire::{Answer, Fault, Gate};

use crate::request::Remote;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailureMode {
    /// It never arrives: the connection closes.
    NeverArrives,
    /// It arrives; the connection closes before the answer.
    AnswerLost,
    /// The process ends while the request is on its way, and it does not arrive.
    DiesBefore,
    /// The process ends when the request has had its effect, before the answer is there.
    DiesAfter,
    /// 500, and nothing was done.
    ServerError,
    /// 500, and everything was done.
    ServerErrorAfter,
    /// 429 with `Retry-After`; at the table, what DynamoDB says instead.
    Throttled,
    /// It does not arrive, and nothing comes back until the process gives up.
    HangsBefore,
    /// It arrives, and nothing comes back until the process gives up.
    HangsAfter,
    /// It arrives; the answer breaks off half way.
    CutInHalf,
    /// A page in front says that it is down, and nothing was done.
    Html,
    /// It arrives; a page instead of the answer.
    HtmlAfter,
}

/// What the test has to do when the request stands at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// End the process.
    Die,
    /// Let the time pass until the process gives up.
    WaitOut,
}

impl FailureMode {
    pub(crate) const ALL: [Self; 12] = [
        Self::NeverArrives,
        Self::AnswerLost,
        Self::DiesBefore,
        Self::DiesAfter,
        Self::ServerError,
        Self::ServerErrorAfter,
        Self::Throttled,
        Self::HangsBefore,
        Self::HangsAfter,
        Self::CutInHalf,
        Self::Html,
        Self::HtmlAfter,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NeverArrives => "never arrives",
            Self::AnswerLost => "answer lost",
            Self::DiesBefore => "dies before",
            Self::DiesAfter => "dies after",
            Self::ServerError => "500",
            Self::ServerErrorAfter => "500 afterwards",
            Self::Throttled => "429",
            Self::HangsBefore => "hangs before",
            Self::HangsAfter => "hangs afterwards",
            Self::CutInHalf => "cut in half",
            Self::Html => "html",
            Self::HtmlAfter => "html afterwards",
        }
    }

    /// Whether the request has its effect.
    pub(crate) fn arrives(self) -> bool {
        match self {
            Self::NeverArrives
            | Self::DiesBefore
            | Self::ServerError
            | Self::Throttled
            | Self::HangsBefore
            | Self::Html => false,
            Self::AnswerLost
            | Self::DiesAfter
            | Self::ServerErrorAfter
            | Self::HangsAfter
            | Self::CutInHalf
            | Self::HtmlAfter => true,
        }
    }

    pub(crate) fn then(self) -> Option<Then> {
        match self {
            Self::DiesBefore | Self::DiesAfter => Some(Then::Die),
            Self::HangsBefore | Self::HangsAfter => Some(Then::WaitOut),
            _ => None,
        }
    }

    /// Whether a client's own repetition finds what the first attempt did.
    pub(crate) fn is_repeated(self) -> bool {
        self.arrives() && self.then().is_none()
    }

    pub(crate) fn fault(self, remote: Remote, gate: &Gate) -> Fault {
        match self {
            Self::NeverArrives => Fault::DropBefore,
            Self::AnswerLost => Fault::DropAfter,
            Self::DiesBefore | Self::HangsBefore => Fault::HoldBefore(gate.clone()),
            Self::DiesAfter | Self::HangsAfter => Fault::HoldAfter(gate.clone()),
            Self::ServerError => Fault::Answer(Answer::status(500)),
            Self::ServerErrorAfter => Fault::Replace(Answer::status(500)),
            Self::Throttled if remote == Remote::Table => {
                let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                let body = format!(r#"{{"__type":"{kind}","message":"slow down"}}"#);
                let answer = Answer::status(400).header("content-type", "application/x-amz-json-1.0");
                Fault::Answer(answer.body(&body))
            }
            Self::Throttled => Fault::Answer(Answer::status(429).header("retry-after", "60")),
            Self::CutInHalf => Fault::Truncate,
            Self::Html => Fault::Answer(Answer::html()),
            Self::HtmlAfter => Fault::Replace(Answer::html()),
        }
    }
}
