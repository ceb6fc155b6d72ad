//! Every Kafka message: structs, codecs, frames and version tables, generated from schemas.
//!
//! `schemas/` says which fields each message has in which version; `cargo xtask codegen` turns it
//! into [`messages`], one module per message with the message's own struct and those nested in it.
//! The main structs are also here at the root: `protocol::FetchRequest`, with its parts in
//! `protocol::fetch_request`.
//!
//! What this crate does not do: look into record batches (that is `records`), know what a value
//! means (an error code is an `i16`, a topic name is any text), or read sockets.
//!
//! Invariants:
//! * `decode(encode(m, v), v) == m` for every message `m` that version `v` can carry; a message that
//!   it cannot carry is an [`EncodeError`], never a silently dropped field (unless the schema calls
//!   the field ignorable).
//! * Decoding never panics, and takes at most [`DecodeLimits::decoded_bytes_max`] bytes of memory
//!   for arrays (twice that while one grows); text, byte strings and records are slices of the frame.
//! * Encoding copies no byte string of 1 KiB or more.

mod codec;

pub mod api;
pub mod frame;
pub mod record;

#[path = "generated/mod.rs"]
pub mod messages;

pub use messages::*;

pub use api::{ApiInfo, ApiKey, request_header_version, response_header_version};
pub use codec::{
    DecodeError, DecodeLimits, EncodeError, Message, Reader, Records, Request, Str, TagMark, Tags,
    Writer,
};
pub use frame::{
    RequestHeader, decode_request_header, decode_response, decode_response_header, encode_request,
    encode_response,
};

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod tests;
