//! Messages between values and bytes, led by the schema alone.

use anyhow::{Context as _, Result, bail};

use super::batch;
use super::schema::{Field, Kind, Message, Schemas};
use super::value::{Value, unbase64};

/// Writes `value` as the body of `message` in `version`. What is not said takes its default; what the
/// version does not have is left out.
///
/// # Errors
/// A name that no version knows, or a value of the wrong kind.
pub fn encode(
    schemas: &Schemas,
    message: &Message,
    version: i16,
    value: &Value,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    Codec {
        schemas,
        message,
        version,
        flexible: message.flexible.contains(version),
    }
    .put_fields(&mut out, &message.fields, value)
    .with_context(|| format!("{} version {version}", message.name))?;
    Ok(out)
}

/// Reads the body of `message` in `version`. Bytes left over are told under `trailing`.
///
/// # Errors
/// The bytes are not such a message.
pub fn decode(schemas: &Schemas, message: &Message, version: i16, bytes: &[u8]) -> Result<Value> {
    let mut input = Input(bytes);
    let mut value = Codec {
        schemas,
        message,
        version,
        flexible: message.flexible.contains(version),
    }
    .take_fields(&mut input, &message.fields)
    .with_context(|| format!("{} version {version}", message.name))?;
    if !input.0.is_empty()
        && let Value::Map(members) = &mut value
    {
        members.push(("trailing".to_owned(), Value::Bytes(input.0.to_vec())));
    }
    Ok(value)
}

struct Codec<'a> {
    schemas: &'a Schemas,
    message: &'a Message,
    version: i16,
    flexible: bool,
}

