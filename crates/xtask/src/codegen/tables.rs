//! The tables and enums over many messages: APIs, metadata records, coordinator records.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::HEADER;
use super::schema::{Message, snake};

pub(super) fn api_name(message: &Message) -> &str {
    let name = message.name.as_str();
    name.strip_suffix("Request")
        .or(name.strip_suffix("Response"))
        .unwrap_or(name)
}

pub(super) fn api_constant(message: &Message) -> String {
    snake(api_name(message)).to_uppercase()
}

pub(super) fn api_table(messages: &[Message]) -> Result<String> {
    let mut requests: Vec<_> = messages.iter().filter(|m| m.kind == "request").collect();
    requests.sort_by_key(|m| m.api_key);
    let mut out = format!("//! All APIs that are not retired.\n\n{HEADER}");
    out += "use crate::api::{ApiInfo, ApiKey};\n\nimpl ApiKey {\n";
    for request in &requests {
        let key = request
            .api_key
            .with_context(|| format!("{} has no key", request.name))?;
        let _ = writeln!(
            out,
            "/// {}, versions {}.",
            api_name(request),
            request.versions.describe()
        );
        let _ = writeln!(
            out,
            "pub const {}: ApiKey = ApiKey({key});",
            api_constant(request)
        );
    }
    out +=
        "}\n\n/// All APIs that are not retired, by key.\npub static API_TABLE: &[ApiInfo] = &[\n";
    for request in &requests {
        let _ = writeln!(
            out,
            "ApiInfo {{ key: ApiKey::{}, name: {:?}, versions: ({}, {}), \
             latest_version_unstable: {}, flexible_from: {}, broker: {}, controller: {} }},",
            api_constant(request),
            api_name(request),
            request.versions.first,
            request.versions.last,
            request.latest_unstable,
            flexible_from(request),
            request.listeners.iter().any(|l| l == "broker"),
            request.listeners.iter().any(|l| l == "controller"),
        );
    }
    out += "];\n";
    Ok(out)
}

pub(super) fn flexible_from(message: &Message) -> String {
    if message.flexible.is_empty() {
        "i16::MAX".to_owned()
    } else {
        message.flexible.first.to_string()
    }
}

pub(super) fn metadata_records(messages: &[Message]) -> Result<(String, Vec<String>)> {
    let mut records: Vec<_> = messages.iter().filter(|m| m.folder == "metadata").collect();
    records.sort_by_key(|m| m.api_key);
    let mut out = format!("//! Any record of the metadata log.\n\n{HEADER}");
    out += "use bytes::Bytes;\n\nuse super::*;\n";
    out += "use crate::codec::{DecodeError, EncodeError, Message, Reader, Writer};\n";
    out += "use crate::record::{decode_frame, encode_frame};\n\n";
    out += "/// A record of the metadata log.\n#[derive(Clone, Debug, PartialEq)]\n";
    out += "pub enum MetadataRecord {\n";
    for record in &records {
        let name = &record.name;
        let _ = writeln!(
            out,
            "/// Type {}.",
            record.api_key.context("a record without type")?
        );
        let _ = writeln!(out, "{name}({name}),");
    }
    out += "}\n\nimpl MetadataRecord {\n";
    out += "/// The record's type.\n#[must_use]\npub fn api_key(&self) -> i16 {\nmatch self {\n";
    for record in &records {
        let key = record.api_key.unwrap_or_default();
        let _ = writeln!(out, "MetadataRecord::{}(_) => {key},", record.name);
    }
    out += "}\n}\n\n/// The last version of the record's type.\n#[must_use]\n";
    out += "pub fn version_max(&self) -> i16 {\nmatch self {\n";
    for record in &records {
        let name = &record.name;
        let _ = writeln!(out, "MetadataRecord::{name}(_) => {name}::VERSIONS.1,");
    }
    out += "}\n}\n\n/// Reads a record with its frame: frame version, type, version, message.\n\
            ///\n/// # Errors\n///\n/// The bytes are no metadata record that is known here.\n\
            pub fn decode(bytes: Bytes) -> Result<MetadataRecord, DecodeError> {\n\
            let mut r = Reader::new(bytes);\nlet (api_key, version) = decode_frame(&mut r)?;\n\
            let record = match api_key {\n";
    for record in &records {
        let (key, name) = (record.api_key.unwrap_or_default(), &record.name);
        let _ = writeln!(
            out,
            "{key} => MetadataRecord::{name}({name}::decode(&mut r, version)?),"
        );
    }
    out += "_ => return Err(DecodeError::UnknownRecordType(api_key)),\n};\n\
            r.expect_end()?;\nOk(record)\n}\n\n\
            /// Writes the record with its frame.\n///\n/// # Errors\n///\n\
            /// The record has something that `version` cannot carry.\n\
            pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {\n\
            let mut w = Writer::with_capacity(128);\n\
            encode_frame(&mut w, self.api_key(), version);\nmatch self {\n";
    for record in &records {
        let _ = writeln!(
            out,
            "MetadataRecord::{}(m) => m.encode(&mut w, version)?,",
            record.name
        );
    }
    out += "}\nOk(w.into_bytes())\n}\n}\n\n";
    for record in &records {
        let name = &record.name;
        let _ = writeln!(
            out,
            "impl From<{name}> for MetadataRecord {{\nfn from(record: {name}) -> Self {{\n\
             MetadataRecord::{name}(record)\n}}\n}}\n"
        );
    }
    Ok((out, vec!["MetadataRecord".to_owned()]))
}

