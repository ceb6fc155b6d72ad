//! What several test files need: golden files, and an independent way to write batches.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;

/// Bytes from annotated hex: comments start with `#`.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .map(|line| line.split('#').next().unwrap())
        .flat_map(|line| line.bytes().filter(|b| !b.is_ascii_whitespace()))
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A zig-zag varint.
pub fn varint(value: i64) -> Vec<u8> {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    loop {
        if raw < 0x80 {
            out.push(raw as u8);
            return out;
        }
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
}

/// A record with key `k` and this value.
pub fn record(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: &[u8],
) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(varint(timestamp_delta));
    body.extend(varint(i64::from(offset_delta)));
    match key {
        Some(key) => {
            body.extend(varint(key.len() as i64));
            body.extend(key);
        }
        None => body.extend(varint(-1)),
    }
    body.extend(varint(value.len() as i64));
    body.extend(value);
    body.extend(varint(0));
    let mut out = varint(body.len() as i64);
    out.extend(body);
    out
}

/// The fields of a batch that tests bend.
#[derive(Clone)]
pub struct Raw {
    pub base_offset: i64,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
    pub body: Vec<u8>,
}

impl Raw {
    /// `count` records of this body.
    pub fn new(count: i32, body: Vec<u8>) -> Raw {
        Raw {
            base_offset: 0,
            attributes: 0,
            last_offset_delta: count.wrapping_sub(1),
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_000,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count,
            body,
        }
    }

    /// The batch, with a checksum computed bit by bit.
    pub fn bytes(&self) -> Bytes {
        let mut tail = Vec::new();
        tail.extend(self.attributes.to_be_bytes());
        tail.extend(self.last_offset_delta.to_be_bytes());
        tail.extend(self.base_timestamp.to_be_bytes());
        tail.extend(self.max_timestamp.to_be_bytes());
        tail.extend(self.producer_id.to_be_bytes());
        tail.extend(self.producer_epoch.to_be_bytes());
        tail.extend(self.base_sequence.to_be_bytes());
        tail.extend(self.count.to_be_bytes());
        tail.extend(&self.body);
        let mut out = Vec::new();
        out.extend(self.base_offset.to_be_bytes());
        out.extend((tail.len() as i32 + 9).to_be_bytes());
        out.extend((-1i32).to_be_bytes());
        out.push(2);
        out.extend(slow_crc32c(&tail).to_be_bytes());
        out.extend(tail);
        out.into()
    }
}

/// CRC-32C by its definition (reflected polynomial 0x82f63b78).
pub fn slow_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
