//! What can go wrong between a client and a cluster, and what is then known of the request.

use std::io;

use protocol::{ApiKey, DecodeError, EncodeError};
use types::ErrorCode;

/// Why a request did not get the answer that was hoped for.
///
/// Whoever must know whether the request was carried out asks [`Error::outcome`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or broke.
    #[error("{what}: {message}")]
    Io {
        /// What was being done, and to whom.
        what: String,
        /// The operating system's kind of error.
        kind: io::ErrorKind,
        /// Its words.
        message: String,
        /// Whether the request may have left this process.
        sent: bool,
    },
    /// The broker closed the connection, or this side gave it up.
    #[error("the connection to {peer} was closed{}", sent_note(*.sent))]
    Closed {
        /// The broker.
        peer: String,
        /// Whether the request may have left this process.
        sent: bool,
    },
    /// Time ran out.
    #[error("{what} took longer than allowed{}", sent_note(*.sent))]
    Timeout {
        /// What was being waited for.
        what: String,
        /// Whether the request may have left this process.
        sent: bool,
    },
    /// The broker lacks the API, or the versions of it that this client or this request needs.
    #[error(
        "the broker at {peer} does not support {api} in a version that this request needs ({detail})"
    )]
    Unsupported {
        /// The broker.
        peer: String,
        /// The API.
        api: ApiKey,
        /// What each side has.
        detail: String,
    },
    /// The broker refused.
    #[error("{code}: {message}")]
    Server {
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's words, or the usual ones for this code.
        message: String,
    },
    /// The broker sent what is not the answer to what was asked.
    #[error("{peer} broke the protocol: {detail}")]
    Protocol {
        /// The broker.
        peer: String,
        /// What was wrong.
        detail: String,
    },
    /// The caller asked for something that cannot be sent.
    #[error("{0}")]
    Invalid(String),
}

