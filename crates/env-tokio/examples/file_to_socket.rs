//! What it costs to send a range of a cached file over TCP: read into a kept buffer and written, or handed over in the
//! kernel (`sendfile`), beside bytes that are in memory already. The figures of docs/decisions/0007-no-sendfile.md.
//!
//! `cargo run --release -p ottla-env-tokio --example file_to_socket [DIR]`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "an example measures and prints"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Bytes of the file, and bytes that are sent in one measurement.
const FILE: usize = 256 << 20;
const SENT: usize = 1 << 30;
const ROUNDS: usize = 5;
const WAYS: [Way; 3] = [Way::Memory, Way::ReadWrite, Way::Sendfile];

#[derive(Clone, Copy, Debug)]
enum Way {
    /// From a buffer that holds the bytes: what the tail cache does.
    Memory,
    /// `pread` into a kept buffer, then `write`.
    ReadWrite,
    /// `sendfile`.
    Sendfile,
}

struct Seen {
    seconds: f64,
    sender: f64,
    receiver: f64,
}

fn main() {
    let dir = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, Into::into);
    let path = dir.join("ottla-file-to-socket");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("a file");
    let block: Vec<u8> = (0..1 << 20).map(|i| (i * 31 % 251) as u8).collect();
    for _ in 0..FILE >> 20 {
        file.write_all(&block).expect("written");
    }
    println!("range KiB | way       |  MB/s         | sender CPU s/GB | with the receiver");
    for range in [16 << 10, 64 << 10, 256 << 10, 1 << 20] {
        // In turns: the machine may be shared, and only neighbours can be compared.
        let mut seen: [Vec<Seen>; 3] = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (way, seen) in WAYS.iter().zip(&mut seen) {
                seen.push(measure(&file, range, *way));
            }
        }
        for (way, seen) in WAYS.iter().zip(&seen) {
            let gb = SENT as f64 / 1e9;
            let span = |of: &dyn Fn(&Seen) -> f64| {
                let values = seen.iter().map(of);
                let low = values.clone().fold(f64::MAX, f64::min);
                (low, values.fold(0.0, f64::max))
            };
            let rate = span(&|s| gb * 1e3 / s.seconds);
            let sender = span(&|s| s.sender / gb);
            let both = span(&|s| (s.sender + s.receiver) / gb);
            println!(
                "{:9} | {:9} | {:5.0} - {:5.0} | {:.2} - {:.2} | {:.2} - {:.2}",
                range >> 10,
                format!("{way:?}"),
                rate.0,
                rate.1,
                sender.0,
                sender.1,
                both.0,
                both.1
            );
        }
    }
    std::fs::remove_file(&path).expect("removed");
}

fn measure(file: &File, range: usize, way: Way) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let cpu = thread_time();
        let mut buffer = vec![0; 1 << 20];
        let mut all = 0;
        loop {
            match stream.read(&mut buffer).expect("read") {
                0 => break,
                count => all += count,
            }
        }
        assert_eq!(all, SENT);
        thread_time() - cpu
    });
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("an option");
    let mut buffer = vec![0; range];
    file.read_exact_at(&mut buffer, 0).expect("read");
    let (start, cpu) = (Instant::now(), thread_time());
    for i in 0..SENT / range {
        let at = (i * range % FILE) as u64;
        match way {
            Way::Memory => stream.write_all(&buffer).expect("written"),
            Way::ReadWrite => {
                file.read_exact_at(&mut buffer, at).expect("read");
                stream.write_all(&buffer).expect("written");
            }
            Way::Sendfile => {
                let mut at = at;
                let mut left = range;
                while left > 0 {
                    let sent =
                        rustix::fs::sendfile(&stream, file, Some(&mut at), left).expect("sent");
                    assert!(sent > 0, "the file has these bytes");
                    left -= sent;
                }
            }
        }
    }
    let sender = thread_time() - cpu;
    drop(stream);
    let receiver = receiver.join().expect("the receiving thread");
    Seen {
        seconds: start.elapsed().as_secs_f64(),
        sender: sender.as_secs_f64(),
        receiver: receiver.as_secs_f64(),
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
