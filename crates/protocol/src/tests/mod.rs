//! Properties of all messages in all versions: what is written is read back, and no bytes whatever
//! do harm.

mod frames;
mod golden;
mod hostile;
mod memory;
mod properties;

use bytes::Bytes;

use crate::messages::with_all_messages;
use crate::{DecodeError, EncodeError, Message, Reader, Writer, testing};

/// A message without its type.
struct Codec {
    name: &'static str,
    versions: (i16, i16),
    flexible_from: i16,
    /// Makes up a message, writes it, reads it back, compares, and returns the bytes.
    round_trip: fn(seed: u64, version: i16) -> Bytes,
    /// Reads a message and forgets it.
    decode: fn(&mut Reader, version: i16) -> Result<(), DecodeError>,
    /// Reads a message and writes it again; also gives the bytes that were left.
    recode: fn(&mut Reader, version: i16) -> Result<Bytes, DecodeError>,
    /// The same with the default message.
    default_round_trip: fn(version: i16) -> Result<(), EncodeError>,
}

macro_rules! table {
    ($($message:ident)*) => { &[$(codec::<crate::messages::$message>()),*] };
}

static CODECS: &[Codec] = with_all_messages!(table);

const fn codec<M: Message>() -> Codec {
    Codec {
        name: M::NAME,
        versions: M::VERSIONS,
        flexible_from: M::FLEXIBLE_FROM,
        round_trip: round_trip::<M>,
        decode: |r, version| M::decode(r, version).map(drop),
        recode: recode::<M>,
        default_round_trip: default_round_trip::<M>,
    }
}

fn encode<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    let len = w.len();
    let bytes = w.into_bytes();
    assert_eq!(bytes.len(), len);
    Ok(bytes)
}

fn recode<M: Message>(r: &mut Reader, version: i16) -> Result<Bytes, DecodeError> {
    let message = M::decode(r, version)?;
    Ok(encode(&message, version)
        .unwrap_or_else(|e| panic!("{} v{version} was read and cannot be written: {e}", M::NAME)))
}

fn round_trip<M: Message>(seed: u64, version: i16) -> Bytes {
    let message: M = testing::arbitrary(seed, version);
    let bytes = encode(&message, version)
        .unwrap_or_else(|e| panic!("{} v{version} seed {seed}: {e}", M::NAME));
    let mut r = Reader::new(bytes.clone());
    let back = M::decode(&mut r, version)
        .unwrap_or_else(|e| panic!("{} v{version} seed {seed}: {e}", M::NAME));
    assert_eq!(r.expect_end(), Ok(()), "{} v{version} seed {seed}", M::NAME);
    assert_eq!(back, message, "{} v{version} seed {seed}", M::NAME);
    bytes
}

fn default_round_trip<M: Message>(version: i16) -> Result<(), EncodeError> {
    let bytes = encode(&M::default(), version)?;
    let mut r = Reader::new(bytes);
    let back = M::decode(&mut r, version).expect("what was written is read");
    assert_eq!(r.expect_end(), Ok(()));
    assert_eq!(back, M::default(), "{} v{version}", M::NAME);
    Ok(())
}

/// Calls `check` for every message and version.
fn each(mut check: impl FnMut(&'static Codec, i16)) {
    for codec in CODECS {
        for version in codec.versions.0..=codec.versions.1 {
            check(codec, version);
        }
    }
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text
        .lines()
        .map(|line| line.split('#').next().unwrap())
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .map(|c| {
            c.to_digit(16)
                .unwrap_or_else(|| panic!("{c:?} is no hex digit")) as u8
        })
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn every_message_is_there() {
    assert_eq!(CODECS.len(), 278);
    let mut pairs = 0;
    each(|_, _| pairs += 1);
    assert_eq!(pairs, 744);
}
