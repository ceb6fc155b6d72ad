//! Values as sessions write them: JSON with bare words, without quotes around keys.
//!
//! ```text
//! {TopicId: $topic_id_1, Partitions: [{Partition: 0, ErrorCode: OFFSET_OUT_OF_RANGE, Key: 0x00ff}]}
//! ```

use anyhow::{Result, bail};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of any width.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// Text in quotes. `$name` in it is replaced when a session runs.
    Str(String),
    /// A bare word: an error's name, `$name`, `closed`.
    Word(String),
    /// `0x00ff`.
    Bytes(Vec<u8>),
    /// A UUID, written as Kafka writes it: 22 characters of URL-safe base 64, in quotes.
    Uuid([u8; 16]),
    /// `[...]`.
    List(Vec<Value>),
    /// `{...}`, in the order written.
    Map(Vec<(String, Value)>),
}

/// Lines are broken beyond this.
const WIDTH: usize = 118;

impl Value {
    /// Reads a value that is all of `text`.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Value> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        cursor.space();
        if !cursor.rest().is_empty() {
            bail!("after the value: {:?}", cursor.rest());
        }
        Ok(value)
    }

    /// The member `key` of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(members) => members.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// What `path` leads to: `Topics[0].Partitions[1].ErrorCode`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut value = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            value = match step.strip_suffix(']') {
                Some(index) => match value {
                    Value::List(items) => items.get(index.parse::<usize>().ok()?)?,
                    _ => return None,
                },
                None => value.get(step)?,
            };
        }
        Some(value)
    }

    /// The value on as many lines as it needs, the first of which starts at column `indent`.
    #[must_use]
    pub fn render(&self, indent: usize) -> String {
        let mut out = String::new();
        self.write(&mut out, indent, indent);
        out
    }

    fn write(&self, out: &mut String, column: usize, indent: usize) {
        let flat = self.flat();
        if column + flat.chars().count() <= WIDTH {
            out.push_str(&flat);
            return;
        }
        let pad = " ".repeat(indent + 2);
        match self {
            Value::List(items) => {
                out.push_str("[\n");
                for item in items {
                    out.push_str(&pad);
                    item.write(out, indent + 2, indent + 2);
                    out.push('\n');
                }
                out.push_str(&pad[2..]);
                out.push(']');
            }
            Value::Map(members) => {
                // As many short members on a line as fit; long ones have lines to themselves.
                out.push_str("{\n");
                let mut line = pad.clone();
                for (key, value) in members {
                    let member = format!("{key}: {}", value.flat());
                    if line.len() > pad.len() && line.len() + member.len() + 2 > WIDTH {
                        out.push_str(line.trim_end());
                        out.push('\n');
                        line.clone_from(&pad);
                    }
                    if pad.len() + member.len() > WIDTH {
                        if line.len() > pad.len() {
                            out.push_str(line.trim_end());
                            out.push('\n');
                            line.clone_from(&pad);
                        }
                        out.push_str(&pad);
                        out.push_str(key);
                        out.push_str(": ");
                        value.write(out, indent + 2 + key.len() + 2, indent + 2);
                        out.push_str(",\n");
                    } else {
                        line.push_str(&member);
                        line.push_str(", ");
                    }
                }
                if line.len() > pad.len() {
                    out.push_str(line.trim_end());
                    out.push('\n');
                }
                out.push_str(&pad[2..]);
                out.push('}');
            }
            _ => out.push_str(&flat),
        }
    }

    /// The value on one line.
    #[must_use]
    pub fn flat(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Str(text) if text.len() > 40 && text.bytes().all(|byte| byte == b'x') => {
                // As a session asks for it.
                quote(&format!("$x_{}", text.len()))
            }
            Value::Str(text) => quote(text),
            Value::Word(word) => word.clone(),
            Value::Bytes(bytes) => format!("0x{}", hex(bytes)),
            Value::Uuid(uuid) => quote(&base64(uuid)),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Value::flat).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Map(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", value.flat()))
                    .collect();
                format!("{{{}}}", members.join(", "))
            }
        }
    }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal; spaces are ignored.
