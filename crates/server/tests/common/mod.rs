//! The built program: run it, run a node of it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::Value;

/// A directory that goes with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ottla-program-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a run of the program came to.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its standard output, if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stdout
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.expect(0);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

/// The program, in an environment that says nothing of ours.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("OTTLA_") || name.starts_with("KAFKA_") || name == "CLUSTER_ID" {
            command.env_remove(name);
        }
    }
    command.env("TZ", "UTC");
    command
}

/// Runs the program with this input.
pub fn run_with(args: &[&str], input: &[u8], set: impl FnOnce(&mut Command)) -> Ran {
    let mut command = command();
    command.args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    set(&mut command);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that has failed does not read its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program.
pub fn run(args: &[&str]) -> Ran {
    run_with(args, b"", |_| {})
}

/// The program at a terminal: standard input and standard error are one, standard output is a pipe.
pub struct AtTerminal {
    child: Child,
    terminal: File,
    /// What the terminal shows.
    pub shown: String,
}

impl AtTerminal {
    pub fn start(args: &[&str]) -> AtTerminal {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        // Only the child keeps its side: when it has ended, nothing more can be read from ours.
        let theirs = || {
            let path = Path::new(name.to_str().unwrap());
            let mut options = File::options();
            Stdio::from(options.read(true).write(true).open(path).unwrap())
        };
        let child = command()
            .args(args)
            .stdin(theirs())
            .stderr(theirs())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        AtTerminal {
            child,
            terminal: File::from(ours),
            shown: String::new(),
        }
    }

    /// Reads on until the terminal shows this.
    #[track_caller]
    pub fn await_text(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert!(self.read(), "no `{text}`: {}", self.shown);
        }
    }

    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // The end of the child is an error here, EIO.
        let count = self.terminal.read(&mut bytes).unwrap_or(0);
        self.shown
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }

    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// What Ctrl-C does to the process that a terminal belongs to.
    pub fn interrupt(&self) {
        interrupt(&self.child);
    }

    /// Waits for its end. What the terminal showed stands for standard error.
    pub fn end(mut self) -> Ran {
        let _watchdog = watchdog(&self.child);
        while self.read() {}
        let output = self.child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: self.shown,
        }
    }
}

/// Kills a program that has not ended long after it should have, so that its test fails and does not hang.
pub struct Watchdog(Sender<()>);

pub fn watchdog(child: &Child) -> Watchdog {
    let pid = child.id().to_string();
    let (alive, ended) = channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    Watchdog(alive)
}

/// Sends SIGINT.
pub fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
}

/// A node in a directory of its own.
pub struct Node {
    child: Child,
    pub ready: Value,
    pub bootstrap: String,
    pub dir: TempDir,
}

impl Node {
    pub fn start() -> Node {
        Node::start_with(|_| {})
    }

    pub fn start_with(set: impl FnOnce(&mut Command)) -> Node {
        Node::start_in(TempDir::new(), set)
    }

    /// A node whose data is in this directory, as one that was stopped left it.
    pub fn start_in(dir: TempDir, set: impl FnOnce(&mut Command)) -> Node {
        let mut command = command();
        set(&mut command);
        let mut child = command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--output",
                "json",
                "--log",
                "warn",
                "--data",
            ])
            .arg(dir.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let bootstrap = ready["listeners"][0].as_str().unwrap().to_owned();
        Node {
            child,
            ready,
            bootstrap,
            dir,
        }
    }

    /// Runs a command against the node. The timeout is generous: these tests are not about speed.
    pub fn ask_with(&self, args: &[&str], input: &[u8]) -> Ran {
        run_with(args, input, |command| {
            command
                .env("OTTLA_BOOTSTRAP", &self.bootstrap)
                .args(["--timeout", "60s"]);
        })
    }

    pub fn ask(&self, args: &[&str]) -> Ran {
        self.ask_with(args, b"")
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it in order.
    pub fn stop(mut self) -> (i32, TempDir) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        let dir = std::mem::replace(&mut self.dir, TempDir(PathBuf::new()));
        (status.code().unwrap_or(-1), dir)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
