//! Exit codes: what a script learns without reading.

use std::fmt;
use std::io;
use std::process::ExitCode;

use broker::StartError;
use storage::StorageError;
use types::ErrorCode;

use crate::commands::explain::advice;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked to.
    Ok,
    /// It failed.
    Failed,
    /// It was asked wrongly.
    Usage,
    /// Some items failed.
    Partial,
    /// What it was asked about does not exist.
    NotFound,
    /// It may not do that.
    NotAuthorised,
    /// Nobody answered in time.
    Unreachable,
    /// It would destroy something, and `--yes` or `--force` is missing; or the state of things forbids it.
    Precondition,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partial => 3,
            Exit::NotFound => 4,
            Exit::NotAuthorised => 5,
            Exit::Unreachable => 6,
            Exit::Precondition => 7,
            Exit::Interrupted => 130,
        }
    }

    /// What a broker's refusal comes to.
    fn of_code(code: ErrorCode) -> Exit {
        match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::GROUP_ID_NOT_FOUND
            | ErrorCode::RESOURCE_NOT_FOUND
            | ErrorCode::TRANSACTIONAL_ID_NOT_FOUND => Exit::NotFound,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::DELEGATION_TOKEN_AUTHORIZATION_FAILED
            | ErrorCode::SASL_AUTHENTICATION_FAILED => Exit::NotAuthorised,
            ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::BROKER_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::NETWORK_EXCEPTION => Exit::Unreachable,
            ErrorCode::NON_EMPTY_GROUP
            | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
            | ErrorCode::TOPIC_DELETION_DISABLED => Exit::Precondition,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An error that knows its exit code: what happened, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
    pub next: Option<String>,
}

impl Failure {
    /// A failure with this exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            next: None,
        }
    }

    /// A command line that asks for what cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// The same, with what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }

    /// What a client's error comes to. `what` was being done.
    pub(crate) fn client(what: &str, error: &client::Error) -> Failure {
        use client::Error;
        let (exit, next) = match error {
            Error::Server { code, .. } => {
                let next = match advice::of(*code) {
                    Some(advice) => advice.next.to_owned(),
                    None => format!("`ottla explain {}`", code.name()),
                };
                (Exit::of_code(*code), Some(next))
            }
            Error::Io { .. } | Error::Closed { .. } | Error::Timeout { .. } => {
                let next = "is the node running, and is this the address that it advertises? \
                            `--bootstrap HOST:PORT` says whom to ask, `--timeout` how long";
                (Exit::Unreachable, Some(next.to_owned()))
            }
            Error::Unsupported { .. } => {
                let next = "`ottla cluster info` shows what the broker is; an older one lacks this";
                (Exit::Failed, Some(next.to_owned()))
            }
            Error::Protocol { .. } => {
                let next = "does a Kafka-compatible broker listen there, without TLS?";
                (Exit::Failed, Some(next.to_owned()))
            }
            Error::Invalid(_) => (Exit::Usage, None),
        };
        Failure {
            exit,
            message: format!("{what}: {error}"),
            next,
        }
    }
}

impl Failure {
    /// What an error of a data directory comes to. `what` was being done.
    pub(crate) fn storage(what: &str, error: StorageError) -> Failure {
        let next = match &error {
            StorageError::ForeignDisk { .. } => {
                "is it the right directory? `--data DIR` names another; a node that runs on this one must be stopped \
                 first. It was left as it is"
            }
            StorageError::Io { .. } => {
                "is the disk there, has it room, and may this user write to it?"
            }
            StorageError::Damaged { .. } | StorageError::Identity { .. } => {
                "`ottla log verify DIR` tells which logs are sound; what is damaged must come from a copy"
            }
        };
        Failure::of(what, error.into()).next(next)
    }

