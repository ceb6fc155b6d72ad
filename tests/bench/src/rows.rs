//! What is measured. A row is one load; its topic is made for it and deleted afterwards.

use std::time::Duration;

use anyhow::Result;

use crate::peer::{Kind, Peer};
use crate::usage::Usage;
use crate::{admin, fetch, produce, steady};

/// Who has to have a record before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nobody but the broker's page cache: acks=1.
    Written,
    /// As each broker has it by default with acks=all: Ottla's disk, Kafka's page cache.
    Default,
    /// The disk, on both sides: acks=all, and flush.messages=1 for Kafka.
    Synced,
}

/// A producer's shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of a record's value.
    pub(crate) record_bytes: usize,
    /// A batch is filled up to this; one record if that is less than two.
    pub(crate) batch_bytes: usize,
    pub(crate) partitions: i32,
    pub(crate) connections: usize,
    /// Requests that each connection has in flight.
    pub(crate) in_flight: usize,
}

/// What a row does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// As fast as the answers come.
    Produce(Shape),
    /// This many requests a second, whatever the answers do.
    Steady { shape: Shape, per_second: u32 },
    /// One connection reads `bytes` again and again, a mebibyte at a time.
    Fetch { shape: Shape, bytes: usize },
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) durability: Durability,
    pub(crate) load: Load,
}

const BULK: Shape = Shape {
    record_bytes: 1024,
    batch_bytes: 64 << 10,
    partitions: 4,
    connections: 4,
    in_flight: 5,
};

const ONE_BY_ONE: Shape = Shape {
    record_bytes: 1024,
    batch_bytes: 0,
    partitions: 1,
    connections: 1,
    in_flight: 1,
};

const SMALL: Shape = Shape {
    record_bytes: 100,
    partitions: 4,
    connections: 10,
    in_flight: 5,
    ..ONE_BY_ONE
};

/// A load that no broker feels: what is measured is how long one record takes.
const LIGHT: Load = Load::Steady {
    shape: Shape {
        connections: 10,
        partitions: 4,
        ..ONE_BY_ONE
    },
    per_second: 500,
};

/// All rows, in the order of the table.
pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "produce-1k",
        what: "1 KiB records, 64 KiB batches, 4 partitions, 4 connections x 5, acks=1",
        durability: Durability::Written,
        load: Load::Produce(BULK),
    },
    Row {
        name: "produce-100b",
        what: "100 B records, 64 KiB batches, 4 partitions, 4 connections x 5, acks=1",
        durability: Durability::Written,
        load: Load::Produce(Shape {
            record_bytes: 100,
            ..BULK
        }),
    },
    Row {
        name: "produce-all-1k",
        what: "1 KiB records, 64 KiB batches, 4 partitions, 4 connections x 5, acks=all",
        durability: Durability::Default,
        load: Load::Produce(BULK),
    },
    Row {
        name: "produce-synced-1k",
        what: "1 KiB records, 64 KiB batches, 4 partitions, 4 connections x 5, synced",
        durability: Durability::Synced,
        load: Load::Produce(BULK),
    },
    Row {
        name: "fetch-1k",
        what: "1 KiB records, 256 MiB read again and again, 1 connection x 1 MiB",
        durability: Durability::Written,
        load: Load::Fetch {
            shape: BULK,
            bytes: 256 << 20,
        },
    },
    Row {
        name: "small-10x5",
        what: "one 100 B record per request, 4 partitions, 10 connections x 5, acks=1",
        durability: Durability::Written,
        load: Load::Produce(SMALL),
    },
    Row {
        name: "small-1x1",
        what: "one 100 B record per request, 1 connection x 1, acks=1",
        durability: Durability::Written,
        load: Load::Produce(Shape {
            record_bytes: 100,
            ..ONE_BY_ONE
        }),
    },
    Row {
        name: "synced-1",
        what: "one 1 KiB record per request, 1 producer, synced",
        durability: Durability::Synced,
        load: Load::Produce(ONE_BY_ONE),
    },
    Row {
        name: "synced-64",
        what: "one 1 KiB record per request, 64 producers, 1 partition, synced",
        durability: Durability::Synced,
        load: Load::Produce(Shape {
            connections: 64,
            ..ONE_BY_ONE
        }),
    },
    Row {
        name: "light-all",
        what: "one 1 KiB record per request, 500/s open loop on 10 connections, acks=all",
        durability: Durability::Default,
        load: LIGHT,
    },
    Row {
        name: "light-synced",
        what: "one 1 KiB record per request, 500/s open loop on 10 connections, synced",
        durability: Durability::Synced,
        load: LIGHT,
    },
];

