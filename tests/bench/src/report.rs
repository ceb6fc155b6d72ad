//! Medians, ratios, the table.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::peer::Rest;
use crate::rows::{Load, ROWS, Row, Sample};

/// What was measured so far.
pub(crate) struct Report {
    json: bool,
    peers: Vec<String>,
    samples: BTreeMap<(usize, String), Vec<Sample>>,
    rests: BTreeMap<String, Rest>,
    loaded_bytes: BTreeMap<String, u64>,
}

/// The rows and what each is.
#[allow(clippy::disallowed_macros, reason = "the result of the command")]
pub(crate) fn print_rows() -> Result<()> {
    for row in ROWS {
        let (ottla, kafka) = row.durability.sides();
        println!(
            "{:<18} {} [Ottla {ottla}, Kafka {kafka}]",
            row.name, row.what
        );
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

impl Sample {
    fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e6
    }

    fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu_seconds / (self.bytes as f64 / 1e9)
    }

    fn cpu_us_per_request(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.requests as f64
    }
}

/// A column: its name, what it is of a sample, and how it is written.
type Column = (&'static str, fn(&Sample) -> f64, usize);

/// The two figures of a row that are compared.
fn columns(row: &Row) -> [Column; 2] {
    match row.load {
        Load::Produce(shape) if shape.batch_bytes == 0 => [
            ("req/s", Sample::per_second, 0),
            ("CPU us/req", Sample::cpu_us_per_request, 1),
        ],
        Load::Produce(_) | Load::Fetch { .. } => [
            ("MB/s", Sample::megabytes_per_second, 0),
            ("CPU s/GB", Sample::cpu_per_gigabyte, 2),
        ],
        Load::Steady { .. } => [
            ("p99 us", |sample| sample.latency_us[1], 0),
            ("CPU us/req", Sample::cpu_us_per_request, 1),
        ],
    }
}

#[allow(clippy::disallowed_macros, reason = "the result of the command")]
impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report {
            json,
            peers: Vec::new(),
            samples: BTreeMap::new(),
            rests: BTreeMap::new(),
            loaded_bytes: BTreeMap::new(),
        }
    }

    fn peer(&mut self, name: &str) {
        if !self.peers.iter().any(|known| known == name) {
            self.peers.push(name.to_owned());
        }
    }

    /// How a broker started and rests.
    pub(crate) fn start(&mut self, peer: &str, rest: Rest) -> Result<()> {
        self.peer(peer);
        if self.json {
            let line = json!({"peer": peer, "start_ms": rest.started_in.as_secs_f64() * 1e3,
                "idle_bytes": rest.memory_bytes, "idle_cpu": rest.cpu_share});
            println!("{line}");
        }
        self.rests.insert(peer.to_owned(), rest);
        Ok(())
    }

    /// A broker's memory after all.
    pub(crate) fn after(&mut self, peer: &str, bytes: u64) -> Result<()> {
        if self.json {
            println!("{}", json!({"peer": peer, "loaded_bytes": bytes}));
        }
        self.loaded_bytes.insert(peer.to_owned(), bytes);
        Ok(())
    }

    /// One run of a row.
    pub(crate) fn add(&mut self, row: &'static Row, peer: &str, sample: Sample) -> Result<()> {
        self.peer(peer);
        let [p50, p99, p999, max] = sample.latency_us;
        if self.json {
            let line = json!({"row": row.name, "peer": peer, "seconds": sample.seconds,
                "requests": sample.requests, "bytes": sample.bytes, "cpu_seconds": sample.cpu_seconds,
                "own_cpu_seconds": sample.own_cpu_seconds,
                "latency_us": {"p50": p50, "p99": p99, "p99.9": p999, "max": max}});
            println!("{line}");
        } else {
            eprintln!(
                "{:<18} {peer:<6} {:>8.0}/s {:>6.0} MB/s, p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} max {max:.0} us, \
                 {:.2} s/GB, {:.1} us/request, cores: broker {:.2}, load {:.2}",
                row.name,
                sample.per_second(),
                sample.megabytes_per_second(),
                sample.cpu_per_gigabyte(),
                sample.cpu_us_per_request(),
                sample.cpu_seconds / sample.seconds,
                sample.own_cpu_seconds / sample.seconds,
            );
        }
        let number = ROWS.iter().position(|known| std::ptr::eq(known, row));
        let key = (number.unwrap_or(ROWS.len()), peer.to_owned());
        self.samples.entry(key).or_default().push(sample);
        Ok(())
    }

    /// The table, as Markdown.
    pub(crate) fn print(&self) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let [first, others @ ..] = &self.peers[..] else {
            return Ok(());
        };
        let second = others.first();
        println!(
            "| row | what | {first} | {} | ratio (spread) | p50 / p99 us | cores: broker, load |",
            second.map_or("-", String::as_str)
        );
        println!("|---|---|---|---|---|---|---|");
        for (number, row) in ROWS.iter().enumerate() {
            let of = |peer: &String| self.samples.get(&(number, peer.clone()));
            let Some(left) = of(first) else {
                continue;
            };
            let right = second.and_then(of);
            for (name, figure, digits) in columns(row) {
                self.line(row, name, figure, digits, left, right);
            }
        }
        self.print_rests();
        Ok(())
    }

    fn line(
        &self,
        row: &Row,
        name: &str,
        figure: fn(&Sample) -> f64,
        digits: usize,
        left: &[Sample],
        right: Option<&Vec<Sample>>,
    ) {
        let (ottla, kafka) = row.durability.sides();
        let mid = |samples: &[Sample], figure: &dyn Fn(&Sample) -> f64| {
            median(samples.iter().map(figure))
        };
        let pair = |f: &dyn Fn(&Sample) -> f64, digits: usize| {
            let first = mid(left, f);
            match right {
                None => format!("{first:.digits$}"),
                Some(right) => format!("{first:.digits$} : {:.digits$}", mid(right, f)),
            }
        };
        let ratio = right.map_or_else(String::new, |right| {
            let ratios: Vec<f64> = left
                .iter()
                .zip(right)
                .map(|(a, b)| figure(a) / figure(b))
                .collect();
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ratios.iter().copied().fold(0.0, f64::max);
            let middle = median(ratios.iter().copied());
            format!("{middle:.2} ({least:.2}-{most:.2})")
        });
        let latency = format!(
            "{} / {}",
            pair(&|s| s.latency_us[0], 0),
            pair(&|s| s.latency_us[1], 0)
        );
        let cores = format!(
            "{}, {}",
            pair(&|s| s.cpu_seconds / s.seconds, 2),
            pair(&|s| s.own_cpu_seconds / s.seconds, 2)
        );
        println!(
            "| {} | {name} | {:.digits$} ({ottla}) | {} | {ratio} | {latency} | {cores} |",
            row.name,
            mid(left, &figure),
            right.map_or_else(String::new, |right| {
                format!("{:.digits$} ({kafka})", mid(right, &figure))
            }),
        );
    }

    fn print_rests(&self) {
        for peer in &self.peers {
            let Some(rest) = self.rests.get(peer) else {
                continue;
            };
            let loaded = self.loaded_bytes.get(peer).map_or(String::new(), |bytes| {
                format!(", {:.1} MiB after the load", *bytes as f64 / 1048576.0)
            });
            println!(
                "\n{peer}: {:.0} ms from start to first answer; idle {:.1} MiB, {:.2} % of a core{loaded}",
                rest.started_in.as_secs_f64() * 1e3,
                rest.memory_bytes as f64 / 1048576.0,
                rest.cpu_share * 100.0,
            );
        }
    }
}
