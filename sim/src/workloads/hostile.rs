//! A client that sends rubbish, half frames and many requests at once. The broker may hang up; it may not
//! fall over, answer out of order or answer nonsense. Once nothing breaks any more it may not hang up on
//! requests that make sense either, and owes an answer to each.

use bytes::{Buf, Bytes, BytesMut};
use env::entropy::ChaCha8Rng;
use env::{Clock, Connection, Either, Env, Network, race};
use protocol::{
    ApiVersionsRequest, FetchRequest, ListGroupsRequest, Message, MetadataRequest, Reader, Request,
    decode_response_header, encode_request, response_header_version,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use world::seed::Draw;

use super::Client;
use crate::oracles::wire::Wire;
use crate::scenario;

/// Sends as many things as it is told.
pub async fn run(client: Client, spec: scenario::Hostile) {
    let mut dice = client.dice();
    for _ in 0..spec.operations {
        if client.history.is_draining() {
            break;
        }
        let until = client
            .env
            .clock()
            .mono()
            .after_ms(client.patience_ms as i64);
        let visit = visit(&client, &mut dice);
        race(visit, client.env.clock().sleep_until(until)).await;
        client.pause(&mut dice, spec.pause_ms_max).await;
    }
    client.history.finish(&client.name);
}

/// How long the broker may take over a pipeline in peace, in ms.
const ANSWERS_MS: i64 = 60_000;
/// How often a pipeline is tried on which the broker hangs up.
const PIPELINES_MAX: u32 = 3;
/// How long somebody listens for an answer too many, in ms.
const EXTRA_MS: i64 = 500;

/// Many requests at once in peace: each is answered, once. Not judged if the broker cannot be reached or its
/// process ends meanwhile, which the connection shows.
pub async fn one_answer_each(client: &Client) {
    let mut dice = client.dice();
    let mut hung_up = 0;
    for _ in 0..PIPELINES_MAX {
        let Ok(connection) = client.env.network().connect("broker", 9092).await else {
            client.sleep_ms(100).await;
            continue;
        };
        let (mut reader, mut writer) = connection.split();
        let mut wire = Wire::default();
        let clock = client.env.clock();
        let until = clock.mono().after_ms(ANSWERS_MS);
        let answers = pipeline(client, &mut dice, &mut wire, &mut reader, &mut writer);
        let closed = match race(answers, clock.sleep_until(until)).await {
            Either::First(Heard::All) => {
                let until = clock.mono().after_ms(EXTRA_MS);
                let extra = race(read_frame(&mut reader), clock.sleep_until(until)).await;
                if let Either::First(Some(_)) = extra {
                    let mut inner = client.history.lock();
                    wire.answered(-1, &mut inner.judge);
                }
                false
            }
            Either::First(Heard::Closed) => true,
            Either::Second(()) => false,
        };
        wire.silent(closed, &mut client.history.lock().judge);
        if !closed {
            client.history.exercised("pipeline-answered");
            return;
        }
        client.history.exercised("pipeline-hung-up");
        hung_up += 1;
    }
    // Once it may be a process that ended; now and again it is the answer that is missing.
    client.history.judge("W2", hung_up < PIPELINES_MAX, || {
        format!("the broker hung up on {hung_up} good pipelines in a row")
    });
}

async fn visit(client: &Client, dice: &mut ChaCha8Rng) {
    let Ok(connection) = client.env.network().connect("broker", 9092).await else {
        return;
    };
    let (mut reader, mut writer) = connection.split();
    if dice.coin() {
        client.history.exercised("pipelined");
        let mut wire = Wire::default();
        pipeline(client, dice, &mut wire, &mut reader, &mut writer).await;
    } else {
        client.history.exercised("rubbish");
        rubbish(client, dice, &mut reader, &mut writer).await;
    }
}

/// How the answers to a pipeline end.
enum Heard {
    /// With the last of them.
    All,
    /// The connection ended before.
    Closed,
}

/// Many requests at once, some of which wait, so that answers could overtake each other.
async fn pipeline<R, W>(
    client: &Client,
    dice: &mut ChaCha8Rng,
    wire: &mut Wire,
    reader: &mut R,
    writer: &mut W,
) -> Heard
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut frames: Vec<Bytes> = Vec::new();
    let mut asked: Vec<Due> = Vec::new();
    let first = dice.below(1 << 30) as i32;
    for number in 0..1 + dice.below(12) as i32 {
        let id = first + number;
        let encoded = match dice.below(4) {
            // Any of the versions, in turn.
            0 => ask(
                &ApiVersionsRequest::default(),
                id,
                (id % 4) as i16,
                &mut asked,
            ),
            1 => ask(
                &MetadataRequest::default(),
                id,
                1 + (id % 12) as i16,
                &mut asked,
            ),
            2 => ask(
                &ListGroupsRequest::default(),
                id,
                (id % 5) as i16,
                &mut asked,
            ),
            _ => {
                let waits = FetchRequest {
                    max_wait_ms: dice.below(300) as i32,
                    min_bytes: 1,
                    max_bytes: 1000,
                    session_epoch: -1,
                    ..FetchRequest::default()
                };
                ask(&waits, id, 12, &mut asked)
            }
        };
        wire.sent(id);
        frames.extend(encoded);
    }
    let sends = async {
        for frame in frames {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
        let _ = writer.flush().await;
        std::future::pending::<()>().await;
    };
    let reads = async {
        for due in asked {
            let Some(frame) = read_frame(reader).await else {
                return Heard::Closed;
            };
            let header =
                decode_response_header(&mut Reader::new(frame.clone()), due.header_version);
            let mut inner = client.history.lock();
            let body = (due.decode)(frame, due.version);
            inner.judge.check("W7", body.is_ok(), || {
                let version = due.version;
                let error = body.expect_err("it is not");
                format!("an answer in version {version} cannot be read: {error}")
            });
            match header {
                Ok(id) => wire.answered(id, &mut inner.judge),
                Err(error) => inner.judge.check("W2", false, || error.to_string()),
            }
        }
        Heard::All
    };
    match race(reads, sends).await {
        Either::First(heard) => heard,
        Either::Second(()) => Heard::Closed,
    }
}

/// An answer that is due.
struct Due {
    header_version: i16,
    version: i16,
    decode: fn(Bytes, i16) -> Result<(), String>,
}

/// Reads an answer to its last byte.
fn decode<R: Request>(frame: Bytes, version: i16) -> Result<(), String> {
    let mut reader = Reader::new(frame);
    let header = response_header_version(R::KEY, version);
    decode_response_header(&mut reader, header).map_err(|error| error.to_string())?;
    R::Response::decode(&mut reader, version).map_err(|error| error.to_string())?;
    match reader.remaining() {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left")),
    }
}

fn ask<R: Request>(request: &R, id: i32, version: i16, asked: &mut Vec<Due>) -> Vec<Bytes> {
    asked.push(Due {
        header_version: response_header_version(R::KEY, version),
        version,
        decode: decode::<R>,
    });
    encode_request(id, Some("hostile"), request, version).expect("it can be sent")
}

/// A frame, or nothing if the other side hung up.
async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R) -> Option<Bytes> {
    let mut size = [0; 4];
    reader.read_exact(&mut size).await.ok()?;
    let size = usize::try_from((&size[..]).get_i32()).ok()?;
    let mut frame = BytesMut::zeroed(size.min(1 << 20));
    reader.read_exact(&mut frame).await.ok()?;
    Some(frame.freeze())
}

