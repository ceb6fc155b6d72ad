//! Records to bytes, by a format.

use std::io::{self, Write};

use client::ConsumerRecord;
use jiff::Timestamp;

use super::{Coding, Digits, Piece, TimeForm, to_base64, to_hex};
use crate::output::Time;

/// Writes a record.
pub(crate) fn write(
    out: &mut impl Write,
    pieces: &[Piece],
    record: &ConsumerRecord,
) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => out.write_all(literal)?,
            Piece::Topic => out.write_all(record.at.topic.as_bytes())?,
            Piece::Key(coding) => bytes(out, record.key.as_deref(), *coding)?,
            Piece::Value(coding) => bytes(out, record.value.as_deref(), *coding)?,
            Piece::KeySize(digits) => number(out, size(record.key.as_deref()), *digits)?,
            Piece::ValueSize(digits) => number(out, size(record.value.as_deref()), *digits)?,
            Piece::HeadersCount(digits) => number(out, record.headers.len() as i64, *digits)?,
            Piece::Partition(digits) => number(out, i64::from(record.at.partition), *digits)?,
            Piece::Offset(digits) => number(out, record.offset.0, *digits)?,
            Piece::LeaderEpoch(digits) => number(out, i64::from(record.leader_epoch.0), *digits)?,
            Piece::Timestamp(form) => out.write_all(time(record.timestamp.0, form).as_bytes())?,
            Piece::Headers(inner) => {
                for header in &record.headers {
                    write_header(out, inner, &header.key, header.value.as_deref())?;
                }
            }
        }
    }
    Ok(())
}

fn write_header(
    out: &mut impl Write,
    pieces: &[Piece],
    key: &[u8],
    value: Option<&[u8]>,
) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => out.write_all(literal)?,
            Piece::Key(coding) => bytes(out, Some(key), *coding)?,
            Piece::Value(coding) => bytes(out, value, *coding)?,
            Piece::KeySize(digits) => number(out, size(Some(key)), *digits)?,
            Piece::ValueSize(digits) => number(out, size(value), *digits)?,
            other => unreachable!("the parser lets no {other:?} into a header"),
        }
    }
    Ok(())
}

fn size(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(0, |bytes| bytes.len() as i64)
}

/// No bytes are written like none: only JSON has a null.
fn bytes(out: &mut impl Write, bytes: Option<&[u8]>, coding: Coding) -> io::Result<()> {
    match (bytes, coding) {
        (None, Coding::Json) => out.write_all(b"null"),
        (None, _) => Ok(()),
        (Some(bytes), Coding::Raw) => out.write_all(bytes),
        (Some(bytes), Coding::Hex) => out.write_all(to_hex(bytes).as_bytes()),
        (Some(bytes), Coding::Base64) => out.write_all(to_base64(bytes).as_bytes()),
        (Some(bytes), Coding::Json) => {
            Ok(serde_json::to_writer(out, &String::from_utf8_lossy(bytes))?)
        }
    }
}

fn number(out: &mut impl Write, number: i64, digits: Digits) -> io::Result<()> {
    match digits {
        Digits::Ascii => write!(out, "{number}"),
        Digits::Hex => write!(out, "{number:x}"),
        Digits::Fixed { bytes, big: true } => out.write_all(&number.to_be_bytes()[8 - bytes..]),
        Digits::Fixed { bytes, big: false } => out.write_all(&number.to_le_bytes()[..bytes]),
    }
}

fn time(ms: i64, form: &TimeForm) -> String {
    match form {
        TimeForm::Ms => ms.to_string(),
        TimeForm::Seconds => ms.div_euclid(1000).to_string(),
        TimeForm::Rfc3339 => Time(ms).utc(),
        TimeForm::Strftime(pattern) => Timestamp::from_millisecond(ms)
            .ok()
            .and_then(|timestamp| jiff::fmt::strtime::format(pattern, timestamp).ok())
            .unwrap_or_else(|| ms.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use client::TopicPartition;
    use records::{Header, TimestampType};
    use types::{LeaderEpoch, Offset, TimestampMs};

    use super::super::parse;
    use super::*;

    pub(crate) fn record() -> ConsumerRecord {
        ConsumerRecord {
            at: TopicPartition::new("orders", 3),
            offset: Offset(258),
            timestamp: TimestampMs(1_622_505_600_123),
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: LeaderEpoch(7),
            key: Some(Bytes::from_static(b"k\"")),
            value: Some(Bytes::from_static(b"hello")),
            headers: vec![
                Header::new(Bytes::from_static(b"a"), Some(Bytes::from_static(b"1"))),
                Header::new(Bytes::from_static(b"b"), None),
            ],
        }
    }

    fn written(format: &str, record: &ConsumerRecord) -> String {
        let mut out = Vec::new();
        write(&mut out, &parse(format).unwrap(), record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_verb() {
        let text = written(
            "%t %p@%o %e %k %K %v %V %H %h{[%k=%v %V]} %d %T{s} %d{rfc3339} %d{strftime[%H:%M]}",
            &record(),
        );
        assert_eq!(
            text,
            "orders 3@258 7 k\" 2 hello 5 2 [a=1 1][b= 0] 1622505600123 1622505600 \
             2021-06-01T00:00:00.123Z 00:00"
        );
        assert_eq!(
            written("%v{hex} %v{base64} %k{json} %o{hex}", &record()),
            "68656c6c6f aGVsbG8= \"k\\\"\" 102"
        );
        assert_eq!(
            written("%o{big16}%o{little32}", &record()),
            "\x01\x02\x02\x01\0\0"
        );
    }

    #[test]
    fn nothing_is_null_in_json_only() {
        let empty = ConsumerRecord {
            key: None,
            value: None,
            ..record()
        };
        assert_eq!(written("[%k|%v{hex}|%v{json}|%K]", &empty), "[||null|0]");
    }
}
