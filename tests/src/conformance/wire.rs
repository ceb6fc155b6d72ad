//! A connection to a server: frames in, frames out.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::codec;
use super::schema::Schemas;
use super::value::Value;

/// How long an answer may take. Groups may hold one back for as long as a rebalance.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client id of every request.
pub const CLIENT_ID: &str = "conformance";

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_correlation: i32,
    outstanding: VecDeque<Expected>,
}

#[derive(Clone, Debug)]
struct Expected {
    /// None for raw bytes, whose correlation id is whatever they say.
    correlation: Option<i32>,
    /// How to read it.
    answer: Option<(String, i16)>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An answer that could be read, or a word for one that could not.
    Answer(Value),
    /// The server closed the connection.
    Closed,
    /// Nothing came in time.
    Nothing,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: SocketAddr) -> Result<Connection> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream,
            next_correlation: 1,
            outstanding: VecDeque::new(),
        })
    }

    /// The address of the server.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn server(&self) -> Result<SocketAddr> {
        Ok(self.stream.peer_addr()?)
    }

    /// Sends a message. An error in sending shows as `Closed` when the answer is asked for.
    ///
    /// # Errors
    /// The message cannot be encoded.
    pub fn send(
        &mut self,
        schemas: &Schemas,
        api: &str,
        version: i16,
        body: &Value,
        change: impl FnOnce(&mut Vec<u8>),
        answered: bool,
    ) -> Result<()> {
        let message = schemas.get(&format!("{api}Request"))?;
        let correlation = self.next_correlation;
        self.next_correlation += 1;
        let mut frame = Vec::new();
        frame.extend(
            message
                .api_key
                .context("a request has a key")?
                .to_be_bytes(),
        );
        frame.extend(version.to_be_bytes());
        frame.extend(correlation.to_be_bytes());
        frame.extend((CLIENT_ID.len() as i16).to_be_bytes());
        frame.extend(CLIENT_ID.as_bytes());
        if message.flexible.contains(version) {
            frame.push(0);
        }
        let mut body = codec::encode(schemas, message, version, body)?;
        change(&mut body);
        frame.extend(body);
        self.send_frame(&frame);
        if answered {
            self.outstanding.push_back(Expected {
                correlation: Some(correlation),
                answer: Some((api.to_owned(), version)),
            });
        }
        Ok(())
    }

    /// Sends bytes as they are, with their length before them unless `bare`.
    pub fn send_raw(&mut self, bytes: &[u8], bare: bool, answer: Option<(String, i16)>) {
        if bare {
            let _ = self.stream.write_all(bytes);
        } else {
            self.send_frame(bytes);
        }
        self.outstanding.push_back(Expected {
            correlation: None,
            answer,
        });
    }

    fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend(frame);
        // The server may have closed already; then reading says so.
        let _ = self.stream.write_all(&bytes);
    }

    /// Waits for the answer to the oldest request that has none.
    ///
    /// # Errors
    /// Nothing is outstanding, or the answer is not one.
    pub fn receive(&mut self, schemas: &Schemas) -> Result<Reply> {
        let expected = self
            .outstanding
            .pop_front()
            .context("no answer is outstanding")?;
        let mut length = [0; 4];
        if let Some(reply) = self.read(&mut length)? {
            return Ok(reply);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > 100 << 20 {
            bail!("an answer of {length} bytes");
        }
        let mut frame = vec![0; length];
        if let Some(reply) = self.read(&mut frame)? {
            return Ok(reply);
        }
        let Some((correlation, body)) = frame.split_first_chunk::<4>() else {
            return Ok(word("answer_too_short"));
        };
        let correlation = i32::from_be_bytes(*correlation);
        if expected
            .correlation
            .is_some_and(|wanted| wanted != correlation)
        {
            return Ok(word("answer_to_another_request"));
        }
        let Some((api, version)) = expected.answer else {
            return Ok(Reply::Answer(Value::Bytes(frame)));
        };
        let message = schemas.get(&format!("{api}Response"))?;
        let mut body = body;
        if message.flexible.contains(version) && api != "ApiVersions" {
            match body.split_first() {
                Some((0, rest)) => body = rest,
                _ => return Ok(word("answer_with_a_strange_header")),
            }
        }
        // An unsupported version of ApiVersions is answered in version 0.
        if api == "ApiVersions" && version > 0 && body.starts_with(&[0, 35]) {
            return Ok(Reply::Answer(codec::decode(schemas, message, 0, body)?));
        }
        match codec::decode(schemas, message, version, body) {
            Ok(value) => Ok(Reply::Answer(value)),
            Err(error) => Ok(Reply::Answer(Value::Map(vec![
                ("unreadable".to_owned(), Value::Str(format!("{error:#}"))),
                ("bytes".to_owned(), Value::Bytes(body.to_vec())),
            ]))),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<Reply>> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Ok(None),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe => Ok(Some(Reply::Closed)),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Some(Reply::Nothing)),
                _ => Err(error.into()),
            },
        }
    }
}

fn word(text: &str) -> Reply {
    Reply::Answer(Value::Word(text.to_owned()))
}