///
/// # Errors
/// Other characters, or an odd number of them.
pub fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| {
            c.to_digit(16)
                .ok_or_else(|| anyhow::anyhow!("{c:?} in hexadecimal"))
        })
        .collect::<Result<_>>()?;
    if !digits.len().is_multiple_of(2) {
        bail!("an odd number of hexadecimal digits in {text:?}");
    }
    Ok(digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A UUID as Kafka writes it.
#[must_use]
pub fn base64(uuid: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*uuid);
    // 22 digits of 6 bits are 132 bits: the last digit has 4 bits to spare.
    (0..22)
        .map(|i| {
            let shift = 122 - 6 * i;
            let digit = if shift >= 0 {
                number >> shift
            } else {
                number << -shift
            };
            BASE64[(digit & 63) as usize] as char
        })
        .collect()
}

/// The UUID that Kafka writes so.
///
/// # Errors
/// It is not one.
pub fn unbase64(text: &str) -> Result<[u8; 16]> {
    if text.len() != 22 {
        bail!("{text:?} is no UUID of 22 characters");
    }
    let mut number = 0u128;
    for (i, c) in text.bytes().enumerate() {
        let Some(digit) = BASE64.iter().position(|b| *b == c) else {
            bail!("{text:?} is no UUID");
        };
        if i == 21 {
            number = number << 2 | digit as u128 >> 4;
        } else {
            number = number << 6 | digit as u128;
        }
    }
    Ok(number.to_be_bytes())
}

/// A place in a text that is being read.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// What is still to be read.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// How far it got, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Skips spaces and line ends.
    pub fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips spaces within the line.
    pub fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Takes `token` if it comes next.
    pub fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes characters as long as they satisfy `wanted`.
    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Reads a value.
    ///
    /// # Errors
    /// There is none.
    pub fn value(&mut self) -> Result<Value> {
        self.space();
        if self.take("{") {
            let mut members = Vec::new();
            loop {
                self.space();
                if self.take("}") {
                    return Ok(Value::Map(members));
                }
                let key = match self.value()? {
                    Value::Str(key) | Value::Word(key) => key,
                    Value::Int(key) => key.to_string(),
                    other => bail!("{} is no key", other.flat()),
                };
                self.space();
                if !self.take(":") {
                    bail!("a colon is missing after {key:?}");
                }
                let value = self.value()?;
                members.push((key, value));
                self.space();
                self.take(",");
            }
        }
        if self.take("[") {
            let mut items = Vec::new();
            loop {
                self.space();
                if self.take("]") {
                    return Ok(Value::List(items));
                }
                items.push(self.value()?);
                self.space();
                self.take(",");
            }
        }
        if self.take("\"") {
            return self.string();
        }
        if self.take("0x") {
            return Ok(Value::Bytes(unhex(
                self.take_while(|c| c.is_ascii_hexdigit()),
            )?));
        }
        let word = self.take_while(|c| c.is_alphanumeric() || "_.$-".contains(c));
        Ok(match word {
            "" => bail!(
                "no value at {:?}",
                self.rest().chars().take(30).collect::<String>()
            ),
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match (word.parse::<i64>(), word.parse::<f64>()) {
                (Ok(number), _) => Value::Int(number),
                (_, Ok(number)) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                    Value::Float(number)
                }
                _ => Value::Word(word.to_owned()),
            },
        })
    }

    fn string(&mut self) -> Result<Value> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(Value::Str(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('u') => {
                        let code: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&code, 16)?;
                        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    Some(c) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        bail!("a string without an end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let text = r#"{Name: "a\"b\n", Id: $topic_id_1, Empty: [], Code: NONE, Bytes: 0x00ff, "odd key": -5, Half: 0.5, No: null}"#;
        let value = Value::parse(text).unwrap();
        assert_eq!(value.at("Name"), Some(&Value::Str("a\"b\n".to_owned())));
        assert_eq!(value.get("Bytes"), Some(&Value::Bytes(vec![0, 255])));
        let long = Value::List(vec![value.clone(); 3]);
        let rendered = long.render(4);
        assert!(rendered.lines().count() > 3, "{rendered}");
        // An odd key is written bare, which is all right for those that occur.
        let long = Value::parse(&rendered.replace("odd key", "odd_key")).unwrap();
        assert_eq!(long.at("[2].Half"), Some(&Value::Float(0.5)));
        assert_eq!(long.at("[3]"), None);
    }

    #[test]
    fn uuids_are_written_as_kafka_writes_them() {
        let uuid = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff";
        assert_eq!(base64(&uuid), "AAECAwQFBgcICQoLDA0O_w");
        assert_eq!(unbase64("AAECAwQFBgcICQoLDA0O_w").unwrap(), uuid);
        assert!(unbase64("short").is_err());
    }
}
