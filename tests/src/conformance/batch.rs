//! Record batches as values, and as bytes that may be wrong on purpose.
//!
//! ```text
//! Records: {Records: ["a", {Key: "k", Value: null, Headers: [["h", "v"]]}], ProducerId: 7, BaseSequence: 0}
//! ```
//!
//! Whatever is not said is what a correct producer would write; saying `Crc`, `RecordsCount`, `Magic` and
//! the like overrides it. A list is several batches in a row; `0x...` is taken as it is.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};

use super::codec::{Input, put_uvarint, readable};
use super::value::Value;

/// The time of records that do not say theirs.
pub const TIME: i64 = 1_700_000_000_000;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// The bytes of a `records` field.
///
/// # Errors
/// A value that cannot be taken for batches.
pub fn encode(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.clone()),
        Value::Str(text) => Ok(text.clone().into_bytes()),
        Value::List(batches) => {
            let mut out = Vec::new();
            for one in batches {
                out.extend(encode(one)?);
            }
            Ok(out)
        }
        Value::Map(members) => encode_batch(value, members),
        other => bail!("{} where record batches are wanted", other.flat()),
    }
}

const KNOWN: [&str; 18] = [
    "BaseOffset",
    "BatchLength",
    "LeaderEpoch",
    "Magic",
    "Crc",
    "Attributes",
    "Compression",
    "LastOffsetDelta",
    "BaseTimestamp",
    "MaxTimestamp",
    "ProducerId",
    "ProducerEpoch",
    "BaseSequence",
    "RecordsCount",
    "Records",
    "Cut",
    "Append",
    "Repeat",
];

fn encode_batch(batch: &Value, members: &[(String, Value)]) -> Result<Vec<u8>> {
    if let Some((key, _)) = members
        .iter()
        .find(|(key, _)| !KNOWN.contains(&key.as_str()))
    {
        bail!("a batch has no {key:?}");
    }
    let number = |key: &str, default: i64| match batch.get(key) {
        None => Ok(default),
        Some(Value::Int(number)) => Ok(*number),
        Some(other) => bail!("{key} is {}", other.flat()),
    };
    let base_timestamp = number("BaseTimestamp", TIME)?;
    let mut max_timestamp = base_timestamp;
    let mut body = Vec::new();
    let mut count = 0;
    match batch.get("Records") {
        Some(Value::List(records)) => {
            // The same records again and again make a large batch.
            for _ in 0..number("Repeat", 1)? {
                for record in records {
                    let delta = match record.get("TimestampDelta") {
                        Some(Value::Int(delta)) => *delta,
                        _ => 0,
                    };
                    max_timestamp = max_timestamp.max(base_timestamp + delta);
                    encode_record(&mut body, record, count, delta)?;
                    count += 1;
                }
            }
        }
        Some(Value::Bytes(raw)) => body.clone_from(raw),
        None => {}
        Some(other) => bail!("Records is {}", other.flat()),
    }
    let codec = match batch.get("Compression") {
        None => 0,
        Some(Value::Word(name) | Value::Str(name)) => CODECS
            .iter()
            .position(|codec| codec == name)
            .with_context(|| format!("no codec is called {name:?}"))?,
        Some(other) => bail!("Compression is {}", other.flat()),
    };
    if let Some(Value::Bytes(more)) = batch.get("Append") {
        body.extend(more);
    }
    let body = compress(codec, &body)?;
    let mut tail = Vec::new();
    tail.extend((number("Attributes", codec as i64)? as i16).to_be_bytes());
    tail.extend((number("LastOffsetDelta", count - 1)? as i32).to_be_bytes());
    tail.extend(base_timestamp.to_be_bytes());
    tail.extend(number("MaxTimestamp", max_timestamp)?.to_be_bytes());
    tail.extend(number("ProducerId", -1)?.to_be_bytes());
    tail.extend((number("ProducerEpoch", -1)? as i16).to_be_bytes());
    tail.extend((number("BaseSequence", -1)? as i32).to_be_bytes());
    tail.extend((number("RecordsCount", count)? as i32).to_be_bytes());
    tail.extend(body);
    let mut out = Vec::new();
    out.extend(number("BaseOffset", 0)?.to_be_bytes());
    out.extend((number("BatchLength", tail.len() as i64 + 9)? as i32).to_be_bytes());
    out.extend((number("LeaderEpoch", -1)? as i32).to_be_bytes());
    out.push(number("Magic", 2)? as u8);
    out.extend((number("Crc", i64::from(crc32c(&tail)))? as u32).to_be_bytes());
    out.extend(tail);
    let cut = usize::try_from(number("Cut", 0)?)?;
    out.truncate(out.len().saturating_sub(cut));
    Ok(out)
}