fn sent_note(sent: bool) -> &'static str {
    if sent {
        "; the request was sent, so it may have been carried out"
    } else {
        ""
    }
}

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It had no effect and will have none.
    NotDone,
    /// It may have been carried out, or may yet be.
    Unknown,
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A refusal with the usual words for its code.
    #[must_use]
    pub fn server(code: ErrorCode) -> Error {
        Error::Server {
            code,
            message: code.message().to_owned(),
        }
    }

    /// A refusal with the broker's words, if it sent any.
    #[must_use]
    pub fn server_with(code: ErrorCode, message: Option<&str>) -> Error {
        match message {
            Some(message) if !message.is_empty() => Error::Server {
                code,
                message: message.to_owned(),
            },
            _ => Error::server(code),
        }
    }

    /// `Ok` for no error, else the refusal.
    ///
    /// # Errors
    /// [`Error::Server`] for every code but zero.
    pub fn check(code: i16, message: Option<&str>) -> Result<()> {
        match ErrorCode(code) {
            ErrorCode::NONE => Ok(()),
            code => Err(Error::server_with(code, message)),
        }
    }

    pub(crate) fn io(what: impl Into<String>, error: &io::Error, sent: bool) -> Error {
        Error::Io {
            what: what.into(),
            kind: error.kind(),
            message: error.to_string(),
            sent,
        }
    }

    pub(crate) fn timeout(what: impl Into<String>, sent: bool) -> Error {
        Error::Timeout {
            what: what.into(),
            sent,
        }
    }

    pub(crate) fn protocol(peer: &str, detail: impl Into<String>) -> Error {
        Error::Protocol {
            peer: peer.to_owned(),
            detail: detail.into(),
        }
    }

    pub(crate) fn decode(peer: &str, error: DecodeError) -> Error {
        Error::protocol(peer, error.to_string())
    }

    /// What to report of a try that failed with `self` when no other will follow and the one before it
    /// failed with `before`. That time ran out says less than an answer, unless only it tells that the
    /// request may have been carried out.
    pub(crate) fn after(self, before: Option<Error>) -> Error {
        match before {
            Some(before)
                if matches!(self, Error::Timeout { .. })
                    && (self.outcome() == Outcome::NotDone
                        || before.outcome() == Outcome::Unknown) =>
            {
                before
            }
            _ => self,
        }
    }

    /// The failure of a request that changes nothing, as the failure of what it was sent for.
    pub(crate) fn only_asked(mut self) -> Error {
        if let Error::Io { sent, .. } | Error::Closed { sent, .. } | Error::Timeout { sent, .. } =
            &mut self
        {
            *sent = false;
        }
        self
    }

    /// The broker's code, if it was the broker that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What is known of the request. A refusal with a code counts as not done except for the codes
    /// that Kafka gives when time ran out after the work had begun.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let unknown = match self {
            Error::Io { sent, .. } | Error::Closed { sent, .. } | Error::Timeout { sent, .. } => {
                *sent
            }
            Error::Server { code, .. } => {
                matches!(
                    *code,
                    ErrorCode::REQUEST_TIMED_OUT
                        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
                        | ErrorCode::NETWORK_EXCEPTION
                        | ErrorCode::UNKNOWN_SERVER_ERROR
                        | ErrorCode::KAFKA_STORAGE_ERROR
                ) && !types::mutant!("WIR-01")
            }
            Error::Protocol { .. } => true,
            Error::Unsupported { .. } | Error::Invalid(_) => false,
        };
        if unknown {
            Outcome::Unknown
        } else {
            Outcome::NotDone
        }
    }

    /// Whether the connection is at fault and another one may do better.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Error::Io { .. } | Error::Closed { .. } | Error::Timeout { .. }
        )
    }

    /// Whether the same request may succeed when it is sent again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::Server { code, .. } => code.is_retriable(),
            other => other.is_connection(),
        }
    }

    /// Whether what this client knows of leaders and brokers may be out of date.
    #[must_use]
    pub fn wants_metadata(&self) -> bool {
        match self {
            Error::Server { code, .. } => matches!(
                *code,
                ErrorCode::NOT_LEADER_OR_FOLLOWER
                    | ErrorCode::LEADER_NOT_AVAILABLE
                    | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    | ErrorCode::UNKNOWN_TOPIC_ID
                    | ErrorCode::INCONSISTENT_TOPIC_ID
                    | ErrorCode::FENCED_LEADER_EPOCH
                    | ErrorCode::UNKNOWN_LEADER_EPOCH
                    | ErrorCode::REPLICA_NOT_AVAILABLE
                    | ErrorCode::OFFSET_NOT_AVAILABLE
                    | ErrorCode::KAFKA_STORAGE_ERROR
                    | ErrorCode::NOT_CONTROLLER
            ),
            other => other.is_connection(),
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Error {
        Error::Invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_hides_no_answer_and_no_doubt() {
        let late = |sent| Error::timeout("Produce", sent);
        let moved = Error::server(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let broken = Error::server(ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(late(false).after(Some(moved.clone())), moved);
        assert_eq!(late(true).after(Some(moved.clone())), late(true));
        assert_eq!(late(true).after(Some(broken.clone())), broken);
        assert_eq!(moved.clone().after(Some(broken)), moved);
        assert_eq!(late(false).after(None), late(false));
        assert_eq!(late(true).only_asked(), late(false));
    }

    #[test]
    fn outcome_follows_what_left_the_process() {
        let closed = |sent| Error::Closed {
            peer: "b:1".into(),
            sent,
        };
        assert_eq!(closed(true).outcome(), Outcome::Unknown);
        assert_eq!(closed(false).outcome(), Outcome::NotDone);
        assert!(closed(false).is_retriable() && closed(false).wants_metadata());
        let refused = Error::server(ErrorCode::TOPIC_ALREADY_EXISTS);
        assert_eq!(refused.outcome(), Outcome::NotDone);
        assert!(!refused.is_retriable());
        for code in [
            ErrorCode::REQUEST_TIMED_OUT,
            // The disk failed under what was appended.
            ErrorCode::KAFKA_STORAGE_ERROR,
        ] {
            assert_eq!(Error::server(code).outcome(), Outcome::Unknown);
        }
        assert_eq!(
            closed(true).to_string(),
            "the connection to b:1 was closed; the request was sent, so it may have been carried out"
        );
    }
}
