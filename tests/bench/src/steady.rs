//! Open loop: requests leave at their times, whatever the answers do, and latency counts from the time at
//! which a request should have left. So a broker that stalls is charged for all who would have waited.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::frames::Produce;
use crate::peer::Peer;
use crate::rows::{Meter, Sample, Shape, Times, quantiles};

/// Runs the load.
pub(crate) fn run(
    peer: &Peer,
    topic: &str,
    shape: Shape,
    acks: i16,
    per_second: u32,
    times: Times,
) -> Result<Sample> {
    let connections = u32::try_from(shape.connections)?;
    let interval = Duration::from_secs(1) / per_second;
    let start = Instant::now() + Duration::from_millis(100);
    let measured_from = start + times.warm_up;
    let end = measured_from + times.measure;
    let mut threads = Vec::new();
    for number in 0..connections {
        let partition = i32::try_from(number)? % shape.partitions;
        let frame = Produce::new(topic, partition, shape, acks)?;
        let mut stream = TcpStream::connect(peer.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let reading = stream.try_clone()?;
        let (intended, sent) = mpsc::channel();
        let answer = frame.clone();
        threads.push(thread::spawn(move || {
            listen(reading, &answer, &sent, measured_from)
        }));
        thread::spawn(move || -> Result<()> {
            let mut at = start + interval * number;
            while at < end {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                intended.send(at)?;
                stream.write_all(&frame.request)?;
                at += interval * connections;
            }
            Ok(())
        });
    }
    thread::sleep(measured_from.saturating_duration_since(Instant::now()));
    let meter = Meter::start(peer)?;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    let mut sample = Sample::default();
    meter.stop(&mut sample)?;
    let mut latency = Histogram::new(3)?;
    for thread in threads {
        let Ok(heard) = thread.join() else {
            bail!("a thread panicked");
        };
        let (requests, bytes, part) = heard?;
        sample.requests += requests;
        sample.bytes += bytes;
        latency.add(part)?;
    }
    sample.latency_us = quantiles(&latency);
    Ok(sample)
}

/// Reads the answers to everything that was sent.
fn listen(
    mut stream: TcpStream,
    frame: &Produce,
    sent: &mpsc::Receiver<Instant>,
    measured_from: Instant,
) -> Result<(u64, u64, Histogram<u64>)> {
    let mut latency = Histogram::new(3)?;
    let (mut requests, mut bytes) = (0, 0);
    let mut buffer = vec![0u8; 4096];
    let mut filled = 0;
    while let Ok(intended) = sent.recv() {
        let len = loop {
            if let Some(len) = frame.answer(&buffer[..filled])? {
                break len;
            }
            match stream.read(&mut buffer[filled..])? {
                0 => bail!("the broker closed the connection"),
                read => filled += read,
            }
        };
        let took = intended.elapsed();
        buffer.copy_within(len..filled, 0);
        filled -= len;
        if intended >= measured_from {
            latency.record(u64::try_from(took.as_nanos())?)?;
            requests += 1;
            bytes += frame.value_bytes as u64;
        }
    }
    Ok((requests, bytes, latency))
}
