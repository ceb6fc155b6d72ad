//! One consumer that reads the same data again and again, as much at a time as a client by default.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;

use crate::frames::{self, Produce};
use crate::peer::Peer;
use crate::rows::{Meter, Sample, Shape, Times, quantiles};

const FETCH_BYTES: i32 = 1 << 20;

/// Fills partition 0 with `bytes`, reads it once, and measures from then on.
pub(crate) fn run(
    peer: &Peer,
    topic: &str,
    shape: Shape,
    bytes: usize,
    times: Times,
) -> Result<Sample> {
    let mut stream = TcpStream::connect(peer.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let records = fill(&mut stream, topic, shape, bytes)?;
    let mut answer = Vec::new();
    let mut offset = 0;
    let mut round = |stream: &mut TcpStream| -> Result<u64> {
        if offset >= records {
            offset = 0;
        }
        stream.write_all(&frames::fetch(topic, offset, FETCH_BYTES)?)?;
        receive(stream, &mut answer)?;
        let (read, next) = frames::fetched(&answer, topic)?;
        if next <= offset {
            bail!("nothing was read at offset {offset} of {records}");
        }
        offset = next;
        Ok(read as u64)
    };
    let mut read = 0;
    let warm = Instant::now() + times.warm_up;
    while read < bytes as u64 || Instant::now() < warm {
        read += round(&mut stream)?;
    }
    let mut sample = Sample::default();
    let mut latency: Histogram<u64> = Histogram::new(3)?;
    let meter = Meter::start(peer)?;
    let end = Instant::now() + times.measure;
    let mut before = Instant::now();
    while before < end {
        sample.bytes += round(&mut stream)?;
        sample.requests += 1;
        let now = Instant::now();
        latency.record(u64::try_from((now - before).as_nanos())?)?;
        before = now;
    }
    meter.stop(&mut sample)?;
    sample.latency_us = quantiles(&latency);
    Ok(sample)
}

/// Produces `bytes`; gives the number of records.
fn fill(stream: &mut TcpStream, topic: &str, shape: Shape, bytes: usize) -> Result<i64> {
    let frame = Produce::new(topic, 0, shape, -1)?;
    let mut answer = Vec::new();
    let requests = bytes.div_ceil(frame.value_bytes);
    for _ in 0..requests {
        stream.write_all(&frame.request)?;
        let size = receive(stream, &mut answer)?;
        let mut whole = size.to_be_bytes().to_vec();
        whole.extend_from_slice(&answer);
        frame.answer(&whole)?.context("a whole answer")?;
    }
    let records = requests * frame.value_bytes / shape.record_bytes;
    Ok(i64::try_from(records)?)
}

/// Reads one answer, without its size.
fn receive(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<i32> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = i32::from_be_bytes(size);
    answer.resize(usize::try_from(size)?, 0);
    stream.read_exact(answer)?;
    Ok(size)
}
