//! Records as JSON objects, in both directions.

use bytes::Bytes;
use client::{ConsumerRecord, ProducerRecord};
use records::Header;
use serde_json::{Map, Value};
use types::TimestampMs;

use super::{from_base64, to_base64};
use crate::output::{Time, rows};

rows! {
    /// A record.
    struct JsonRecord {
        /// Its topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its timestamp.
        timestamp: Time,
        /// Its key, if it has one that is text.
        key: Option<String>,
        /// Its key in base64, if it has one that is no text.
        key_base64: Option<String>,
        /// Its value, if it has one that is text.
        value: Option<String>,
        /// Its value in base64, if it has one that is no text.
        value_base64: Option<String>,
        /// Its headers.
        headers: Vec<JsonHeader>,
    }
    /// A header of a record.
    struct JsonHeader {
        /// Its key.
        key: String,
        /// Its value, if it has one that is text.
        value: Option<String>,
        /// Its value in base64, if it has one that is no text.
        value_base64: Option<String>,
    }
}

/// Text if it is text, else base64.
fn split(bytes: Option<&Bytes>) -> (Option<String>, Option<String>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => (None, None),
        Some((Ok(text), _)) => (Some(text.to_owned()), None),
        Some((Err(_), bytes)) => (None, Some(to_base64(bytes))),
    }
}

/// A record that was consumed.
pub(crate) fn of(record: &ConsumerRecord) -> JsonRecord {
    let (key, key_base64) = split(record.key.as_ref());
    let (value, value_base64) = split(record.value.as_ref());
    let header = |header: &Header| {
        let (value, value_base64) = split(header.value.as_ref());
        JsonHeader {
            key: String::from_utf8_lossy(&header.key).into_owned(),
            value,
            value_base64,
        }
    };
    JsonRecord {
        topic: record.at.topic.to_string(),
        partition: record.at.partition,
        offset: record.offset.0,
        timestamp: Time(record.timestamp.0),
        key,
        key_base64,
        value,
        value_base64,
        headers: record.headers.iter().map(header).collect(),
    }
}

/// A record to be produced. Topic and partition count if they are there; an offset does not.
///
/// # Errors
/// It is no such object.
pub(crate) fn parse(line: &[u8]) -> Result<ProducerRecord, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err("is no JSON object".to_owned());
    };
    const KNOWN: &[&str] = &[
        "topic",
        "partition",
        "offset",
        "timestamp",
        "key",
        "key_base64",
        "value",
        "value_base64",
        "headers",
    ];
    if let Some(unknown) = object.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!(
            "has a field `{unknown}`; there are {}",
            KNOWN.join(", ")
        ));
    }
    let mut record = ProducerRecord {
        key: bytes(&object, "key")?,
        value: bytes(&object, "value")?,
        ..ProducerRecord::default()
    };
    match object.get("topic") {
        None | Some(Value::Null) => {}
        Some(Value::String(topic)) => record.topic = topic.as_str().into(),
        Some(_) => return Err("`topic` is no text".to_owned()),
    }
    match object.get("partition") {
        None | Some(Value::Null) => {}
        Some(number) => {
            let number = number.as_i64().and_then(|n| i32::try_from(n).ok());
            record.partition = Some(number.ok_or("`partition` is no number of a partition")?);
        }
    }
    record.timestamp = match object.get("timestamp") {
        None | Some(Value::Null) => None,
        Some(Value::Number(ms)) => Some(
            ms.as_i64()
                .ok_or("`timestamp` is no number of milliseconds")?,
        ),
        Some(Value::String(text)) => {
            let parsed = text.parse::<jiff::Timestamp>();
            Some(
                parsed
                    .map_err(|e| format!("`timestamp`: {e}"))?
                    .as_millisecond(),
            )
        }
        Some(_) => return Err("`timestamp` is neither milliseconds nor RFC 3339".to_owned()),
    }
    .map(TimestampMs);
    match object.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(headers)) => {
            for header in headers {
                let header = header.as_object().ok_or("a header is no object")?;
                let key = header
                    .get("key")
                    .and_then(Value::as_str)
                    .ok_or("a header has no `key`")?;
                let value = bytes(header, "value")?;
                record
                    .headers
                    .push(Header::new(Bytes::copy_from_slice(key.as_bytes()), value));
            }
        }
        Some(_) => return Err("`headers` is no array".to_owned()),
    }
    Ok(record)
}

/// Text or base64. What is neither text nor null is written as the JSON that it is.
fn bytes(object: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    match (object.get(name), object.get(&format!("{name}_base64"))) {
        (None | Some(Value::Null), Some(Value::String(text))) => {
            let decoded =
                from_base64(text.as_bytes()).map_err(|e| format!("`{name}_base64` {e}"))?;
            Ok(Some(Bytes::from(decoded)))
        }
        (_, Some(other)) if !other.is_null() => Err(format!(
            "`{name}_base64`: one text, and no `{name}` beside it"
        )),
        (None | Some(Value::Null), _) => Ok(None),
        (Some(Value::String(text)), _) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
        (Some(other), _) => Ok(Some(Bytes::from(other.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::tests::record;
    use super::*;

    #[test]
    fn what_consume_prints_produce_reads() {
        let mut consumed = record();
        consumed.value = Some(Bytes::from_static(b"\xff\0"));
        let line = serde_json::to_vec(&of(&consumed)).unwrap();
        let produced = parse(&line).unwrap();
        assert_eq!(produced.topic, consumed.at.topic);
        assert_eq!(produced.partition, Some(consumed.at.partition));
        assert_eq!(produced.timestamp, Some(consumed.timestamp));
        assert_eq!(produced.key, consumed.key);
        assert_eq!(produced.value, consumed.value);
        assert_eq!(produced.headers, consumed.headers);
    }

    #[test]
    fn values_may_be_json_themselves() {
        let record = parse(br#"{"value":{"a":[1,null]},"key":7,"timestamp":5}"#).unwrap();
        assert_eq!(
            record.value.as_deref(),
            Some(br#"{"a":[1,null]}"#.as_slice())
        );
        assert_eq!(record.key.as_deref(), Some(b"7".as_slice()));
        assert_eq!(record.timestamp, Some(TimestampMs(5)));
        assert_eq!(parse(b"{}").unwrap(), ProducerRecord::default());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "",
            "[]",
            "{",
            r#"{"vallue":1}"#,
            r#"{"partition":"x"}"#,
            r#"{"value":"a","value_base64":"YQ=="}"#,
            r#"{"key_base64":"?"}"#,
            r#"{"headers":[{"value":"x"}]}"#,
            r#"{"timestamp":"noon"}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
