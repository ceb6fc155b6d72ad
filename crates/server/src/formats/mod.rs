//! Record formats in the manner of rpk's: `'%k\t%v\n'`, `'%p@%o %d{%H:%M:%S} %v{hex}\n'`.
//!
//! One grammar for both directions: [`write`] prints records of `consume`, [`read`] takes records of
//! `produce` apart.

pub(crate) mod json;
pub(crate) mod read;
pub(crate) mod write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the help of `produce` and `consume` says of formats.
pub(crate) const HELP: &str = "\
Formats (-f):
  %v value      %k key       %t topic        %p partition    %o offset
  %d %T timestamp            %e leader epoch %H number of headers
  %V %K number of bytes of the value, of the key
  %h{...} each header: %k is its key, %v its value, as in %h{%k=%v }
  %%  %{  %}  the signs themselves;  \\n \\t \\r \\0 \\\\ \\xHH  bytes
  Behind %v and %k:       {hex} {base64} {json}
  Behind numbers:         {ascii} {hex} {byte} {big16} {big32} {big64} {little16} {little32} {little64}
  Behind %d and %T:       {ms} {s} {rfc3339} {strftime[%H:%M:%S]}
  `-f json` is one JSON object a line, whose keys are those of `consume --output jsonl`.";

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As they are.
    Raw,
    /// Two hexadecimal digits each.
    Hex,
    /// RFC 4648, padded.
    Base64,
    /// A JSON string.
    Json,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digits {
    /// In decimal digits.
    Ascii,
    /// In hexadecimal digits.
    Hex,
    /// In this many bytes, the largest first or last.
    Fixed { bytes: usize, big: bool },
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// Milliseconds since 1970.
    Ms,
    /// Seconds since 1970.
    Seconds,
    /// RFC 3339, UTC.
    Rfc3339,
    /// By a pattern, UTC.
    Strftime(String),
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes that are themselves.
    Literal(Vec<u8>),
    Topic,
    Key(Coding),
    Value(Coding),
    KeySize(Digits),
    ValueSize(Digits),
    HeadersCount(Digits),
    Partition(Digits),
    Offset(Digits),
    LeaderEpoch(Digits),
    Timestamp(TimeForm),
    /// Repeated for each header.
    Headers(Vec<Piece>),
}

