//! Records from a file or standard input. Reading blocks, so it has a thread of its own.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use client::ProducerRecord;
use tokio::sync::mpsc;

use crate::formats::read::Reader;

/// Records handed over at once: few hand-overs for a file.
const CHUNK_RECORDS_MAX: usize = 256;
/// And no more bytes than this.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Some records, or why there are no more.
pub(super) type Chunk = io::Result<Vec<ProducerRecord>>;

/// Starts reading.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(file: Option<&Path>, reader: Reader) -> Result<mpsc::Receiver<Chunk>> {
    // A few chunks at a time: a file that is larger than memory stays on its disk.
    let (sender, receiver) = mpsc::channel(4);
    let opened = match file {
        Some(path) => {
            let opened = File::open(path)
                .with_context(|| format!("the file {} cannot be read", path.display()))?;
            Some(opened)
        }
        None => None,
    };
    let read_all = move || match opened {
        Some(file) => hand_over(&reader, BufReader::with_capacity(1 << 16, file), &sender),
        None => hand_over(&reader, io::stdin().lock(), &sender),
    };
    let spawned = std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(read_all);
    spawned.context("a thread for the input cannot be started")?;
    Ok(receiver)
}

fn hand_over(reader: &Reader, input: impl io::Read, sender: &mpsc::Sender<Chunk>) {
    // A buffer that can be looked into: what is there already may be read without waiting.
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut chunk = Vec::new();
    let mut bytes = 0;
    loop {
        let end = match reader.next(&mut input) {
            Ok(Some(record)) => {
                bytes += record.value.as_ref().map_or(0, |value| value.len());
                chunk.push(record);
                let waits = input.buffer().is_empty();
                if !waits && chunk.len() < CHUNK_RECORDS_MAX && bytes < CHUNK_BYTES_MAX {
                    continue;
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        bytes = 0;
        let records = std::mem::take(&mut chunk);
        // The receiver is gone when the command has failed: there is nobody to read for.
        if !records.is_empty() && sender.blocking_send(Ok(records)).is_err() {
            return;
        }
        match end {
            None => {}
            Some(Ok(())) => return,
            Some(Err(error)) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_records_come_and_then_the_error() {
        let (sender, mut receiver) = mpsc::channel(1000);
        let reader = Reader::new("%p %v\\n").unwrap();
        let input: String = (0..1000)
            .map(|i| format!("{i} v\n"))
            .chain(["broken".to_owned()])
            .collect();
        hand_over(&reader, input.as_bytes(), &sender);
        drop(sender);
        let mut count = 0;
        let mut failed = false;
        while let Some(chunk) = receiver.blocking_recv() {
            assert!(!failed, "nothing comes after an error");
            match chunk {
                Ok(records) => {
                    for record in records {
                        assert_eq!(record.partition, Some(count));
                        count += 1;
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                    failed = true;
                }
            }
        }
        assert_eq!((count, failed), (1000, true));
    }
}