/// What no client sends.
async fn rubbish<R, W>(client: &Client, dice: &mut ChaCha8Rng, reader: &mut R, writer: &mut W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut asked = Vec::new();
    let good: Vec<u8> = ask(&MetadataRequest::default(), 1, 12, &mut asked)
        .iter()
        .flat_map(|part| part.to_vec())
        .collect();
    let bytes: Vec<u8> = match dice.below(6) {
        // Noise.
        0 => (0..dice.magnitude(1, 4096))
            .map(|_| dice.word() as u8)
            .collect(),
        // A length that promises too much, or is negative.
        1 => {
            let length = [i32::MAX, -1, i32::MIN, 0, 1 << 29][dice.index(5)];
            length.to_be_bytes().to_vec()
        }
        // Half a frame.
        2 => good[..1 + dice.index(good.len() - 1)].to_vec(),
        // A frame with a flipped bit behind its length.
        3 => {
            let mut bytes = good;
            let at = 4 + dice.index(bytes.len() - 4);
            bytes[at] ^= 1 << dice.below(8);
            bytes
        }
        // An API or a version that there is not.
        4 => {
            let mut bytes = good;
            bytes[4 + dice.index(4)] = dice.word() as u8;
            bytes
        }
        // A frame of zeros.
        _ => {
            let len = dice.below(200) as usize;
            let mut bytes = (len as i32).to_be_bytes().to_vec();
            bytes.resize(4 + len, 0);
            bytes
        }
    };
    if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
        return;
    }
    // Whatever the answer is, the broker must come to an end with it.
    let until = client.env.clock().mono().after_ms(300);
    let end = race(read_frame(reader), client.env.clock().sleep_until(until)).await;
    if let Either::First(None) = end {
        client.history.exercised("rubbish-hung-up");
    }
}
