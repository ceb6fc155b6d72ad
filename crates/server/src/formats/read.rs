//! Bytes to records, by a format.
//!
//! A field ends where the text behind it in the format begins, or after the bytes that a size before it gives
//! (`%V{big32}%v`). The last field may end with the input.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use client::ProducerRecord;
use types::TimestampMs;

use super::{Coding, Digits, Piece, TimeForm, from_base64, from_hex, json};

/// The most bytes that a field may have: the most that a request may.
const FIELD_BYTES_MAX: usize = 100 << 20;

/// How records are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// One JSON object a line.
    Json,
    /// By a format.
    Pieces(Vec<Piece>),
}

impl Reader {
    /// Reads by this format.
    ///
    /// # Errors
    /// What is wrong with the format.
    pub(crate) fn new(format: &str) -> Result<Reader, String> {
        if format == "json" {
            return Ok(Reader::Json);
        }
        let pieces = super::parse(format)?;
        for (i, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Headers(_) | Piece::HeadersCount(_) => {
                    return Err("headers are read with `-f json`, or given with -H".to_owned());
                }
                Piece::Offset(_) | Piece::LeaderEpoch(_) => {
                    return Err(
                        "the broker gives offsets and epochs; they cannot be read".to_owned()
                    );
                }
                Piece::Timestamp(TimeForm::Rfc3339 | TimeForm::Strftime(_)) => {
                    return Err("times are read as {ms} or {s}".to_owned());
                }
                Piece::Key(Coding::Json) | Piece::Value(Coding::Json) => {
                    return Err("JSON is read with `-f json`".to_owned());
                }
                _ => {}
            }
            let delimited = matches!(pieces.get(i + 1), None | Some(Piece::Literal(_)));
            let sized = |size: fn(&Piece) -> bool| pieces[..i].iter().any(size);
            let ends = match piece {
                Piece::Literal(_) => true,
                Piece::Key(_) => delimited || sized(|piece| matches!(piece, Piece::KeySize(_))),
                Piece::Value(_) => delimited || sized(|piece| matches!(piece, Piece::ValueSize(_))),
                Piece::KeySize(Digits::Fixed { .. })
                | Piece::ValueSize(Digits::Fixed { .. })
                | Piece::Partition(Digits::Fixed { .. }) => true,
                _ => delimited,
            };
            if !ends {
                return Err(
                    "between two fields something must stand that tells where the first ends"
                        .to_owned(),
                );
            }
        }
        Ok(Reader::Pieces(pieces))
    }

    /// The next record, `None` at the end of the input.
    ///
    /// # Errors
    /// The input fails ([`io::ErrorKind::InvalidData`] where it is not as the format says).
    pub(crate) fn next(&self, input: &mut impl BufRead) -> io::Result<Option<ProducerRecord>> {
        match self {
            Reader::Json => loop {
                let mut line = Vec::new();
                let limit = FIELD_BYTES_MAX as u64;
                if input.take(limit).read_until(b'\n', &mut line)? == 0 {
                    return Ok(None);
                }
                if !line.trim_ascii().is_empty() {
                    return json::parse(&line).map(Some).map_err(wrong);
                }
            },
            Reader::Pieces(pieces) => {
                if input.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                read(pieces, input).map(Some)
            }
        }
    }
}

fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn read(pieces: &[Piece], input: &mut impl BufRead) -> io::Result<ProducerRecord> {
    let mut record = ProducerRecord::default();
    let (mut key_size, mut value_size) = (None, None);
    let mut i = 0;
    while i < pieces.len() {
        let piece = &pieces[i];
        i += 1;
        let size = match piece {
            Piece::Literal(literal) => {
                let mut found = vec![0; literal.len()];
                input.read_exact(&mut found).map_err(cut_short)?;
                if found != *literal {
                    let (expected, found) = (
                        String::from_utf8_lossy(literal),
                        String::from_utf8_lossy(&found),
                    );
                    return Err(wrong(format!("expected {expected:?}, found {found:?}")));
                }
                continue;
            }
            Piece::Key(_) => key_size,
            Piece::Value(_) => value_size,
            Piece::KeySize(digits) | Piece::ValueSize(digits) | Piece::Partition(digits) => {
                fixed(*digits)
            }
            _ => None,
        };
        let field = match (size, pieces.get(i)) {
            (Some(size), _) => exact(input, size)?,
            (None, Some(Piece::Literal(literal))) => {
                // The literal is read together with the field that it ends.
                i += 1;
                until(input, literal, i == pieces.len())?
            }
            (None, _) => {
                let mut field = Vec::new();
                input
                    .take(FIELD_BYTES_MAX as u64 + 1)
                    .read_to_end(&mut field)?;
                checked(field)?
            }
        };
        match piece {
            Piece::Key(coding) => record.key = Some(decoded(field, *coding, "the key")?),
            Piece::Value(coding) => record.value = Some(decoded(field, *coding, "the value")?),
            Piece::Topic => {
                let topic = String::from_utf8(field).map_err(|_| wrong("the topic is no text"))?;
                record.topic = topic.into();
            }
            Piece::KeySize(digits) => key_size = Some(sized(&field, *digits)?),
            Piece::ValueSize(digits) => value_size = Some(sized(&field, *digits)?),
            Piece::Partition(digits) => {
                let number = i32::try_from(number(&field, *digits)?);
                record.partition = Some(number.map_err(|_| wrong("is no number of a partition"))?);
            }
            Piece::Timestamp(form) => {
                let unit = if *form == TimeForm::Seconds { 1000 } else { 1 };
                let time = number(&field, Digits::Ascii)?.checked_mul(unit);
                record.timestamp = Some(TimestampMs(time.ok_or_else(|| wrong("is no time"))?));
            }
            other => unreachable!("{other:?} was refused with the format"),
        }
    }
    Ok(record)
}

fn fixed(digits: Digits) -> Option<usize> {
    match digits {
        Digits::Fixed { bytes, .. } => Some(bytes),
        Digits::Ascii | Digits::Hex => None,
    }
}

fn cut_short(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong("the input ends within a record"),
        _ => error,
    }
}

fn checked(field: Vec<u8>) -> io::Result<Vec<u8>> {
    if field.len() > FIELD_BYTES_MAX {
        return Err(wrong(format!(
            "a field has more than {FIELD_BYTES_MAX} bytes"
        )));
    }
    Ok(field)
}

/// Exactly so many bytes. Memory grows with what comes, not with what is claimed.
fn exact(input: &mut impl BufRead, size: usize) -> io::Result<Vec<u8>> {
    let mut field = Vec::new();
    input.take(size as u64).read_to_end(&mut field)?;
    if field.len() < size {
        return Err(wrong("the input ends within a record"));
    }
    Ok(field)
}

/// The bytes before `end`, which is read too. At the end of a record the end of the input will do.
fn until(input: &mut impl BufRead, end: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let last_byte = *end.last().expect("the parser makes no empty literals");
    let mut field = Vec::new();
    loop {
        let room = (FIELD_BYTES_MAX + end.len() + 1).saturating_sub(field.len());
        let read = input
            .by_ref()
            .take(room as u64)
            .read_until(last_byte, &mut field)?;
        if field.ends_with(end) {
            field.truncate(field.len() - end.len());
            return Ok(field);
        }
        if read == 0 {
            checked(field.clone())?;
            return if last {
                Ok(field)
            } else {
                Err(wrong("the input ends within a record"))
            };
        }
    }
}

fn decoded(field: Vec<u8>, coding: Coding, what: &str) -> io::Result<Bytes> {
    let bytes = match coding {
        Coding::Raw | Coding::Json => Ok(field),
        Coding::Hex => from_hex(&field),
        Coding::Base64 => from_base64(&field),
    };
    bytes
        .map(Bytes::from)
        .map_err(|why| wrong(format!("{what} {why}")))
}

fn sized(field: &[u8], digits: Digits) -> io::Result<usize> {
    usize::try_from(number(field, digits)?)
        .ok()
        .filter(|size| *size <= FIELD_BYTES_MAX)
        .ok_or_else(|| wrong(format!("a size is not from 0 to {FIELD_BYTES_MAX}")))
}

