//! The ways in which a request can fail.

use sim::wire::{Answer, Fault, Gate};

use crate::request::Remote;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailureMode {
    /// The request does not reach the server: the connection closes.
    NeverArrives,
    /// The server carries the request out; the connection closes before the response.
    AnswerLost,
    /// The process ends while it sends the request, and the request does not reach the server.
    DiesBefore,
    /// The process ends after the server has carried the request out, before the response.
    DiesAfter,
    /// Status 500; the server did nothing.
    ServerError,
    /// Status 500; the server carried the request out.
    ServerErrorAfter,
    /// Status 429 with `Retry-After`; for the table, DynamoDB's own throttling error.
    Throttled,
    /// The request does not reach the server, and no response comes until the process gives up.
    HangsBefore,
    /// The server carries the request out, and no response comes until the process gives up.
    HangsAfter,
    /// The server carries the request out; the response breaks off half way.
    CutInHalf,
    /// An intermediary answers with an error page; the server did nothing.
    Html,
    /// The server carries the request out; an intermediary replaces the response by an HTML page.
    HtmlAfter,
}

/// What the test does once the request waits at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// End the process.
    Die,
    /// Let time pass until the process gives up.
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

    /// Whether the server carries the request out.
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

    /// Whether the client's own retry meets the effect of the first attempt.
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