fn encode_record(out: &mut Vec<u8>, record: &Value, index: i64, delta: i64) -> Result<()> {
    let number = |key: &str, default: i64| match record.get(key) {
        Some(Value::Int(number)) => *number,
        _ => default,
    };
    let null = Value::Null;
    let (key, value) = match record {
        // Only a value.
        Value::Str(_) | Value::Bytes(_) | Value::Null => (&null, record),
        Value::Map(_) => (
            record.get("Key").unwrap_or(&null),
            record.get("Value").unwrap_or(&null),
        ),
        other => bail!("{} is no record", other.flat()),
    };
    let mut inner = vec![number("Attributes", 0) as u8];
    put_varint(&mut inner, delta);
    put_varint(&mut inner, number("OffsetDelta", index));
    put_bytes(&mut inner, key)?;
    put_bytes(&mut inner, value)?;
    match record.get("Headers") {
        Some(Value::List(headers)) => {
            put_varint(&mut inner, number("HeadersCount", headers.len() as i64));
            for header in headers {
                match header {
                    Value::List(pair) if pair.len() == 2 => {
                        put_bytes(&mut inner, &pair[0])?;
                        put_bytes(&mut inner, &pair[1])?;
                    }
                    other => bail!("{} is no header", other.flat()),
                }
            }
        }
        _ => put_varint(&mut inner, number("HeadersCount", 0)),
    }
    put_varint(out, number("Length", inner.len() as i64));
    out.extend(inner);
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    match value {
        Value::Null => put_varint(out, -1),
        Value::Str(text) => {
            put_varint(out, text.len() as i64);
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend(bytes);
        }
        other => bail!("{} where bytes are wanted", other.flat()),
    }
    Ok(())
}

/// Zig-zag.
fn put_varint(out: &mut Vec<u8>, number: i64) {
    put_uvarint(out, (number << 1 ^ number >> 63) as u64);
}

/// The batches in `bytes`, a list of them if there are several, and what is left over as `Partial`.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Value {
    let mut batches = Vec::new();
    while let Some((batch, rest)) = decode_batch(bytes) {
        batches.push(batch);
        bytes = rest;
    }
    if !bytes.is_empty() {
        let len = Value::Int(bytes.len() as i64);
        batches.push(Value::Map(vec![("Partial".to_owned(), len)]));
    }
    match batches.len() {
        0 => Value::Bytes(Vec::new()),
        1 => batches.swap_remove(0),
        _ => Value::List(batches),
    }
}

fn decode_batch(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let mut input = Input(bytes);
    let base_offset = input.int(8).ok()?;
    let length = usize::try_from(input.int(4).ok()?).ok()?;
    let body = input.take(length).ok()?;
    let rest = input.0;
    let mut input = Input(body);
    let mut members = vec![("BaseOffset".to_owned(), Value::Int(base_offset))];
    let mut tell = |key: &str, value: i64, default: Option<i64>| {
        if default != Some(value) {
            members.push((key.to_owned(), Value::Int(value)));
        }
    };
    tell("LeaderEpoch", input.int(4).ok()?, None);
    tell("Magic", input.int(1).ok()?, Some(2));
    let crc = input.int(4).ok()? as u32;
    let crc_is_right = crc == crc32c(input.0);
    let attributes = input.int(2).ok()?;
    let last_offset_delta = input.int(4).ok()?;
    let base_timestamp = input.int(8).ok()?;
    let max_timestamp = input.int(8).ok()?;
    let producer = [input.int(8).ok()?, input.int(2).ok()?, input.int(4).ok()?];
    let count = input.int(4).ok()?;
    tell("Attributes", attributes, Some(0));
    tell("LastOffsetDelta", last_offset_delta, Some(count - 1));
    tell("BaseTimestamp", base_timestamp, None);
    tell("MaxTimestamp", max_timestamp, Some(base_timestamp));
    tell("ProducerId", producer[0], Some(-1));
    tell("ProducerEpoch", producer[1], Some(-1));
    tell("BaseSequence", producer[2], Some(-1));
    let records = decompress(attributes as usize & 7, input.0)
        .and_then(|body| decode_records(&body, attributes & 0x20 != 0));
    match records {
        Ok(records) => {
            tell("RecordsCount", count, Some(records.len() as i64));
            members.push(("Records".to_owned(), Value::List(records)));
        }
        Err(_) => {
            tell("RecordsCount", count, None);
            members.push(("Records".to_owned(), Value::Bytes(input.0.to_vec())));
        }
    }
    if !crc_is_right {
        members.push(("Crc".to_owned(), Value::Word("wrong".to_owned())));
    }
    Some((Value::Map(members), rest))
}