pub(super) fn coordinator_records(
    messages: &[Message],
    folder: &str,
    prefix: &str,
) -> Result<(String, Vec<String>)> {
    let of_kind = |kind: &str| -> Vec<&Message> {
        let mut found: Vec<_> = messages
            .iter()
            .filter(|m| m.folder == folder && m.kind == kind)
            .collect();
        found.sort_by_key(|m| m.api_key);
        found
    };
    let (keys, values) = (of_kind("coordinator-key"), of_kind("coordinator-value"));
    ensure!(
        keys.iter()
            .map(|m| m.api_key)
            .eq(values.iter().map(|m| m.api_key)),
        "keys and values of {folder} do not match"
    );
    let (key_enum, value_enum) = (format!("{prefix}RecordKey"), format!("{prefix}RecordValue"));
    let mut out = format!("//! Any record of the {folder} coordinator's log.\n\n{HEADER}");
    out += "use bytes::Bytes;\n\nuse super::*;\n";
    out += "use crate::codec::{DecodeError, EncodeError, Message, Reader};\n";
    out += "use crate::record::{decode_value, encode_key, encode_value};\n\n";
    let variant = |m: &Message, suffix: &str| {
        m.name
            .strip_suffix(suffix)
            .map(str::to_owned)
            .context("a record of another name")
    };
    for (name, list, suffix) in [(&key_enum, &keys, "Key"), (&value_enum, &values, "Value")] {
        let _ = writeln!(out, "/// The {} of a record.", suffix.to_lowercase());
        let _ = writeln!(
            out,
            "#[derive(Clone, Debug, PartialEq, Eq)]\npub enum {name} {{"
        );
        for m in list {
            let _ = writeln!(
                out,
                "/// Type {}.",
                m.api_key.context("a record without type")?
            );
            let _ = writeln!(out, "{}({}),", variant(m, suffix)?, m.name);
        }
        let _ = writeln!(
            out,
            "}}\n\nimpl {name} {{\n/// The record's type.\n#[must_use]"
        );
        out += "pub fn record_type(&self) -> i16 {\nmatch self {\n";
        for m in list {
            let key = m.api_key.unwrap_or_default();
            let _ = writeln!(out, "{name}::{}(_) => {key},", variant(m, suffix)?);
        }
        out += "}\n}\n\n";
        if suffix == "Key" {
            let _ = writeln!(
                out,
                "/// Reads a key: its type in two bytes, then the message.\n///\n/// # Errors\n\
                 ///\n/// The bytes are no key that is known here.\n\
                 pub fn decode(bytes: Bytes) -> Result<{name}, DecodeError> {{\n\
                 let mut r = Reader::new(bytes);\nlet record_type = r.i16()?;\n\
                 let key = match record_type {{"
            );
            for m in list {
                let _ = writeln!(
                    out,
                    "{} => {name}::{}({}::decode(&mut r, {})?),",
                    m.api_key.unwrap_or_default(),
                    variant(m, suffix)?,
                    m.name,
                    m.versions.last,
                );
            }
            out += "_ => return Err(DecodeError::UnknownRecordType(record_type as u16 as u32)),\n\
                    };\nr.expect_end()?;\nOk(key)\n}\n\n\
                    /// Writes the key.\n///\n/// # Errors\n///\n/// A string is too long.\n\
                    pub fn encode(&self) -> Result<Bytes, EncodeError> {\nmatch self {\n";
            for m in list {
                let _ = writeln!(out, "{name}::{}(m) => encode_key(m),", variant(m, suffix)?);
            }
        } else {
            let _ = writeln!(
                out,
                "/// Reads the value of a record whose key is of `record_type`: the version in two\n\
                 /// bytes, then the message.\n///\n/// # Errors\n///\n\
                 /// The bytes are no value that is known here.\n\
                 pub fn decode(record_type: i16, bytes: Bytes) -> Result<{name}, DecodeError> {{\n\
                 Ok(match record_type {{"
            );
            for m in list {
                let _ = writeln!(
                    out,
                    "{} => {name}::{}(decode_value(bytes)?),",
                    m.api_key.unwrap_or_default(),
                    variant(m, suffix)?,
                );
            }
            out += "_ => return Err(DecodeError::UnknownRecordType(record_type as u16 as u32)),\n\
                    })\n}\n\n/// Writes the value.\n///\n/// # Errors\n///\n\
                    /// The value has something that `version` cannot carry.\n\
                    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {\n\
                    match self {\n";
            for m in list {
                let _ = writeln!(
                    out,
                    "{name}::{}(m) => encode_value(m, version),",
                    variant(m, suffix)?
                );
            }
        }
        out += "}\n}\n}\n\n";
    }
    Ok((out, vec![key_enum, value_enum]))
}
