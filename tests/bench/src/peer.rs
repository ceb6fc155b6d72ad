//! Brokers, on fresh data, stopped and removed when they are dropped.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::admin;
use crate::usage::Usage;

/// How long a broker may take to start.
const START: Duration = Duration::from_secs(120);

/// As Kafka's own start script has it.
const JVM: &str = "-Xms1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
     -XX:+ExplicitGCInvokesConcurrent";

/// Which broker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ottla,
    Kafka,
}

/// A broker.
#[derive(Debug)]
pub(crate) struct Peer {
    kind: Kind,
    address: SocketAddr,
    pid: Option<u32>,
    child: Option<Child>,
    dir: Option<PathBuf>,
    started_in: Duration,
}

/// A broker that nobody talks to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
    pub(crate) memory_bytes: u64,
    /// Of one core.
    pub(crate) cpu_share: f64,
}

impl Peer {
    /// A broker that somebody else started.
    pub(crate) fn running(address: SocketAddr, pid: Option<u32>, kafka: bool) -> Peer {
        Peer {
            kind: if kafka { Kind::Kafka } else { Kind::Ottla },
            address,
            pid,
            child: None,
            dir: None,
            started_in: Duration::ZERO,
        }
    }

    /// Starts `ottla serve` with its default settings.
    pub(crate) fn ottla(binary: &Path, data: &Path) -> Result<Peer> {
        let dir = fresh_dir(data, "ottla")?;
        let address = free_address()?;
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            // Settings, to the server.
            if known.starts_with("OTTLA_") || known.starts_with("KAFKA_") {
                command.env_remove(&name);
            }
        }
        let started = Instant::now();
        let mut child = command
            .arg("serve")
            .arg("-X")
            .arg(format!("listeners=PLAINTEXT://{address}"))
            .arg("-X")
            .arg(format!("log.dirs={}", dir.join("data").display()))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("stderr"))?)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        // The pipe is read to its end, or the broker could block on it.
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || BufReader::new(stdout).lines().for_each(drop));
        }
        let mut peer = Peer {
            kind: Kind::Ottla,
            address,
            pid: Some(child.id()),
            child: Some(child),
            dir: Some(dir),
            started_in: Duration::ZERO,
        };
        peer.wait(started)?;
        Ok(peer)
    }

    /// Starts Apache Kafka with its default settings on a heap of 1 GiB. Formatting is not counted.
    pub(crate) fn kafka(libs: &Path, data: &Path) -> Result<Peer> {
        let dir = fresh_dir(data, "kafka")?;
        let address = free_address()?;
        let status = Command::new(script())
            .arg("start")
            .arg(&dir)
            .arg(address.port().to_string())
            .env("KAFKA_LIBS", libs)
            .env("HEAP", "1g")
            .env("JVM", JVM)
            // Deleted topics make room soon, as Ottla's do.
            .env("EXTRA", "log.segment.delete.delay.ms=1000")
            .stdout(Stdio::null())
            .status()
            .context("tests/peers/kafka.sh")?;
        let mut peer = Peer {
            kind: Kind::Kafka,
            address,
            pid: None,
            child: None,
            dir: Some(dir.clone()),
            started_in: Duration::ZERO,
        };
        if !status.success() {
            let log = std::fs::read_to_string(dir.join("1.log")).unwrap_or_default();
            bail!("Apache Kafka did not start:\n{log}");
        }
        let pid: u32 = std::fs::read_to_string(dir.join("1.pid"))?.trim().parse()?;
        peer.pid = Some(pid);
        peer.wait(Instant::now())?;
        peer.started_in = age(pid)?;
        Ok(peer)
    }

    fn wait(&mut self, started: Instant) -> Result<()> {
        while !admin::answers(self.address) {
            if started.elapsed() > START {
                bail!("{:?} did not answer", self.kind);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.started_in = started.elapsed();
        Ok(())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has used; zero if its process is not known.
    pub(crate) fn usage(&self) -> Result<Usage> {
        match self.pid {
            Some(pid) => Usage::of(pid),
            None => Ok(Usage {
                cpu_seconds: 0.0,
                memory_bytes: 0,
            }),
        }
    }

    pub(crate) fn memory_bytes(&self) -> Result<u64> {
        Ok(self.usage()?.memory_bytes)
    }

    /// Leaves it alone for a while and looks what it does.
    pub(crate) fn rest(&self, time: Duration) -> Result<Rest> {
        // What starting left to do is done by then.
        std::thread::sleep(Duration::from_secs(2));
        let before = self.usage()?;
        std::thread::sleep(time);
        let after = self.usage()?;
        Ok(Rest {
            started_in: self.started_in,
            memory_bytes: after.memory_bytes,
            cpu_share: (after.cpu_seconds - before.cpu_seconds) / time.as_secs_f64(),
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let Some(dir) = &self.dir else {
            return;
        };
        if self.kind == Kind::Kafka {
            let _ = Command::new(script()).arg("stop").arg(dir).status();
        }
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// How long a process has lived.
fn age(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a line of /proc/PID/stat")?;
    let started = fields
        .split_ascii_whitespace()
        .nth(19)
        .context("field 22")?;
    let ticks: u64 = started.parse()?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime: f64 = uptime
        .split_ascii_whitespace()
        .next()
        .context("the uptime")?
        .parse()?;
    let started = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64((uptime - started).max(0.0)))
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/kafka.sh")
}

fn fresh_dir(data: &Path, name: &str) -> Result<PathBuf> {
    let dir = data.join(format!("ottla-bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A port that is free, and so is the one above it.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let above = address.port().checked_add(1);
        if above.is_some_and(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(address);
        }
    }
    bail!("no two free ports side by side")
}