fn decode_records(body: &[u8], control: bool) -> Result<Vec<Value>> {
    let mut input = Input(body);
    let mut records = Vec::new();
    while !input.0.is_empty() {
        let length = usize::try_from(varint(&mut input)?)?;
        let mut record = Input(input.take(length)?);
        let attributes = record.int(1)?;
        let timestamp_delta = varint(&mut record)?;
        let offset_delta = varint(&mut record)?;
        let key = take_bytes(&mut record)?;
        let value = take_bytes(&mut record)?;
        let count = varint(&mut record)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push(Value::List(vec![
                take_bytes(&mut record)?,
                take_bytes(&mut record)?,
            ]));
        }
        if !record.0.is_empty() {
            bail!("bytes after a record");
        }
        let plain = attributes == 0
            && timestamp_delta == 0
            && offset_delta == records.len() as i64
            && key == Value::Null
            && matches!(value, Value::Str(_))
            && headers.is_empty();
        if plain && !control {
            records.push(value);
            continue;
        }
        let mut members = vec![("Key".to_owned(), key), ("Value".to_owned(), value)];
        if attributes != 0 {
            members.push(("Attributes".to_owned(), Value::Int(attributes)));
        }
        if timestamp_delta != 0 {
            members.push(("TimestampDelta".to_owned(), Value::Int(timestamp_delta)));
        }
        if offset_delta != records.len() as i64 {
            members.push(("OffsetDelta".to_owned(), Value::Int(offset_delta)));
        }
        if !headers.is_empty() {
            members.push(("Headers".to_owned(), Value::List(headers)));
        }
        records.push(Value::Map(members));
    }
    Ok(records)
}

fn take_bytes(input: &mut Input<'_>) -> Result<Value> {
    match varint(input)? {
        -1 => Ok(Value::Null),
        length => Ok(readable(input.take(usize::try_from(length)?)?)),
    }
}

fn varint(input: &mut Input<'_>) -> Result<i64> {
    let raw = input.uvarint()?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn compress(codec: usize, body: &[u8]) -> Result<Vec<u8>> {
    Ok(match codec {
        0 => body.to_vec(),
        1 => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(body)?;
            encoder.finish()?
        }
        2 => snap::raw::Encoder::new().compress_vec(body)?,
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body)?;
            encoder.finish()?
        }
        _ => zstd::encode_all(body, 3)?,
    })
}

/// The marks before a block of Java's snappy streams.
const XERIAL: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

fn decompress(codec: usize, body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match codec {
        0 => out.extend(body),
        1 => {
            flate2::read::MultiGzDecoder::new(body).read_to_end(&mut out)?;
        }
        2 => match body.strip_prefix(XERIAL) {
            Some(blocks) => {
                let mut input = Input(blocks);
                while !input.0.is_empty() {
                    let length = usize::try_from(input.int(4)?)?;
                    out.extend(snap::raw::Decoder::new().decompress_vec(input.take(length)?)?);
                }
            }
            None => out = snap::raw::Decoder::new().decompress_vec(body)?,
        },
        3 => {
            lz4_flex::frame::FrameDecoder::new(body).read_to_end(&mut out)?;
        }
        4 => out = zstd::decode_all(body)?,
        other => bail!("codec {other}"),
    }
    Ok(out)
}

/// CRC-32C, bit by bit: sessions are small.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn batches_read_back_in_every_codec() {
        for codec in CODECS {
            let text = format!(
                r#"{{Compression: {codec}, ProducerId: 7, ProducerEpoch: 0, BaseSequence: 3,
                Records: ["plain", {{Key: "k", Value: null, Headers: [["h", 0x00], ["h", null]], TimestampDelta: 5}}]}}"#
            );
            let bytes = encode(&Value::parse(&text).unwrap()).unwrap();
            let twice = [bytes.clone(), bytes.clone(), bytes[..20].to_vec()].concat();
            let Value::List(batches) = decode(&twice) else {
                panic!("{}", decode(&twice).flat());
            };
            assert_eq!(batches.len(), 3);
            assert_eq!(batches[0], batches[1]);
            assert_eq!(batches[2].get("Partial"), Some(&Value::Int(20)));
            assert_eq!(batches[0].get("MaxTimestamp"), Some(&Value::Int(TIME + 5)));
            let records = batches[0].get("Records").unwrap().flat();
            assert_eq!(
                records,
                r#"["plain", {Key: "k", Value: null, TimestampDelta: 5, Headers: [["h", 0x00], ["h", null]]}]"#
            );
        }
    }

    #[test]
    fn wrong_on_purpose_is_seen_as_wrong() {
        let bytes = encode(&Value::parse(r#"{Records: ["a"], Crc: 5}"#).unwrap()).unwrap();
        assert_eq!(
            decode(&bytes).get("Crc"),
            Some(&Value::Word("wrong".to_owned()))
        );
        let bytes = encode(&Value::parse(r#"{Records: ["a"], RecordsCount: 5}"#).unwrap()).unwrap();
        assert_eq!(decode(&bytes).get("RecordsCount"), Some(&Value::Int(5)));
    }
}