impl Codec<'_> {
    fn struct_fields(&self, name: &str) -> Result<&[Field]> {
        self.message
            .structs
            .get(name)
            .map(Vec::as_slice)
            .with_context(|| format!("no structure is called {name:?}"))
    }

    fn put_fields(&self, out: &mut Vec<u8>, fields: &[Field], value: &Value) -> Result<()> {
        let Value::Map(members) = value else {
            bail!("{} where a structure is wanted", value.flat());
        };
        for (key, _) in members {
            if key != "tags" && !fields.iter().any(|field| field.name == *key) {
                bail!("no field is called {key:?}");
            }
        }
        let mut tags = Vec::new();
        for field in fields {
            if !field.versions.contains(self.version) {
                continue;
            }
            let given = value.get(&field.name);
            if field.tagged.contains(self.version) {
                if let Some(given) = given {
                    let mut bytes = Vec::new();
                    self.put(&mut bytes, field, &field.kind, given)
                        .with_context(|| field.name.clone())?;
                    tags.push((field.tag.context("a tagged field has a tag")?, bytes));
                }
                continue;
            }
            let default;
            let given = match given {
                Some(given) => given,
                None => {
                    default = self.default_of(field)?;
                    &default
                }
            };
            self.put(out, field, &field.kind, given)
                .with_context(|| field.name.clone())?;
        }
        if self.flexible {
            // Tagged fields that no schema knows: `tags: {99: 0x00}`.
            if let Some(Value::Map(unknown)) = value.get("tags") {
                for (tag, bytes) in unknown {
                    let Value::Bytes(bytes) = bytes else {
                        bail!("an unknown tag holds bytes");
                    };
                    tags.push((tag.parse()?, bytes.clone()));
                }
            }
            tags.sort();
            put_uvarint(out, tags.len() as u64);
            for (tag, bytes) in tags {
                put_uvarint(out, u64::from(tag));
                put_uvarint(out, bytes.len() as u64);
                out.extend(bytes);
            }
        }
        Ok(())
    }

    fn default_of(&self, field: &Field) -> Result<Value> {
        let text = field.default.as_deref();
        if text == Some("null") {
            return Ok(Value::Null);
        }
        Ok(match &field.kind {
            Kind::Bool => Value::Bool(text == Some("true")),
            Kind::Int(_) | Kind::Uint16 => Value::Int(match text {
                None | Some("") => 0,
                Some(text) => match text.strip_prefix("0x") {
                    Some(digits) => i64::from_str_radix(digits, 16)?,
                    None => text.parse()?,
                },
            }),
            Kind::Float64 => Value::Float(text.map_or(Ok(0.0), str::parse)?),
            Kind::String => Value::Str(text.unwrap_or_default().to_owned()),
            Kind::Bytes | Kind::Records => Value::Bytes(Vec::new()),
            Kind::Uuid => Value::Uuid([0; 16]),
            Kind::Array(_) => Value::List(Vec::new()),
            Kind::Struct(_) => Value::Map(Vec::new()),
        })
    }

    fn put(&self, out: &mut Vec<u8>, field: &Field, kind: &Kind, value: &Value) -> Result<()> {
        let flexible = match field.flexible {
            Some(versions) => versions.contains(self.version),
            None => self.flexible,
        };
        if *value == Value::Null {
            if !field.nullable.contains(self.version) {
                // Sent on purpose: how does a server take a null that is not allowed?
                if !matches!(
                    kind,
                    Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_)
                ) {
                    bail!("null is not possible");
                }
            }
            match kind {
                Kind::Struct(_) => out.push(0xff),
                _ if flexible => out.push(0),
                Kind::String => out.extend((-1i16).to_be_bytes()),
                _ => out.extend((-1i32).to_be_bytes()),
            }
            return Ok(());
        }
        match (kind, value) {
            (Kind::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
            (Kind::Int(width), Value::Int(number)) => {
                let bytes = number.to_be_bytes();
                let cut = &bytes[8 - width..];
                let fits = number.unsigned_abs() >> (8 * width - 1) == 0
                    || *number == -1 << (8 * width - 1);
                if *width < 8 && !fits {
                    bail!("{number} does not fit {width} bytes");
                }
                out.extend(cut);
            }
            (Kind::Uint16, Value::Int(number)) => {
                out.extend(u16::try_from(*number)?.to_be_bytes());
            }
            (Kind::Float64, Value::Float(number)) => out.extend(number.to_be_bytes()),
            (Kind::Float64, Value::Int(number)) => out.extend((*number as f64).to_be_bytes()),
            (Kind::String, Value::Str(text)) => {
                put_length(out, flexible, 2, text.len());
                out.extend(text.as_bytes());
            }
            (Kind::Bytes, value) => {
                let bytes = self.bytes_of(value)?;
                put_length(out, flexible, 4, bytes.len());
                out.extend(bytes);
            }
            (Kind::Records, value) => {
                let bytes = batch::encode(value)?;
                put_length(out, flexible, 4, bytes.len());
                out.extend(bytes);
            }
            (Kind::Uuid, Value::Uuid(uuid)) => out.extend(uuid),
            (Kind::Uuid, Value::Str(text)) => out.extend(unbase64(text)?),
            (Kind::Array(item), Value::List(items)) => {
                put_length(out, flexible, 4, items.len());
                for (i, one) in items.iter().enumerate() {
                    self.put(out, field, item, one)
                        .with_context(|| format!("[{i}]"))?;
                }
            }
            (Kind::Struct(name), value) => {
                if field.nullable.contains(self.version) && field.kind == *kind {
                    out.push(1);
                }
                self.put_fields(out, self.struct_fields(name)?, value)?;
            }
            (kind, value) => bail!("{} where {kind:?} is wanted", value.flat()),
        }
        Ok(())
    }

    /// Bytes as text, in hexadecimal, or as a message with its version before it:
    /// `{Message: "ConsumerProtocolSubscription", Version: 1, Topics: ["a"]}`.
    fn bytes_of(&self, value: &Value) -> Result<Vec<u8>> {
        Ok(match value {
            Value::Str(text) => text.clone().into_bytes(),
            Value::Bytes(bytes) => bytes.clone(),
            Value::Map(members) => {
                let (Some(Value::Str(name)), Some(Value::Int(version))) =
                    (value.get("Message"), value.get("Version"))
                else {
                    bail!("a message within bytes has a Message and a Version");
                };
                let message = self.schemas.get(name)?;
                let version = i16::try_from(*version)?;
                let body = members
                    .iter()
                    .filter(|(key, _)| key != "Message" && key != "Version")
                    .cloned()
                    .collect();
                let mut bytes = version.to_be_bytes().to_vec();
                bytes.extend(encode(self.schemas, message, version, &Value::Map(body))?);
                bytes
            }
            other => bail!("{} where bytes are wanted", other.flat()),
        })
    }

    fn take_fields(&self, input: &mut Input<'_>, fields: &[Field]) -> Result<Value> {
        let mut members = Vec::new();
        for field in fields {
            if field.versions.contains(self.version) && !field.tagged.contains(self.version) {
                let value = self
                    .take(input, field, &field.kind)
                    .with_context(|| field.name.clone())?;
                members.push((field.name.clone(), value));
            }
        }
        if self.flexible {
            let count = input.uvarint()?;
            let mut unknown = Vec::new();
            for _ in 0..count {
                let tag = input.uvarint()?;
                let len = usize::try_from(input.uvarint()?)?;
                let mut inner = Input(input.take(len)?);
                let known = fields.iter().find(|field| {
                    field.tagged.contains(self.version) && field.tag.map(u64::from) == Some(tag)
                });
                match known {
                    Some(field) => {
                        let value = self
                            .take(&mut inner, field, &field.kind)
                            .with_context(|| field.name.clone())?;
                        members.push((field.name.clone(), value));
                    }
                    None => unknown.push((tag.to_string(), Value::Bytes(inner.0.to_vec()))),
                }
            }
            if !unknown.is_empty() {
                members.push(("tags".to_owned(), Value::Map(unknown)));
            }
        }
        Ok(Value::Map(members))
    }

    fn take(&self, input: &mut Input<'_>, field: &Field, kind: &Kind) -> Result<Value> {
        let flexible = match field.flexible {
            Some(versions) => versions.contains(self.version),
            None => self.flexible,
        };
        Ok(match kind {
            Kind::Bool => Value::Bool(match input.int(1)? {
                0 => false,
                1 => true,
                other => bail!("{other} is no boolean"),
            }),
            Kind::Int(2) if field.name.ends_with("ErrorCode") => {
                let code = types::ErrorCode(i16::try_from(input.int(2)?)?);
                match types::ErrorCode::from_name(code.name()) {
                    Some(known) if known == code => Value::Word(code.name().to_owned()),
                    _ => Value::Int(i64::from(code.0)),
                }
            }
            Kind::Int(width) => Value::Int(input.int(*width)?),
            Kind::Uint16 => Value::Int(input.int(2)? & 0xffff),
            Kind::Float64 => Value::Float(f64::from_bits(input.int(8)? as u64)),
            Kind::String => match input.length(flexible, 2)? {
                None => Value::Null,
                Some(len) => Value::Str(String::from_utf8(input.take(len)?.to_vec())?),
            },
            Kind::Bytes => match input.length(flexible, 4)? {
                None => Value::Null,
                Some(len) => readable(input.take(len)?),
            },
            Kind::Records => match input.length(flexible, 4)? {
                None => Value::Null,
                Some(len) => batch::decode(input.take(len)?),
            },
            Kind::Uuid => {
                let bytes = input.take(16)?;
                Value::Uuid(bytes.try_into()?)
            }
            Kind::Array(item) => match input.length(flexible, 4)? {
                None => Value::Null,
                Some(count) => {
                    let mut items = Vec::new();
                    for i in 0..count {
                        let one = self
                            .take(input, field, item)
                            .with_context(|| format!("[{i}]"))?;
                        items.push(one);
                    }
                    Value::List(items)
                }
            },
            Kind::Struct(name) => {
                if field.nullable.contains(self.version) && field.kind == *kind {
                    match input.int(1)? {
                        -1 => return Ok(Value::Null),
                        1 => {}
                        other => bail!("{other} before a structure that may be null"),
                    }
                }
                self.take_fields(input, self.struct_fields(name)?)?
            }
        })
    }
}

/// Bytes as text if people can read it.
pub(super) fn readable(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Value::Str(text.to_owned()),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

fn put_length(out: &mut Vec<u8>, flexible: bool, width: usize, length: usize) {
    if flexible {
        put_uvarint(out, length as u64 + 1);
    } else {
        out.extend(&(length as u64).to_be_bytes()[8 - width..]);
    }
}

/// Seven bits a byte, the lowest first.
pub(super) fn put_uvarint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes that are being read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(len) else {
            bail!("{len} bytes wanted, {} left", self.0.len());
        };
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn int(&mut self, width: usize) -> Result<i64> {
        let bytes = self.take(width)?;
        let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        Ok(bytes
            .iter()
            .fold(start, |number, byte| number << 8 | i64::from(*byte)))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        bail!("a varint without an end")
    }

    fn length(&mut self, flexible: bool, width: usize) -> Result<Option<usize>> {
        let length = if flexible {
            i64::try_from(self.uvarint()?)? - 1
        } else {
            self.int(width)?
        };
        match length {
            -1 => Ok(None),
            length => Ok(Some(usize::try_from(length).context("a length")?)),
        }
    }
}
