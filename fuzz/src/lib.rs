//! What fuzz targets share: every API's decoders behind one table.

use bytes::Bytes;
use protocol::{DecodeError, Message, Reader, Request, Writer};

/// An API, and what is asked of its messages.
pub struct Api {
    /// Its number.
    pub key: i16,
    /// The versions that exist.
    pub versions: (i16, i16),
    /// Judges the bytes of a request's body.
    pub request: fn(&[u8], i16) -> Verdict,
    /// Judges the bytes of a response's body.
    pub response: fn(&[u8], i16) -> Verdict,
}

/// Whether bytes were a message.
pub type Verdict = Result<(), DecodeError>;

impl Api {
    const fn of<R: Request>() -> Api {
        Api {
            key: R::KEY.0,
            versions: R::VERSIONS,
            request: judge::<R>,
            response: judge::<R::Response>,
        }
    }

    /// The API with this number.
    pub fn find(key: i16) -> Option<&'static Api> {
        APIS.iter().find(|api| api.key == key)
    }

    /// Brings any number into the range of versions.
    pub fn version(&self, any: u8) -> i16 {
        let (first, last) = self.versions;
        first + i16::from(any) % (last - first + 1)
    }
}

/// Every API.
pub static APIS: &[Api] = include!(concat!(env!("OUT_DIR"), "/apis.rs"));

/// Bytes that decode also encode, and what was encoded decodes to the same. Compares bytes and not
/// messages, because messages hold floats and a NaN is not equal to itself.
fn judge<M: Message>(bytes: &[u8], version: i16) -> Verdict {
    let message = M::decode(&mut Reader::new(Bytes::copy_from_slice(bytes)), version)?;
    let encoded = encode(&message, version);
    let mut r = Reader::new(encoded.clone());
    match M::decode(&mut r, version) {
        Ok(again) => {
            assert_eq!(r.expect_end(), Ok(()), "{} v{version}", M::NAME);
            assert_eq!(encode(&again, version), encoded, "{} v{version}", M::NAME);
        }
        // The shortest form of a message may have fewer bytes than the form it came in, and with
        // them a smaller budget for what it decodes to.
        Err(DecodeError::TooLargeDecoded { .. }) if encoded.len() < bytes.len() => {}
        Err(error) => panic!("{} v{version}: {error} in {encoded:?}", M::NAME),
    }
    Ok(())
}

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut w = Writer::with_capacity(256);
    message
        .encode(&mut w, version)
        .expect("a version can carry what it brought");
    w.into_bytes()
}