/// Parses a format.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut parser = Parser {
        text,
        at: 0,
        in_header: false,
    };
    let pieces = parser.pieces()?;
    if pieces.is_empty() {
        return Err("the format is empty: `%v\\n` is a value and a line end".to_owned());
    }
    Ok(pieces)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    in_header: bool,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.text[self.at..].chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn wrong(&self, why: &str) -> String {
        format!("format `{}`, at character {}: {why}", self.text, self.at)
    }

    fn pieces(&mut self) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        while let Some(c) = self.next() {
            let piece = match c {
                '}' if self.in_header => {
                    flush(&mut literal, &mut pieces);
                    return Ok(pieces);
                }
                '\\' => {
                    literal.push(self.escape()?);
                    continue;
                }
                '%' => match self.next() {
                    Some(sign @ ('%' | '{' | '}')) => {
                        literal.push(sign as u8);
                        continue;
                    }
                    Some(verb) => self.verb(verb)?,
                    None => return Err(self.wrong("`%%` is a per cent sign")),
                },
                c => {
                    literal.extend(c.encode_utf8(&mut [0; 4]).bytes());
                    continue;
                }
            };
            flush(&mut literal, &mut pieces);
            pieces.push(piece);
        }
        if self.in_header {
            return Err(self.wrong("`%h{` is not closed"));
        }
        flush(&mut literal, &mut pieces);
        Ok(pieces)
    }

    fn escape(&mut self) -> Result<u8, String> {
        Ok(match self.next() {
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('r') => b'\r',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let digits = self.text.get(self.at..self.at + 2).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16)
                    .map_err(|_| self.wrong("two hexadecimal digits follow \\x"))?;
                self.at += 2;
                byte
            }
            _ => return Err(self.wrong("after a backslash: n, t, r, 0, xHH or a backslash")),
        })
    }

    fn verb(&mut self, verb: char) -> Result<Piece, String> {
        if self.in_header && !matches!(verb, 'k' | 'v' | 'K' | 'V') {
            return Err(self.wrong("within %h{...} there are %k, %v, %K and %V"));
        }
        Ok(match verb {
            't' => Piece::Topic,
            'k' => Piece::Key(self.coding()?),
            'v' => Piece::Value(self.coding()?),
            'K' => Piece::KeySize(self.digits()?),
            'V' => Piece::ValueSize(self.digits()?),
            'H' => Piece::HeadersCount(self.digits()?),
            'p' => Piece::Partition(self.digits()?),
            'o' => Piece::Offset(self.digits()?),
            'e' => Piece::LeaderEpoch(self.digits()?),
            'd' | 'T' => Piece::Timestamp(self.time()?),
            'h' => {
                if self.next() != Some('{') {
                    return Err(self.wrong("write %h{%k=%v }"));
                }
                self.in_header = true;
                let inner = self.pieces()?;
                self.in_header = false;
                Piece::Headers(inner)
            }
            other => {
                return Err(
                    self.wrong(&format!("`%{other}` is not known; `%%` is a per cent sign"))
                );
            }
        })
    }

    /// What stands in braces behind a verb, if braces do.
    fn modifier(&mut self) -> Result<Option<String>, String> {
        if !self.text[self.at..].starts_with('{') {
            return Ok(None);
        }
        let rest = &self.text[self.at + 1..];
        // A pattern in brackets may hold braces.
        let end = match rest
            .strip_prefix("strftime[")
            .and_then(|inner| inner.find("]}"))
        {
            Some(end) => "strftime[".len() + end + 1,
            None => rest
                .find('}')
                .ok_or_else(|| self.wrong("`{` is not closed"))?,
        };
        let modifier = rest[..end].to_owned();
        self.at += end + 2;
        Ok(Some(modifier))
    }

    fn coding(&mut self) -> Result<Coding, String> {
        Ok(match self.modifier()?.as_deref() {
            None | Some("raw" | "ascii") => Coding::Raw,
            Some("hex") => Coding::Hex,
            Some("base64") => Coding::Base64,
            Some("json") => Coding::Json,
            Some(_) => return Err(self.wrong("bytes are written {hex}, {base64} or {json}")),
        })
    }

    fn digits(&mut self) -> Result<Digits, String> {
        let fixed = |bytes, big| Digits::Fixed { bytes, big };
        Ok(match self.modifier()?.as_deref() {
            None | Some("ascii") => Digits::Ascii,
            Some("hex") => Digits::Hex,
            Some("byte") => fixed(1, true),
            Some("big16") => fixed(2, true),
            Some("big32") => fixed(4, true),
            Some("big64") => fixed(8, true),
            Some("little16") => fixed(2, false),
            Some("little32") => fixed(4, false),
            Some("little64") => fixed(8, false),
            Some(_) => {
                return Err(self.wrong(
                    "numbers are written {ascii}, {hex}, {byte}, {big16}, {big32}, {big64} or {little...}",
                ));
            }
        })
    }

    fn time(&mut self) -> Result<TimeForm, String> {
        let modifier = self.modifier()?;
        Ok(match modifier.as_deref() {
            None | Some("ms" | "ascii") => TimeForm::Ms,
            Some("s") => TimeForm::Seconds,
            Some("rfc3339") => TimeForm::Rfc3339,
            Some(other) => match other
                .strip_prefix("strftime[")
                .and_then(|t| t.strip_suffix(']'))
            {
                Some(pattern) => {
                    // A pattern that cannot be printed is found now, not at the first record.
                    let broken = jiff::fmt::strtime::format(pattern, jiff::Timestamp::UNIX_EPOCH);
                    broken.map_err(|error| self.wrong(&error.to_string()))?;
                    TimeForm::Strftime(pattern.to_owned())
                }
                None => {
                    return Err(self
                        .wrong("times are written {ms}, {s}, {rfc3339} or {strftime[%H:%M:%S]}"));
                }
            },
        })
    }
}

fn flush(literal: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

/// Bytes in hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal.
pub(crate) fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let bad = || "is not in hexadecimal".to_owned();
    if !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let digit = |byte: u8| (byte as char).to_digit(16).ok_or_else(bad);
    text.chunks_exact(2)
        .map(|pair| Ok((digit(pair[0])? * 16 + digit(pair[1])?) as u8))
        .collect()
}

/// Bytes in base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes from base64.
pub(crate) fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|error| format!("is no base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_its_pieces() {
        assert_eq!(
            parse(r"%k\t%v{hex}\n"),
            Ok(vec![
                Piece::Key(Coding::Raw),
                Piece::Literal(b"\t".to_vec()),
                Piece::Value(Coding::Hex),
                Piece::Literal(b"\n".to_vec()),
            ])
        );
        assert_eq!(
            parse("%%%{%}\\x41é%h{%k=%v%} }%T{strftime[%d}]}"),
            Ok(vec![
                Piece::Literal("%{}Aé".as_bytes().to_vec()),
                Piece::Headers(vec![
                    Piece::Key(Coding::Raw),
                    Piece::Literal(b"=".to_vec()),
                    Piece::Value(Coding::Raw),
                    Piece::Literal(b"} ".to_vec()),
                ]),
                Piece::Timestamp(TimeForm::Strftime("%d}".to_owned())),
            ])
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "",
            "%",
            "%z",
            "%h",
            "%h{%k",
            "%h{%o}",
            "%v{what}",
            "%v{hex",
            "%o{hexx}",
            "\\q",
            "\\x4",
            "%d{go[2006]}",
            "%d{strftime[%!]}",
            "\\xé",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        let error = parse("%v %z").unwrap_err();
        assert!(
            error.contains("at character 5") && error.contains("`%z` is not known"),
            "{error}"
        );
    }

    #[test]
    fn hexadecimal_and_base64_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(to_hex(&bytes).as_bytes()), Ok(bytes.clone()));
        assert_eq!(from_base64(to_base64(&bytes).as_bytes()), Ok(bytes));
        assert!(from_hex(b"0").is_err() && from_hex(b"0g").is_err() && from_base64(b"?").is_err());
    }
}
