//! What a handler gives back: an answer now, an answer later, none, or the end of the connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use protocol::frame::encode_response;
use protocol::{ApiKey, Message};

use crate::memory::Held;
use crate::rejections::Closing;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These bytes go out, size prefix included.
    Frame(Vec<Bytes>),
    /// The same, with the node's memory that they hold until they are out.
    Large(Vec<Bytes>, Held),
    /// Nothing goes out (produce with acks=0).
    Nothing,
    /// The connection is closed, for this reason.
    Close(Closing),
}

/// A reply whose turn to be written has not come.
pub(crate) enum Reply {
    /// Known already.
    Now(Outcome),
    /// Known when the future completes. It is polled from when its turn to be written may have come.
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// The same, for what may wait for memory that others wait for, too: it is not polled before every reply
    /// before it has been written, and then until it is known. What it waits for is never its own for longer
    /// than it takes to use it.
    InTurn(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Now(outcome) => write!(f, "Now({outcome:?})"),
            Reply::Later(_) => f.write_str("Later"),
            Reply::InTurn(_) => f.write_str("InTurn"),
        }
    }
}

/// How the answer to one request is framed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Responder {
    pub key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

impl Responder {
    /// The frame of `response`. A message that cannot be encoded is our own mistake; the client must not
    /// wait for it in vain, so the connection ends.
    pub fn frame<M: Message>(&self, response: &M) -> Outcome {
        self.frame_at(response, self.version)
    }

    /// The frame of `response` in another version than that of the request.
    pub fn frame_at<M: Message>(&self, response: &M, version: i16) -> Outcome {
        let header_version = protocol::response_header_version(self.key, version);
        match encode_response(self.correlation_id, header_version, response, version) {
            Ok(chunks) => Outcome::Frame(chunks),
            Err(error) => {
                tracing::error!(api = self.key.name(), version, %error, "an answer cannot be encoded");
                Outcome::Close(Closing::internal(format!(
                    "the answer cannot be encoded: {error}"
                )))
            }
        }
    }

    /// `response`, now.
    pub fn now<M: Message>(&self, response: &M) -> Reply {
        Reply::Now(self.frame(response))
    }

    /// The response that `future` gives, later.
    pub fn later<M: Message>(self, future: impl Future<Output = M> + Send + 'static) -> Reply {
        Reply::Later(Box::pin(async move { self.frame(&future.await) }))
    }
}
