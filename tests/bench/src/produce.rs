//! Closed loop: each connection keeps so many requests in flight.
//!
//! One thread drives all connections, and requests go out as many to a system call as there is room, so
//! that this program takes little of the machine that it shares with the broker.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::frames::Produce;
use crate::peer::Peer;
use crate::rows::{Meter, Sample, Shape, Times, quantiles};

struct Seen {
    requests: u64,
    bytes: u64,
    latency: Histogram<u64>,
}

/// Runs the load.
pub(crate) fn run(
    peer: &Peer,
    topic: &str,
    shape: Shape,
    acks: i16,
    times: Times,
) -> Result<Sample> {
    let seen = Rc::new(RefCell::new(Seen {
        requests: 0,
        bytes: 0,
        latency: Histogram::new(3)?,
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let mut running = Vec::new();
        for number in 0..shape.connections {
            let partition = i32::try_from(number)? % shape.partitions;
            let frame = Produce::new(topic, partition, shape, acks)?;
            let stream = TcpStream::connect(peer.address()).await?;
            stream.set_nodelay(true)?;
            let seen = Rc::clone(&seen);
            let in_flight = shape.in_flight;
            running.push(tokio::task::spawn_local(async move {
                drive(&stream, &frame, in_flight, &seen).await
            }));
        }
        wait(&mut running, times.warm_up).await?;
        let meter = Meter::start(peer)?;
        {
            let mut seen = seen.borrow_mut();
            (seen.requests, seen.bytes) = (0, 0);
            seen.latency.reset();
        }
        wait(&mut running, times.measure).await?;
        let mut sample = Sample::default();
        meter.stop(&mut sample)?;
        let seen = seen.borrow();
        (sample.requests, sample.bytes) = (seen.requests, seen.bytes);
        sample.latency_us = quantiles(&seen.latency);
        Ok(sample)
    })
}

/// Lets the connections work; an error of any of them is ours.
async fn wait(
    running: &mut [tokio::task::JoinHandle<Result<()>>],
    time: std::time::Duration,
) -> Result<()> {
    tokio::time::sleep(time).await;
    for task in running {
        if task.is_finished() {
            task.await??;
            bail!("a connection ended");
        }
    }
    Ok(())
}

/// Never ends well: the connection is dropped when the time is over.
async fn drive(
    stream: &TcpStream,
    frame: &Produce,
    in_flight: usize,
    seen: &RefCell<Seen>,
) -> Result<()> {
    let request = &frame.request[..];
    // When each request in flight was begun, oldest first; the last may be half sent.
    let mut begun: VecDeque<Instant> = VecDeque::new();
    let mut unsent = 0;
    let mut answers = vec![0u8; 64 << 10];
    let mut filled = 0;
    loop {
        let mut blocked = false;
        loop {
            while begun.len() < in_flight {
                begun.push_back(Instant::now());
                unsent += request.len();
            }
            if unsent == 0 {
                break;
            }
            let first = match unsent % request.len() {
                0 => request,
                rest => &request[request.len() - rest..],
            };
            let mut slices = vec![IoSlice::new(first)];
            slices.resize(unsent.div_ceil(request.len()), IoSlice::new(request));
            match stream.try_write_vectored(&slices) {
                Ok(written) => unsent -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    blocked = true;
                    break;
                }
                Err(error) => return Err(error).context("sending"),
            }
        }
        match stream.try_read(&mut answers[filled..]) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let interest = if blocked {
                    Interest::READABLE | Interest::WRITABLE
                } else {
                    Interest::READABLE
                };
                stream.ready(interest).await?;
                continue;
            }
            Err(error) => return Err(error).context("receiving"),
        }
        let mut at = 0;
        let now = Instant::now();
        while let Some(len) = frame.answer(&answers[at..filled])? {
            at += len;
            let Some(start) = begun.pop_front() else {
                bail!("an answer to nothing");
            };
            let mut seen = seen.borrow_mut();
            seen.requests += 1;
            seen.bytes += frame.value_bytes as u64;
            let nanos = u64::try_from((now - start).as_nanos())?;
            seen.latency.record(nanos)?;
        }
        answers.copy_within(at..filled, 0);
        filled -= at;
    }
}
