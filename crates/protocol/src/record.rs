//! The frames of records whose content schemas describe: coordinator records in
//! `__consumer_offsets`, `__transaction_state` and `__share_group_state`, and metadata records.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError, Message, Reader, Writer};

/// The key of a coordinator record.
pub trait CoordinatorKey: Message {
    /// The number in front of the key.
    const RECORD_TYPE: i16;
    /// What the record's value holds.
    type Value: Message;
}

/// A coordinator record's key: its type in two bytes, then the message in its only version.
///
/// # Errors
///
/// A string is too long.
pub fn encode_key<K: CoordinatorKey>(key: &K) -> Result<Bytes, EncodeError> {
    let mut w = Writer::with_capacity(64);
    w.i16(K::RECORD_TYPE);
    key.encode(&mut w, K::VERSIONS.1)?;
    Ok(w.into_bytes())
}

/// A coordinator record's value: the version in two bytes, then the message.
///
/// # Errors
///
/// The message has something that `version` cannot carry.
pub fn encode_value<V: Message>(value: &V, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::with_capacity(128);
    w.i16(version);
    value.encode(&mut w, version)?;
    Ok(w.into_bytes())
}

/// Reads a coordinator record's value of a known type.
///
/// # Errors
///
/// The bytes are no such value.
pub fn decode_value<V: Message>(bytes: Bytes) -> Result<V, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.i16()?;
    V::decode(&mut r, version)
}

/// Reads a coordinator record's key of a known type.
///
/// # Errors
///
/// The bytes are no such key.
pub fn decode_key<K: CoordinatorKey>(bytes: Bytes) -> Result<K, DecodeError> {
    let mut r = Reader::new(bytes);
    let record_type = r.i16()?;
    if record_type != K::RECORD_TYPE {
        return Err(DecodeError::UnknownRecordType(record_type as u16 as u32));
    }
    K::decode(&mut r, K::VERSIONS.1)
}

/// Version of the frame around metadata records.
const FRAME_VERSION: u32 = 1;

/// Writes a metadata record's frame: frame version, type and version, each a varint.
pub(crate) fn encode_frame(w: &mut Writer, api_key: i16, version: i16) {
    w.uvarint(FRAME_VERSION);
    w.uvarint(u32::from(api_key.unsigned_abs()));
    w.uvarint(u32::from(version.unsigned_abs()));
}

/// Reads a metadata record's frame: type and version.
pub(crate) fn decode_frame(r: &mut Reader) -> Result<(u32, i16), DecodeError> {
    let frame_version = r.uvarint()?;
    if frame_version != FRAME_VERSION {
        return Err(DecodeError::UnknownFrameVersion(frame_version));
    }
    let api_key = r.uvarint()?;
    // A version that does not fit is as unknown as any other that does not exist.
    let version = i16::try_from(r.uvarint()?).unwrap_or(i16::MAX);
    Ok((api_key, version))
}
