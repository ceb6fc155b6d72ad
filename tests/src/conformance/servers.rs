//! Servers to talk to: Apache Kafka through tests/peers/kafka.sh, and the built `ottla`.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::root;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(120);

/// A server that is stopped when it is dropped, and its directory removed.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    dir: PathBuf,
    process: Process,
}

#[derive(Debug)]
enum Process {
    /// Started by the script, which also stops it.
    Kafka,
    /// A child of ours.
    Ottla(Child),
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts one node of Apache Kafka on fresh data. Its jars are kept in `libs` between runs.
    ///
    /// # Errors
    /// It does not start: Java or Maven is missing, or its log says why.
    pub fn kafka(libs: &Path, settings: &[(String, String)]) -> Result<Server> {
        let dir = fresh_dir("kafka")?;
        let port = free_ports()?;
        let extra: Vec<String> = settings
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let status = Command::new(script())
            .args(["start".as_ref(), dir.as_os_str(), port.to_string().as_ref()])
            .env("KAFKA_LIBS", libs)
            .env("EXTRA", extra.join("\n"))
            .stdout(Stdio::null())
            .status()
            .context("tests/peers/kafka.sh")?;
        let server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            dir,
            process: Process::Kafka,
        };
        if !status.success() {
            let log = std::fs::read_to_string(server.dir.join("1.log")).unwrap_or_default();
            bail!("Apache Kafka did not start:\n{log}");
        }
        Ok(server)
    }

    /// Starts the built `ottla` on fresh data.
    ///
    /// # Errors
    /// It does not start; the error holds what it said.
    pub fn ottla(binary: &Path, settings: &[(String, String)]) -> Result<Server> {
        let dir = fresh_dir("ottla")?;
        let port = free_ports()?;
        let mut command = Command::new(binary);
        command.arg("serve");
        // Both prefixes are settings to the server.
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            if known.starts_with("OTTLA_") || known.starts_with("KAFKA_") {
                command.env_remove(&name);
            }
        }
        let listener = format!("PLAINTEXT://127.0.0.1:{port}");
        let own = [
            ("node.id", "1"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("listeners", listener.as_str()),
            ("log.dirs", dir.to_str().context("a path in UTF-8")?),
        ];
        let fixed = own.iter().map(|(key, value)| format!("{key}={value}"));
        let given = settings.iter().map(|(key, value)| format!("{key}={value}"));
        for setting in fixed.chain(given) {
            command.args(["-X", &setting]);
        }
        let log = std::fs::File::create(dir.join("stderr"))?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        // The pipe is read to its end, or the server could block on it.
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || BufReader::new(stdout).lines().for_each(drop));
        }
        let mut server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            dir,
            process: Process::Ottla(child),
        };
        let started = Instant::now();
        while TcpStream::connect(server.address).is_err() {
            let ended = match &mut server.process {
                Process::Ottla(child) => child.try_wait()?.is_some(),
                Process::Kafka => false,
            };
            if ended || started.elapsed() > START {
                let log = std::fs::read_to_string(server.dir.join("stderr")).unwrap_or_default();
                bail!("ottla did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.process {
            Process::Kafka => {
                let _ = Command::new(script())
                    .args(["stop".as_ref(), self.dir.as_os_str()])
                    .status();
            }
            Process::Ottla(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The `ottla` to test: what `OTTLA_BIN` names, or one built now, as this program was.
///
/// # Errors
/// It does not compile.
pub fn ottla_binary() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("OTTLA_BIN") {
        return Ok(binary.into());
    }
    // target/PROFILE/deps/this-program
    let me = std::env::current_exe()?;
    let profile_dir = me
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name != "deps") && dir.is_dir())
        .context("this program lies in a target directory")?;
    let target = profile_dir.parent().context("a target directory")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--package",
            "ottla-server",
            "--bin",
            "ottla",
        ])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        .status()?;
    if !status.success() {
        bail!("ottla does not compile");
    }
    Ok(profile_dir.join("ottla"))
}

fn script() -> PathBuf {
    root().join("tests/peers/kafka.sh")
}

fn fresh_dir(name: &str) -> Result<PathBuf> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("ottla-conformance-{name}-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A port that is free, and so is the one above it.
fn free_ports() -> Result<u16> {
    for _ in 0..100 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports side by side")
}
