//! The frame around a message on a connection: size, header, body.
//!
//! Reading the size is left to the connection, which must bound it before it waits for the rest.

use bytes::Bytes;

use crate::api::{ApiKey, request_header_version, response_header_version};
use crate::codec::{DecodeError, EncodeError, Message, Reader, Request, Str, Writer};

/// Bytes of the size in front of every frame, which does not count itself.
pub const SIZE_BYTES: usize = 4;

/// The header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API. It exists.
    pub api_key: ApiKey,
    /// The version of the request and of the response. It is supported.
    pub api_version: i16,
    /// What the client wants to see in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Str>,
}

/// Reads the header of a request, `r` being at the start of a frame (after its size), and leaves
/// `r` at the start of the body.
///
/// # Errors
///
/// [`DecodeError::UnknownApiKey`] and [`DecodeError::UnsupportedApiVersion`] carry what is needed to
/// answer; after all others the connection is beyond help.
pub fn decode_request_header(r: &mut Reader) -> Result<RequestHeader, DecodeError> {
    let (api_key, api_version, correlation_id) = (r.i16()?, r.i16()?, r.i32()?);
    let Some(info) = ApiKey(api_key).info() else {
        return Err(DecodeError::UnknownApiKey {
            api_key,
            api_version,
            correlation_id,
        });
    };
    let api_key = info.key;
    if !info.supports(api_version) {
        return Err(DecodeError::UnsupportedApiVersion {
            api_key,
            api_version,
            correlation_id,
        });
    }
    // The client id kept its old encoding in header version 2 (KIP-482).
    let client_id = r.opt_str(false, true)?;
    if request_header_version(api_key, api_version) >= 2 {
        r.skip_tags()?;
    }
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id,
    })
}

/// A request as it goes over the connection, with its size in front.
///
/// # Errors
///
/// The request has something that `version` cannot carry.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
    version: i16,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut w = Writer::with_capacity(256);
    w.i32(0);
    w.i16(R::KEY.0);
    w.i16(version);
    w.i32(correlation_id);
    w.opt_str(
        &client_id.map(Str::from),
        false,
        true,
        "RequestHeader.client_id",
    )?;
    if request_header_version(R::KEY, version) >= 2 {
        w.uvarint(0);
    }
    request.encode(&mut w, version)?;
    w.patch_frame_size()?;
    Ok(w.finish())
}

/// A response as it goes over the connection, with its size in front. For `header_version` see
/// [`response_header_version`].
///
/// # Errors
///
/// The response has something that `version` cannot carry.
pub fn encode_response<M: Message>(
    correlation_id: i32,
    header_version: i16,
    response: &M,
    version: i16,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut w = Writer::with_capacity(256);
    w.i32(0);
    w.i32(correlation_id);
    if header_version >= 1 {
        w.uvarint(0);
    }
    response.encode(&mut w, version)?;
    w.patch_frame_size()?;
    Ok(w.finish())
}

/// Reads the header of a response and returns its correlation id.
///
/// # Errors
///
/// The bytes are no header of this version.
pub fn decode_response_header(r: &mut Reader, header_version: i16) -> Result<i32, DecodeError> {
    let correlation_id = r.i32()?;
    if header_version >= 1 {
        r.skip_tags()?;
    }
    Ok(correlation_id)
}

/// Reads a whole response of `R` (without its size): the correlation id and the message.
///
/// # Errors
///
/// The bytes are no response of this version.
pub fn decode_response<R: Request>(
    frame: Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let mut r = Reader::new(frame);
    let correlation_id = decode_response_header(&mut r, response_header_version(R::KEY, version))?;
    Ok((correlation_id, R::Response::decode(&mut r, version)?))
}
