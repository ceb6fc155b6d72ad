//! What a broker does on its end of a connection.

use bytes::Bytes;
use protocol::{
    Message, Reader, RequestHeader, decode_request_header, encode_response, response_header_version,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The next request; `None` when the client has closed.
pub(crate) async fn request(
    input: &mut (impl AsyncRead + Unpin),
) -> Option<(RequestHeader, Reader)> {
    let mut size = [0u8; 4];
    input.read_exact(&mut size).await.ok()?;
    let mut frame = vec![0u8; u32::from_be_bytes(size) as usize];
    input.read_exact(&mut frame).await.ok()?;
    let mut reader = Reader::new(Bytes::from(frame));
    let header = decode_request_header(&mut reader).unwrap();
    Some((header, reader))
}

/// Answers a request.
pub(crate) async fn answer<M: Message>(
    output: &mut (impl AsyncWrite + Unpin),
    header: &RequestHeader,
    message: &M,
) {
    let header_version = response_header_version(header.api_key, header.api_version);
    let id = header.correlation_id;
    let frames = encode_response(id, header_version, message, header.api_version).unwrap();
    for frame in frames {
        output.write_all(&frame).await.unwrap();
    }
}