    /// What keeps a node from starting.
    pub(crate) fn start(error: StartError) -> Failure {
        let what = "the node cannot start";
        let next = match error {
            // It has its cause's words, and hides which one that is.
            StartError::Storage(error) => return Failure::storage(what, error),
            StartError::Listen { ref source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "stop what listens there, or choose another port: `--listen HOST:PORT`, 0 takes a free one"
                }
                io::ErrorKind::PermissionDenied => {
                    "choose a port from 1024 on: `--listen HOST:PORT`"
                }
                _ => "HOST must be an address of this machine: `--listen HOST:PORT`",
            }
            .to_owned(),
            StartError::Controller(_) | StartError::Stopped(_) => {
                "is the disk sound, and has it room? `ottla log verify DIR` tells which logs are sound".to_owned()
            }
            StartError::Registration(code) => format!("`ottla explain {}`", code.name()),
        };
        Failure::of(what, error.into()).next(next)
    }

    /// An error whose words are its causes' too.
    fn of(what: &str, error: anyhow::Error) -> Failure {
        let exit = of(&error).unwrap_or(Exit::Failed);
        Failure::new(exit, format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(next) = &self.next {
            write!(f, "\nnext: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error: its own if it is a [`Failure`]. `None` if it is that nobody reads the output any
/// more (`| head`), which is no error.
pub(crate) fn of(error: &anyhow::Error) -> Option<Exit> {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.exit);
        }
        let io = match cause.downcast_ref::<StorageError>() {
            Some(StorageError::ForeignDisk { .. }) => return Some(Exit::Precondition),
            Some(StorageError::Io { source, .. }) => Some(source),
            _ => cause.downcast_ref::<io::Error>(),
        };
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => return None,
            Some(io::ErrorKind::NotFound) => return Some(Exit::NotFound),
            Some(io::ErrorKind::PermissionDenied) => return Some(Exit::NotAuthorised),
            _ => {}
        }
    }
    Some(Exit::Failed)
}

/// An error of a configuration: asked wrongly, unless it is that a file is missing or may not be read.
pub(crate) fn configuration(error: anyhow::Error) -> anyhow::Error {
    match of(&error) {
        Some(Exit::Failed) => Failure::usage(format!("{error:#}")).into(),
        _ => error,
    }
}

/// The outcome of a command about several items: each failure is told at once, and the exit code says whether
/// there were any, or nothing else.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: usize,
    failures: Vec<Exit>,
}

impl Tally {
    /// An item is done.
    pub(crate) fn done(&mut self) {
        self.done += 1;
    }

    /// An item failed.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        eprintln!("ottla: {failure}");
        self.failures.push(failure.exit);
    }

    /// Takes in a result; its value goes on.
    pub(crate) fn take<T>(&mut self, what: &str, result: client::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.done();
                Some(value)
            }
            Err(error) => {
                self.failed(&Failure::client(what, &error));
                None
            }
        }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self.failures.split_first() {
            None => Exit::Ok,
            Some(_) if self.done > 0 => Exit::Partial,
            Some((first, rest)) if rest.iter().all(|exit| exit == first) => *first,
            Some(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_decides_the_code() {
        let code = |error: &client::Error| Failure::client("x", error).exit.code();
        let refused = |code| client::Error::server(code);
        assert_eq!(code(&refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)), 4);
        assert_eq!(code(&refused(ErrorCode::GROUP_ID_NOT_FOUND)), 4);
        assert_eq!(code(&refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED)), 5);
        assert_eq!(code(&refused(ErrorCode::REQUEST_TIMED_OUT)), 6);
        assert_eq!(code(&refused(ErrorCode::NON_EMPTY_GROUP)), 7);
        assert_eq!(code(&refused(ErrorCode::TOPIC_ALREADY_EXISTS)), 1);
        assert_eq!(code(&client::Error::Invalid("no".into())), 2);
        let closed = client::Error::Closed {
            peer: "a:1".into(),
            sent: false,
        };
        assert_eq!(code(&closed), 6);
    }

    #[test]
    fn every_code_of_a_failure_survives_context() {
        let error =
            anyhow::Error::new(Failure::new(Exit::NotFound, "gone")).context("while looking");
        assert_eq!(of(&error), Some(Exit::NotFound));
        let pipe =
            anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(of(&pipe), None);
        assert_eq!(of(&anyhow::anyhow!("else")), Some(Exit::Failed));
    }

    #[test]
    fn some_of_many() {
        let failed = |exits: &[Exit], done| Tally {
            done,
            failures: exits.to_vec(),
        };
        assert_eq!(failed(&[], 2).exit(), Exit::Ok);
        assert_eq!(failed(&[Exit::NotFound], 1).exit(), Exit::Partial);
        assert_eq!(
            failed(&[Exit::NotFound, Exit::NotFound], 0).exit(),
            Exit::NotFound
        );
        assert_eq!(
            failed(&[Exit::NotFound, Exit::Failed], 0).exit(),
            Exit::Failed
        );
    }
}