impl Durability {
    pub(crate) fn acks(self) -> i16 {
        match self {
            Durability::Written => 1,
            Durability::Default | Durability::Synced => -1,
        }
    }

    /// What an acknowledged record has survived, on Ottla and on Kafka.
    pub(crate) fn sides(self) -> (&'static str, &'static str) {
        match self {
            Durability::Written => ("written", "written"),
            Durability::Default => ("SYNCED", "written"),
            Durability::Synced => ("SYNCED", "SYNCED"),
        }
    }

    fn topic_settings(self, kind: Kind) -> &'static [(&'static str, &'static str)] {
        match (self, kind) {
            (Durability::Synced, Kind::Kafka) => &[("flush.messages", "1")],
            _ => &[],
        }
    }
}

/// How long a row runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What a run of a row showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    /// Bytes of records' values.
    pub(crate) bytes: u64,
    /// Request to answer, in microseconds; from the intended time in an open loop.
    pub(crate) latency_us: [f64; 4],
    /// Of the broker.
    pub(crate) cpu_seconds: f64,
    /// Of this program.
    pub(crate) own_cpu_seconds: f64,
}

/// p50, p99, p99.9 and the largest, in microseconds.
pub(crate) fn quantiles(histogram: &hdrhistogram::Histogram<u64>) -> [f64; 4] {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    [
        at(0.5),
        at(0.99),
        at(0.999),
        histogram.max() as f64 / 1000.0,
    ]
}

/// Measures CPU between its two calls.
pub(crate) struct Meter<'a> {
    peer: &'a Peer,
    broker: Usage,
    own: Usage,
    started: std::time::Instant,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(peer: &'a Peer) -> Result<Meter<'a>> {
        Ok(Meter {
            peer,
            broker: peer.usage()?,
            own: Usage::of(std::process::id())?,
            started: std::time::Instant::now(),
        })
    }

    pub(crate) fn stop(&self, sample: &mut Sample) -> Result<()> {
        sample.seconds = self.started.elapsed().as_secs_f64();
        sample.cpu_seconds = self.peer.usage()?.cpu_seconds - self.broker.cpu_seconds;
        let own = Usage::of(std::process::id())?;
        sample.own_cpu_seconds = own.cpu_seconds - self.own.cpu_seconds;
        Ok(())
    }
}

/// Runs a row.
pub(crate) fn run(row: &Row, peer: &Peer, times: Times) -> Result<Sample> {
    let shape = match row.load {
        Load::Produce(shape) | Load::Steady { shape, .. } | Load::Fetch { shape, .. } => shape,
    };
    let partitions = match row.load {
        Load::Fetch { .. } => 1,
        _ => shape.partitions,
    };
    let settings = row.durability.topic_settings(peer.kind());
    let topic = admin::create_topic(peer.address(), row.name, partitions, settings)?;
    let acks = row.durability.acks();
    let sample = match row.load {
        Load::Produce(shape) => produce::run(peer, &topic, shape, acks, times),
        Load::Steady { shape, per_second } => {
            steady::run(peer, &topic, shape, acks, per_second, times)
        }
        Load::Fetch { shape, bytes } => fetch::run(peer, &topic, shape, bytes, times),
    };
    admin::delete_topic(peer.address(), &topic)?;
    sample
}