fn number(field: &[u8], digits: Digits) -> io::Result<i64> {
    let text = || {
        let text = String::from_utf8_lossy(field);
        text.trim().to_owned()
    };
    let parsed = match digits {
        Digits::Ascii => text().parse().ok(),
        Digits::Hex => i64::from_str_radix(&text(), 16).ok(),
        Digits::Fixed { bytes, big } => {
            let mut whole = [0u8; 8];
            if big {
                whole[8 - bytes..].copy_from_slice(field);
                Some(i64::from_be_bytes(whole))
            } else {
                whole[..bytes].copy_from_slice(field);
                Some(i64::from_le_bytes(whole))
            }
        }
    };
    parsed.ok_or_else(|| wrong(format!("{:?} is no number", text())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(format: &str, mut input: &[u8]) -> io::Result<Vec<ProducerRecord>> {
        let reader = Reader::new(format).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next(&mut input)? {
            records.push(record);
        }
        Ok(records)
    }

    fn pairs(records: &[ProducerRecord]) -> Vec<(Option<&[u8]>, Option<&[u8]>)> {
        records
            .iter()
            .map(|r| (r.key.as_deref(), r.value.as_deref()))
            .collect()
    }

    #[test]
    fn lines_with_or_without_the_last_line_end() {
        for input in [b"a\nb\n".as_slice(), b"a\nb"] {
            let records = all("%v\\n", input).unwrap();
            assert_eq!(
                pairs(&records),
                [(None, Some(b"a".as_slice())), (None, Some(b"b"))]
            );
        }
        assert_eq!(all("%v\\n", b"").unwrap(), []);
        assert_eq!(all("%v", b"a\nb").unwrap().len(), 1);
    }

    #[test]
    fn ends_of_several_bytes_and_fields_of_all_kinds() {
        let records = all("%t/%p %d %k --> %v--\\n", b"t/3 17 k-- --> v---\n").unwrap();
        assert_eq!(
            pairs(&records),
            [(Some(b"k--".as_slice()), Some(b"v-".as_slice()))]
        );
        assert_eq!(records[0].topic, "t");
        assert_eq!(
            (records[0].partition, records[0].timestamp),
            (Some(3), Some(TimestampMs(17)))
        );
    }

    #[test]
    fn sizes_let_any_bytes_pass() {
        let records = all("%K{big16}%k%V{byte}%v", b"\0\x03a\nb\x02\0\n\0\0\0").unwrap();
        assert_eq!(
            pairs(&records),
            [
                (Some(b"a\nb".as_slice()), Some(b"\0\n".as_slice())),
                (Some(b""), Some(b""))
            ]
        );
        let records = all("%V,%v{hex}\\n", b"4,6869\n").unwrap();
        assert_eq!(pairs(&records), [(None, Some(b"hi".as_slice()))]);
    }

    #[test]
    fn input_that_is_not_as_the_format_says_is_refused() {
        for (format, input) in [
            ("%k\\t%v\\n", b"no tab\n".as_slice()),
            ("%V{big32}%v", b"\0\0\0\x09short"),
            ("%V{big32}%v", b"\xff\xff\xff\xffx"),
            ("%V{big32}%v", b"\0\0"),
            ("%v{hex}\\n", b"xyz\n"),
            ("%p %v\\n", b"one v\n"),
            ("> %v\\n", b"v\n\n\n"),
            ("json", b"{]\n"),
        ] {
            let error = all(format, input).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{format} {error}");
        }
    }

    #[test]
    fn formats_that_cannot_be_read_are_refused() {
        for bad in [
            "%k%v",
            "%p%v",
            "%o %v",
            "%h{%k}",
            "%d{rfc3339} %v",
            "%v{json}",
            "%q",
        ] {
            assert!(Reader::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_lines() {
        let records = all("json", b"{\"value\":\"a\"}\n\n{\"key\":\"k\"}").unwrap();
        assert_eq!(
            pairs(&records),
            [(None, Some(b"a".as_slice())), (Some(b"k".as_slice()), None)]
        );
    }
}
