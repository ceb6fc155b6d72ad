//! `cargo xtask codegen`: turns the message schemas of `crates/protocol` into Rust.
//!
//! Writes one module per message into `crates/protocol/src/generated`; with `--check` it only
//! compares. The rules are those of Kafka's own generator: which versions have a field, where it may
//! be null, what it is when it is absent, and which fields a version must not lose silently. The
//! generated code names fields, versions and lengths and leaves the rest to `protocol::codec`, so
//! each struct has one reading and one writing function for all versions, and 278 messages compile
//! in seconds.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "native: a build tool reads and writes files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Runs the command in the workspace at `root`.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let protocol = root.join("crates/protocol");
    let messages = read_schemas(&protocol.join("schemas"))?;
    let files = format(root, &generate(&messages)?)?;
    let target = protocol.join("src/generated");
    let stale = stale_files(&target, &files)?;
    if check {
        ensure!(
            stale.is_empty(),
            "generated code differs from the schemas, run `cargo xtask codegen`: {}",
            stale.into_iter().collect::<Vec<_>>().join(", ")
        );
        return Ok(());
    }
    fs::create_dir_all(&target)?;
    for name in stale {
        match files.get(&name) {
            Some(text) => fs::write(target.join(&name), text)?,
            None => fs::remove_file(target.join(&name))?,
        }
    }
    Ok(())
}

/// Names of the files that have to be written or removed.
fn stale_files(target: &Path, files: &BTreeMap<String, String>) -> Result<BTreeSet<String>> {
    let mut stale: BTreeSet<String> = files.keys().cloned().collect();
    if !target.exists() {
        return Ok(stale);
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if files.get(&name) == Some(&fs::read_to_string(entry.path())?) {
            stale.remove(&name);
        } else {
            stale.insert(name);
        }
    }
    Ok(stale)
}

/// Runs rustfmt over all files at once.
fn format(root: &Path, files: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let dir = env::temp_dir().join(format!("ottla-codegen-{}", process::id()));
    fs::create_dir_all(&dir)?;
    for (name, text) in files {
        fs::write(dir.join(name), text)?;
    }
    let status = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .arg(dir.join("mod.rs"))
        .status()
        .context("rustfmt does not start")?;
    ensure!(status.success(), "rustfmt failed on {}", dir.display());
    let mut formatted = BTreeMap::new();
    for name in files.keys() {
        formatted.insert(name.clone(), fs::read_to_string(dir.join(name))?);
    }
    fs::remove_dir_all(&dir)?;
    Ok(formatted)
}

// What a schema says.

/// A range of versions, both ends included; empty if the first is greater than the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Versions {
    first: i16,
    last: i16,
}

const NEVER: Versions = Versions { first: 0, last: -1 };
const ALWAYS: Versions = Versions {
    first: 0,
    last: i16::MAX,
};

impl Versions {
    fn parse(text: &str) -> Result<Versions> {
        let number = |text: &str| {
            text.parse::<i16>()
                .with_context(|| format!("version {text:?}"))
        };
        Ok(if text == "none" {
            NEVER
        } else if let Some(first) = text.strip_suffix('+') {
            Versions {
                first: number(first)?,
                last: i16::MAX,
            }
        } else if let Some((first, last)) = text.split_once('-') {
            Versions {
                first: number(first)?,
                last: number(last)?,
            }
        } else {
            Versions {
                first: number(text)?,
                last: number(text)?,
            }
        })
    }

    fn is_empty(self) -> bool {
        self.first > self.last
    }

    fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    fn intersect(self, other: Versions) -> Versions {
        Versions {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// The expression that is true in these versions, given that `version` is within `context`.
    fn condition(self, context: Versions) -> Condition {
        let both = self.intersect(context);
        if both.is_empty() {
            Condition::Never
        } else if both == context {
            Condition::Always
        } else if both.first == both.last {
            Condition::If(format!("version == {}", both.first))
        } else if both.last == context.last {
            Condition::If(format!("version >= {}", both.first))
        } else if both.first == context.first {
            Condition::If(format!("version <= {}", both.last))
        } else {
            Condition::If(format!(
                "({}..={}).contains(&version)",
                both.first, both.last
            ))
        }
    }

    fn describe(self) -> String {
        match (self.first, self.last) {
            (first, i16::MAX) => format!("{first}+"),
            (first, last) if first == last => format!("{first}"),
            (first, last) => format!("{first}-{last}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    Never,
    If(String),
}

impl Condition {
    fn expression(&self) -> &str {
        match self {
            Condition::Always => "true",
            Condition::Never => "false",
            Condition::If(text) => text,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    /// A fixed number of bytes: Rust type, method of reader and writer, bytes.
    Number(&'static str, &'static str, usize),
    Str,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Result<Type> {
        if let Some(element) = text.strip_prefix("[]") {
            return Ok(Type::Array(Box::new(Type::parse(element)?)));
        }
        Ok(match text {
            "bool" => Type::Number("bool", "bool", 1),
            "int8" => Type::Number("i8", "i8", 1),
            "int16" => Type::Number("i16", "i16", 2),
            "uint16" => Type::Number("u16", "u16", 2),
            "int32" => Type::Number("i32", "i32", 4),
            "uint32" => Type::Number("u32", "u32", 4),
            "int64" => Type::Number("i64", "i64", 8),
            "float64" => Type::Number("f64", "f64", 8),
            "uuid" => Type::Number("Uuid", "uuid", 16),
            "string" => Type::Str,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                Type::Struct(name.to_owned())
            }
            name => bail!("unknown type {name:?}"),
        })
    }

    fn rust(&self) -> String {
        match self {
            Type::Number(rust, ..) => (*rust).to_owned(),
            Type::Str => "Str".to_owned(),
            Type::Bytes => "Bytes".to_owned(),
            Type::Records => "Records".to_owned(),
            Type::Struct(name) => name.clone(),
            Type::Array(element) => format!("Vec<{}>", element.rust()),
        }
    }
}

#[derive(Clone, Debug)]
struct Field {
    /// Kafka's name.
    name: String,
    ty: Type,
    ty_text: String,
    versions: Versions,
    nullable: Versions,
    /// The tag, in the versions that have tags.
    tag: Option<u32>,
    /// Overrides the message's flexible versions.
    flexible: Option<Versions>,
    default: Option<Value>,
    ignorable: bool,
    entity: Option<String>,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Struct {
    name: String,
    versions: Versions,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Message {
    folder: String,
    kind: String,
    api_key: Option<i16>,
    name: String,
    versions: Versions,
    flexible: Versions,
    listeners: Vec<String>,
    latest_unstable: bool,
    fields: Vec<Field>,
    common: Vec<Struct>,
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("{key} is missing in {value}"))
}

fn versions(value: &Value, key: &str) -> Result<Option<Versions>> {
    value[key].as_str().map(Versions::parse).transpose()
}

fn fields(value: &Value) -> Result<Vec<Field>> {
    value["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Field::read)
        .collect()
}

impl Field {
    fn read(value: &Value) -> Result<Field> {
        let name = text(value, "name")?.to_owned();
        let tagged = versions(value, "taggedVersions")?;
        let versions_ = versions(value, "versions")?
            .or(tagged)
            .with_context(|| format!("{name} has no versions"))?;
        ensure!(
            tagged.is_none_or(|t| t == versions_),
            "{name} is tagged only in some versions"
        );
        let tag = value["tag"].as_u64().map(u32::try_from).transpose()?;
        ensure!(
            tag.is_some() == tagged.is_some(),
            "{name} lacks a tag or its versions"
        );
        let ty_text = text(value, "type")?.to_owned();
        Ok(Field {
            ty: Type::parse(&ty_text)?,
            ty_text,
            versions: versions_,
            nullable: versions(value, "nullableVersions")?.unwrap_or(NEVER),
            tag,
            flexible: versions(value, "flexibleVersions")?,
            default: value.get("default").cloned(),
            ignorable: value["ignorable"].as_bool().unwrap_or(false),
            entity: value["entityType"].as_str().map(str::to_owned),
            fields: fields(value)?,
            name,
        })
    }

    fn ident(&self) -> String {
        let name = snake(&self.name);
        match name.as_str() {
            "type" | "match" | "move" | "ref" | "self" | "mod" | "use" | "where" | "loop" => {
                name + "_"
            }
            _ => name,
        }
    }

    /// The name of the variable that holds the field while its struct is read.
    fn local(&self) -> String {
        let name = self.ident();
        match name.as_str() {
            "r" | "w" | "version" | "flexible" | "tags" | "tag" => name + "_",
            _ => name,
        }
    }

    fn is_option(&self) -> bool {
        !self.nullable.is_empty() || self.ty == Type::Records
    }

    fn default_is_null(&self) -> bool {
        self.ty == Type::Records
            || matches!(&self.default, Some(Value::Null))
            || (matches!(&self.default, Some(Value::String(s)) if s == "null") && self.is_option())
    }

    fn rust(&self) -> String {
        if self.is_option() {
            format!("Option<{}>", self.ty.rust())
        } else {
            self.ty.rust()
        }
    }

    /// The default as a number or flag in Rust.
    fn number(&self) -> Result<String> {
        let text = match &self.default {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        Ok(match &self.ty {
            Type::Number("bool", ..) if text.is_empty() => "false".to_owned(),
            Type::Number("bool", ..) => text.parse::<bool>()?.to_string(),
            Type::Number("Uuid", ..) => {
                ensure!(text.is_empty(), "{} has a default id", self.name);
                "Uuid::ZERO".to_owned()
            }
            Type::Number("f64", ..) => {
                format!(
                    "{:?}",
                    if text.is_empty() {
                        0.0
                    } else {
                        text.parse::<f64>()?
                    }
                )
            }
            Type::Number(rust, ..) => {
                let number = match text.strip_prefix("0x") {
                    Some(hex) => i64::from_str_radix(hex, 16)?,
                    None if text.is_empty() => 0,
                    None => text.parse()?,
                };
                match (*rust, number) {
                    ("i32", n) if n == i64::from(i32::MAX) => "i32::MAX".to_owned(),
                    ("i32", n) if n == i64::from(i32::MIN) => "i32::MIN".to_owned(),
                    ("i64", i64::MAX) => "i64::MAX".to_owned(),
                    (_, n) => n.to_string(),
                }
            }
            _ => bail!("{} is no number", self.name),
        })
    }

    fn default_rust(&self) -> Result<String> {
        if self.default_is_null() {
            return Ok("None".to_owned());
        }
        let value = match &self.ty {
            Type::Number(..) => return self.number(),
            Type::Str => "Str::new()".to_owned(),
            Type::Bytes => "Bytes::new()".to_owned(),
            Type::Array(_) => "Vec::new()".to_owned(),
            Type::Struct(name) => format!("{name}::default()"),
            Type::Records => bail!("record data has no default but null"),
        };
        let empty = self.default.as_ref().is_none_or(|d| d.as_str() == Some(""));
        ensure!(empty, "{} has a default that is not known here", self.name);
        Ok(if self.is_option() {
            format!("Some({value})")
        } else {
            value
        })
    }

    /// Whether `#[derive(Default)]` gives the field its default.
    fn default_is_derived(&self) -> Result<bool> {
        Ok(match &self.ty {
            _ if self.is_option() => self.default_is_null(),
            Type::Number("bool", ..) => self.number()? == "false",
            Type::Number("f64", ..) => self.number()? == "0.0",
            Type::Number("Uuid", ..) => true,
            Type::Number(..) => self.number()? == "0",
            _ => true,
        })
    }

    /// The expression that is true if the field is not at its default.
    fn is_set(&self) -> Result<String> {
        let this = format!("self.{}", self.ident());
        if self.default_is_null() {
            return Ok(format!("{this}.is_some()"));
        }
        Ok(match &self.ty {
            Type::Struct(name) => format!("{this} != {}", {
                let default = format!("{name}::default()");
                if self.is_option() {
                    format!("Some({default})")
                } else {
                    default
                }
            }),
            Type::Number("bool", ..) => {
                if self.number()? == "true" {
                    format!("!{this}")
                } else {
                    this
                }
            }
            Type::Number("Uuid", ..) => format!("!{this}.is_zero()"),
            Type::Number(..) => format!("{this} != {}", self.number()?),
            _ if self.is_option() => format!("{this}.as_ref().is_none_or(|x| !x.is_empty())"),
            _ => format!("!{this}.is_empty()"),
        })
    }

    fn doc(&self) -> String {
        let mut doc = format!("`{}`, {}", self.ty_text, in_versions(self.versions));
        if !self.nullable.is_empty() {
            if self.nullable.intersect(self.versions) == self.versions {
                doc += "; may be null";
            } else {
                let _ = write!(doc, "; may be null {}", in_versions(self.nullable));
            }
        }
        if let Some(tag) = self.tag {
            let _ = write!(doc, "; tag {tag}");
        }
        if self.ignorable {
            doc += "; left out of versions that lack it";
        }
        if let Some(entity) = &self.entity {
            let _ = write!(doc, "; {entity}");
        }
        doc + "."
    }
}

fn in_versions(versions: Versions) -> String {
    match versions.first == versions.last {
        true => format!("in version {}", versions.describe()),
        false => format!("in versions {}", versions.describe()),
    }
}

fn read_schemas(dir: &Path) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    folders.sort_by_key(|entry| entry.file_name());
    for folder in folders {
        let mut files: Vec<_> = fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
        files.sort_by_key(|entry| entry.file_name());
        for file in files {
            let path = file.path();
            let message = Message::read(
                &folder.file_name().to_string_lossy(),
                &fs::read_to_string(&path)?,
            );
            let message = message.with_context(|| path.display().to_string())?;
            if !message.versions.is_empty() {
                messages.push(message);
            }
        }
    }
    Ok(messages)
}

impl Message {
    fn read(folder: &str, json: &str) -> Result<Message> {
        let value: Value = serde_json::from_str(json)?;
        let common = value["commonStructs"].as_array().into_iter().flatten();
        let common = common.map(|value| {
            Ok(Struct {
                name: text(value, "name")?.to_owned(),
                versions: versions(value, "versions")?.unwrap_or(ALWAYS),
                fields: fields(value)?,
            })
        });
        let listeners = value["listeners"].as_array().into_iter().flatten();
        Ok(Message {
            folder: folder.to_owned(),
            kind: text(&value, "type")?.to_owned(),
            api_key: value["apiKey"].as_i64().map(i16::try_from).transpose()?,
            name: text(&value, "name")?.to_owned(),
            versions: versions(&value, "validVersions")?.context("no validVersions")?,
            flexible: versions(&value, "flexibleVersions")?.unwrap_or(NEVER),
            listeners: listeners
                .filter_map(|l| l.as_str().map(str::to_owned))
                .collect(),
            latest_unstable: value["latestVersionUnstable"].as_bool().unwrap_or(false),
            fields: fields(&value)?,
            common: common.collect::<Result<_>>()?,
        })
    }

    fn module(&self) -> String {
        snake(&self.name)
    }

    /// The message's own struct and all that are nested in it, in the order of their use.
    fn structs(&self) -> Result<Vec<Struct>> {
        let mut all = Vec::new();
        let main = Struct {
            name: self.name.clone(),
            versions: self.versions,
            fields: self.fields.clone(),
        };
        self.collect(main, &mut all)?;
        Ok(all)
    }

    fn collect(&self, mut this: Struct, all: &mut Vec<Struct>) -> Result<()> {
        if all.iter().any(|s| s.name == this.name) {
            return Ok(());
        }
        let context = this.versions;
        this.fields
            .retain(|field| !field.versions.intersect(context).is_empty());
        all.push(this.clone());
        for field in &this.fields {
            let ty = match &field.ty {
                Type::Array(element) => element,
                ty => ty,
            };
            let Type::Struct(name) = ty else {
                ensure!(
                    field.fields.is_empty(),
                    "{} has fields but is no struct",
                    field.name
                );
                continue;
            };
            let nested = match self.common.iter().find(|common| common.name == *name) {
                Some(common) => Struct {
                    versions: common.versions.intersect(self.versions),
                    ..common.clone()
                },
                None => Struct {
                    name: name.clone(),
                    versions: field.versions.intersect(context),
                    fields: field.fields.clone(),
                },
            };
            ensure!(
                !nested.fields.is_empty() || all.iter().any(|s| s.name == nested.name),
                "{name} is used and not defined"
            );
            self.collect(nested, all)?;
        }
        Ok(())
    }
}

/// `TopicId` to `topic_id`.
fn snake(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft");
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (i, c) in chars.iter().enumerate() {
        let starts_word = c.is_ascii_uppercase()
            && i > 0
            && (!chars[i - 1].is_ascii_uppercase()
                || chars
                    .get(i + 1)
                    .is_some_and(|next| next.is_ascii_lowercase()));
        if starts_word {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

// What is made of it.

fn generate(messages: &[Message]) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut modules = Vec::new();
    for message in messages {
        let code = message_module(message).with_context(|| message.name.clone())?;
        modules.push((message.module(), vec![message.name.clone()]));
        ensure!(
            files.insert(message.module() + ".rs", code).is_none(),
            "two messages {}",
            message.name
        );
    }
    let (code, names) = metadata_records(messages)?;
    files.insert("metadata_record.rs".to_owned(), code);
    modules.push(("metadata_record".to_owned(), names));
    for (folder, prefix) in [
        ("group", "Group"),
        ("txn", "Transaction"),
        ("share", "Share"),
    ] {
        let (code, names) = coordinator_records(messages, folder, prefix)?;
        let module = format!("{}_record", snake(prefix));
        files.insert(format!("{module}.rs"), code);
        modules.push((module, names));
    }
    files.insert("api_table.rs".to_owned(), api_table(messages)?);
    files.insert("mod.rs".to_owned(), root_module(messages, modules));
    Ok(files)
}

const HEADER: &str =
    "// Generated by `cargo xtask codegen` from crates/protocol/schemas. Do not edit.\n\n";

fn root_module(messages: &[Message], mut modules: Vec<(String, Vec<String>)>) -> String {
    modules.sort();
    let mut out = format!("//! All messages, one module each.\n\n{HEADER}");
    out += "mod api_table;\n";
    for (module, _) in &modules {
        let _ = writeln!(out, "pub mod {module};");
    }
    out += "\npub use api_table::API_TABLE;\n";
    for (module, names) in &modules {
        let _ = writeln!(out, "pub use {module}::{{{}}};", names.join(", "));
    }
    out += "\n/// Calls a macro with the names of all messages.\n#[cfg(test)]\n";
    out += "macro_rules! with_all_messages {\n($macro:ident) => {\n$macro! {\n";
    for message in messages {
        let _ = writeln!(out, "{}", message.name);
    }
    out += "}\n};\n}\n#[cfg(test)]\npub(crate) use with_all_messages;\n";
    out
}

fn api_name(message: &Message) -> &str {
    let name = message.name.as_str();
    name.strip_suffix("Request")
        .or(name.strip_suffix("Response"))
        .unwrap_or(name)
}

fn api_constant(message: &Message) -> String {
    snake(api_name(message)).to_uppercase()
}

fn api_table(messages: &[Message]) -> Result<String> {
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

fn flexible_from(message: &Message) -> String {
    if message.flexible.is_empty() {
        "i16::MAX".to_owned()
    } else {
        message.flexible.first.to_string()
    }
}

fn message_module(message: &Message) -> Result<String> {
    let structs = message.structs()?;
    let floats = structs_with_floats(&structs);
    let mut body = String::new();
    for (i, this) in structs.iter().enumerate() {
        let generator = StructGenerator {
            message,
            structs: &structs,
            this,
        };
        body += &generator.definition(i == 0, floats.contains(&this.name))?;
        body += &generator.codec(i == 0)?;
    }
    match message.kind.as_str() {
        "request" => {
            let _ = writeln!(
                body,
                "impl crate::codec::Request for {} {{\n\
                 const KEY: crate::api::ApiKey = crate::api::ApiKey::{};\n\
                 type Response = super::{}Response;\n}}",
                message.name,
                api_constant(message),
                api_name(message),
            );
        }
        "coordinator-key" => {
            let _ = writeln!(
                body,
                "impl crate::record::CoordinatorKey for {} {{\n\
                 const RECORD_TYPE: i16 = {};\ntype Value = super::{}Value;\n}}",
                message.name,
                message.api_key.context("no record type")?,
                message
                    .name
                    .strip_suffix("Key")
                    .context("a key that is not called so")?,
            );
        }
        _ => {}
    }
    let mut out = format!("//! [`{}`] and its parts.\n\n{HEADER}", message.name);
    if uses(&body, "Bytes") {
        out += "use bytes::Bytes;\n";
    }
    if uses(&body, "Uuid") {
        out += "use types::Uuid;\n";
    }
    out += "\nuse crate::codec::{DecodeError, EncodeError, Message, Reader, Writer";
    for name in ["Records", "Str"] {
        if uses(&body, name) {
            let _ = write!(out, ", {name}");
        }
    }
    out += "};\n\n";
    Ok(out + &body)
}

/// Whether `word` stands somewhere in `code` outside of comments.
fn uses(code: &str, word: &str) -> bool {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|part| part == word)
        })
}

fn structs_with_floats(structs: &[Struct]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Nested structs come after those that use them.
    for this in structs.iter().rev() {
        let has = this.fields.iter().any(|field| match &field.ty {
            Type::Number("f64", ..) => true,
            Type::Struct(name) => found.contains(name),
            Type::Array(element) => match &**element {
                Type::Number("f64", ..) => true,
                Type::Struct(name) => found.contains(name),
                _ => false,
            },
            _ => false,
        });
        if has {
            found.insert(this.name.clone());
        }
    }
    found
}

struct StructGenerator<'a> {
    message: &'a Message,
    structs: &'a [Struct],
    this: &'a Struct,
}

impl StructGenerator<'_> {
    fn definition(&self, main: bool, floats: bool) -> Result<String> {
        let mut out = String::new();
        let message = self.message;
        if main {
            let number = match (message.kind.as_str(), message.api_key) {
                ("request" | "response", Some(key)) => format!(" of API {key}"),
                (_, Some(key)) => format!(", record type {key}"),
                (_, None) => String::new(),
            };
            let _ = writeln!(
                out,
                "/// `{}`{number}, {}.",
                message.name,
                in_versions(message.versions).trim_start_matches("in "),
            );
        } else {
            let _ = writeln!(out, "/// Part of [`{}`].", message.name);
        }
        let derived = self.this.fields.iter().map(Field::default_is_derived);
        let derived = derived
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .all(|is| is);
        let mut derives = vec!["Clone", "Debug", "PartialEq"];
        if !floats {
            derives.push("Eq");
        }
        if derived {
            derives.push("Default");
        }
        let name = &self.this.name;
        let _ = writeln!(
            out,
            "#[derive({})]\npub struct {name} {{",
            derives.join(", ")
        );
        for field in &self.this.fields {
            let _ = writeln!(out, "/// {}", field.doc());
            let _ = writeln!(out, "pub {}: {},", field.ident(), field.rust());
        }
        out += "}\n\n";
        if !derived {
            let _ = writeln!(
                out,
                "impl Default for {name} {{\nfn default() -> Self {{\nSelf {{"
            );
            for field in &self.this.fields {
                let _ = writeln!(out, "{}: {},", field.ident(), field.default_rust()?);
            }
            out += "}\n}\n}\n\n";
        }
        Ok(out)
    }

    fn codec(&self, main: bool) -> Result<String> {
        let name = &self.this.name;
        let (decode, encode) = (self.decode()?, self.encode()?);
        let mut out = String::new();
        if main {
            let _ = writeln!(
                out,
                "impl Message for {name} {{\n\
                 const NAME: &'static str = {name:?};\n\
                 const VERSIONS: (i16, i16) = ({}, {});\n\
                 const FLEXIBLE_FROM: i16 = {};\n",
                self.message.versions.first,
                self.message.versions.last,
                flexible_from(self.message),
            );
        } else {
            let _ = writeln!(out, "impl {name} {{");
        }
        let (r, version) = (uses(&decode, "r"), uses(&decode, "version"));
        let _ = writeln!(
            out,
            "fn decode({}: &mut Reader, {}: i16) -> Result<Self, DecodeError> {{",
            if r { "r" } else { "_r" },
            if version || main {
                "version"
            } else {
                "_version"
            },
        );
        if main {
            out += "crate::codec::check_decode::<Self>(version)?;\n";
        }
        out += &decode;
        let (w, version) = (uses(&encode, "w"), uses(&encode, "version"));
        let _ = writeln!(
            out,
            "}}\n\nfn encode(&self, {}: &mut Writer, {}: i16) -> Result<(), EncodeError> {{",
            if w { "w" } else { "_w" },
            if version || main {
                "version"
            } else {
                "_version"
            },
        );
        if main {
            out += "crate::codec::check_encode::<Self>(version)?;\n";
        }
        out += &encode;
        out += "}\n}\n\n";
        Ok(out)
    }

    /// Versions in which the struct's own encoding is flexible.
    fn flexible(&self) -> Condition {
        self.message.flexible.condition(self.this.versions)
    }

    /// The argument that says whether `field` is encoded flexibly.
    fn flexible_argument(&self, field: &Field) -> String {
        let condition = match field.flexible {
            Some(versions) => versions.condition(self.this.versions),
            // Where the field exists it may be plain that the version is flexible.
            None => self
                .message
                .flexible
                .condition(self.this.versions.intersect(field.versions)),
        };
        match condition {
            Condition::If(_) => "flexible".to_owned(),
            other => other.expression().to_owned(),
        }
    }

    fn nullable_argument(&self, field: &Field) -> String {
        let context = self.this.versions.intersect(field.versions);
        field.nullable.condition(context).expression().to_owned()
    }

    fn let_flexible(&self, body: &str) -> String {
        match self.flexible() {
            Condition::If(text) if uses(body, "flexible") => {
                format!("let flexible = {text};\n")
            }
            _ => String::new(),
        }
    }

    /// The least bytes that an element of an array takes.
    fn size_min(&self, ty: &Type, version: i16, flexible: bool) -> usize {
        match ty {
            Type::Number(_, _, bytes) => *bytes,
            Type::Str => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Type::Bytes | Type::Records | Type::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Type::Struct(name) => {
                let this = self.structs.iter().find(|s| s.name == *name);
                let fields = this.map_or(&[][..], |s| &s.fields).iter();
                let fields = fields.filter(|f| f.versions.contains(version) && f.tag.is_none());
                let size: usize = fields
                    .map(|f| match f.nullable.contains(version) {
                        true if matches!(f.ty, Type::Struct(_)) => 1,
                        _ => self.size_min(&f.ty, version, flexible),
                    })
                    .sum();
                size + usize::from(flexible)
            }
        }
    }

    fn element_size_min(&self, field: &Field, element: &Type) -> Result<usize> {
        let versions = self.this.versions.intersect(field.versions);
        let sizes = (versions.first..=versions.last)
            .map(|v| self.size_min(element, v, self.message.flexible.contains(v)));
        let size = sizes.min().unwrap_or(0);
        ensure!(size > 0, "elements of {} take no bytes", field.name);
        Ok(size)
    }

    fn decode_value(&self, field: &Field) -> Result<String> {
        let flexible = self.flexible_argument(field);
        let nullable = self.nullable_argument(field);
        let option = field.is_option();
        Ok(match &field.ty {
            Type::Number(_, method, _) => {
                ensure!(!option, "{} is a number that may be null", field.name);
                format!("r.{method}()?")
            }
            Type::Str if option => format!("r.opt_str({flexible}, {nullable})?"),
            Type::Str => format!("r.str({flexible})?"),
            Type::Bytes if option => format!("r.opt_bytes({flexible}, {nullable})?"),
            Type::Bytes => format!("r.bytes({flexible})?"),
            Type::Records => format!("r.records({flexible}, {nullable})?"),
            Type::Struct(name) if option => {
                ensure!(
                    nullable == "true",
                    "{} is null only in some versions",
                    field.name
                );
                format!("if r.present()? {{ Some({name}::decode(r, version)?) }} else {{ None }}")
            }
            Type::Struct(name) => format!("{name}::decode(r, version)?"),
            Type::Array(element) => {
                let (prefix, null) = if option {
                    ("opt_", format!(", {nullable}"))
                } else {
                    ("", String::new())
                };
                match &**element {
                    Type::Number(_, method, _) => {
                        format!("r.{prefix}numbers({flexible}{null}, Reader::{method})?")
                    }
                    Type::Str => format!("r.{prefix}strs({flexible}{null})?"),
                    Type::Struct(name) => format!(
                        "r.{prefix}structs({flexible}{null}, {}, version, {name}::decode)?",
                        self.element_size_min(field, element)?
                    ),
                    _ => bail!("an array of {}", element.rust()),
                }
            }
        })
    }

    fn decode(&self) -> Result<String> {
        let mut out = String::new();
        let context = self.this.versions;
        for field in &self.this.fields {
            let ident = field.local();
            if field.tag.is_some() {
                let _ = writeln!(out, "let mut {ident} = {};", field.default_rust()?);
                continue;
            }
            let value = self.decode_value(field)?;
            match field.versions.condition(context) {
                Condition::If(condition) => {
                    let default = field.default_rust()?;
                    let _ = writeln!(
                        out,
                        "let {ident} = if {condition} {{ {value} }} else {{ {default} }};"
                    );
                }
                _ => {
                    let _ = writeln!(out, "let {ident} = {value};");
                }
            }
        }
        let tags = self.decode_tags()?;
        match self.flexible() {
            Condition::Always => out += &tags,
            Condition::Never => {}
            Condition::If(_) => {
                let _ = writeln!(out, "if flexible {{\n{tags}}}");
            }
        }
        let fields = self
            .this
            .fields
            .iter()
            .map(|field| match (field.ident(), field.local()) {
                (ident, local) if ident == local => ident,
                (ident, local) => format!("{ident}: {local}"),
            });
        let _ = writeln!(
            out,
            "Ok(Self {{ {} }})",
            fields.collect::<Vec<_>>().join(", ")
        );
        Ok(self.let_flexible(&out) + &out)
    }

    /// The tagged fields, ascending.
    fn tagged(&self) -> Vec<&Field> {
        let mut tagged: Vec<_> = self
            .this
            .fields
            .iter()
            .filter(|f| f.tag.is_some())
            .collect();
        tagged.sort_by_key(|field| field.tag);
        tagged
    }

    fn decode_tags(&self) -> Result<String> {
        let tagged = self.tagged();
        if tagged.is_empty() {
            return Ok("r.skip_tags()?;\n".to_owned());
        }
        let mut out = String::from(
            "let mut tags = r.tags()?;\nwhile let Some(tag) = tags.next(r)? {\nmatch tag {\n",
        );
        let context = self.this.versions.intersect(self.message.flexible);
        for field in tagged {
            let guard = match field.versions.condition(context) {
                Condition::If(condition) => format!(" if {condition}"),
                _ => String::new(),
            };
            let _ = writeln!(
                out,
                "{}{guard} => {} = {},",
                field.tag.unwrap_or_default(),
                field.local(),
                self.decode_value(field)?
            );
        }
        out += "_ => r.skip_tag(),\n}\n}\n";
        Ok(out)
    }

    fn encode_value(&self, field: &Field) -> Result<String> {
        let flexible = self.flexible_argument(field);
        let nullable = self.nullable_argument(field);
        let option = field.is_option();
        let this = format!("self.{}", field.ident());
        let label = format!("{:?}", format!("{}.{}", self.this.name, field.ident()));
        Ok(match &field.ty {
            Type::Number(_, method, _) => format!("w.{method}({this});"),
            Type::Str if option => {
                format!("w.opt_str(&{this}, {flexible}, {nullable}, {label})?;")
            }
            Type::Str => format!("w.str(&{this}, {flexible}, {label})?;"),
            Type::Bytes if option => {
                format!("w.opt_bytes(&{this}, {flexible}, {nullable}, {label})?;")
            }
            Type::Bytes => format!("w.bytes(&{this}, {flexible})?;"),
            Type::Records => format!("w.records(&{this}, {flexible}, {nullable}, {label})?;"),
            Type::Struct(_) if option => format!(
                "w.present({this}.is_some());\n\
                 if let Some(value) = &{this} {{\nvalue.encode(w, version)?;\n}}"
            ),
            Type::Struct(_) => format!("{this}.encode(w, version)?;"),
            Type::Array(element) => {
                let (prefix, null) = if option {
                    ("opt_", format!(", {nullable}, {label}"))
                } else {
                    ("", String::new())
                };
                match &**element {
                    Type::Number(_, method, _) => {
                        format!("w.{prefix}numbers(&{this}, {flexible}{null}, Writer::{method})?;")
                    }
                    Type::Str if option => format!("w.opt_strs(&{this}, {flexible}{null})?;"),
                    Type::Str => format!("w.strs(&{this}, {flexible}, {label})?;"),
                    Type::Struct(name) => format!(
                        "w.{prefix}structs(&{this}, {flexible}{null}, version, {name}::encode)?;"
                    ),
                    _ => bail!("an array of {}", element.rust()),
                }
            }
        })
    }

    fn encode(&self) -> Result<String> {
        let mut out = String::new();
        let context = self.this.versions;
        for field in self.this.fields.iter().filter(|field| field.tag.is_none()) {
            let value = self.encode_value(field)?;
            match field.versions.condition(context) {
                Condition::If(condition) => {
                    let _ = writeln!(out, "if {condition} {{\n{value}\n}}");
                    if !field.ignorable {
                        let _ = writeln!(out, "else {}", self.refuse(field)?);
                    }
                }
                _ => {
                    let _ = writeln!(out, "{value}");
                }
            }
        }
        out += &self.encode_tags()?;
        out += "Ok(())\n";
        Ok(self.let_flexible(&out) + &out)
    }

    fn refuse(&self, field: &Field) -> Result<String> {
        let label = format!("{}.{}", self.this.name, field.ident());
        Ok(format!(
            "if {} {{\nreturn Err(EncodeError::not_in_version({label:?}, version));\n}}",
            field.is_set()?
        ))
    }

    fn encode_tags(&self) -> Result<String> {
        let mut out = String::new();
        let tagged = self.tagged();
        // A tagged field is refused in a version without it like any other.
        for field in tagged.iter().filter(|field| !field.ignorable) {
            if let Condition::If(condition) = field.versions.condition(self.this.versions) {
                let set = field.is_set()?;
                let label = format!("{}.{}", self.this.name, field.ident());
                let _ = writeln!(
                    out,
                    "if !({condition}) && {set} {{\n\
                     return Err(EncodeError::not_in_version({label:?}, version));\n}}"
                );
            }
        }
        let context = self.this.versions.intersect(self.message.flexible);
        let mut section = String::new();
        let mut counted = Vec::new();
        for field in &tagged {
            let set = match field.versions.condition(context) {
                Condition::If(condition) => format!("{condition} && {}", field.is_set()?),
                _ => field.is_set()?,
            };
            let local = format!("has_{}", snake(&field.name));
            let _ = writeln!(section, "let {local} = {set};");
            counted.push(format!("u32::from({local})"));
        }
        if tagged.is_empty() {
            section += "w.uvarint(0);\n";
        } else {
            let _ = writeln!(section, "w.uvarint({});", counted.join(" + "));
        }
        for field in &tagged {
            let _ = writeln!(
                section,
                "if has_{} {{\nlet mark = w.begin_tag({});\n{}\nw.end_tag(mark)?;\n}}",
                snake(&field.name),
                field.tag.unwrap_or_default(),
                self.encode_value(field)?
            );
        }
        match self.flexible() {
            Condition::Always => out += &section,
            Condition::Never => ensure!(tagged.is_empty(), "tagged fields but no version for them"),
            Condition::If(_) => {
                let _ = writeln!(out, "if flexible {{\n{section}}}");
            }
        }
        Ok(out)
    }
}

fn metadata_records(messages: &[Message]) -> Result<(String, Vec<String>)> {
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

fn coordinator_records(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (kafka, rust) in [
            ("TopicId", "topic_id"),
            ("group", "group"),
            ("leaderEpoch", "leader_epoch"),
            ("KRaftVersion", "kraft_version"),
            ("MinISRCount", "min_isr_count"),
            ("Enable2Pc", "enable2_pc"),
        ] {
            assert_eq!(snake(kafka), rust);
        }
    }

    #[test]
    fn conditions_know_their_context() {
        let valid = Versions { first: 3, last: 13 };
        let condition = |text: &str| match Versions::parse(text).unwrap().condition(valid) {
            Condition::If(text) => text,
            other => other.expression().to_owned(),
        };
        assert_eq!(condition("0+"), "true");
        assert_eq!(condition("3+"), "true");
        assert_eq!(condition("9+"), "version >= 9");
        assert_eq!(condition("0-12"), "version <= 12");
        assert_eq!(condition("5-7"), "(5..=7).contains(&version)");
        assert_eq!(condition("13"), "version == 13");
        assert_eq!(condition("0-2"), "false");
        assert_eq!(condition("none"), "false");
    }

    #[test]
    fn a_schema_that_is_not_understood_is_refused() {
        let message = |field: &str| {
            let json = format!(
                r#"{{"type": "data", "name": "X", "validVersions": "0", "flexibleVersions": "0+",
                     "fields": [{{"name": "F", {field}}}]}}"#
            );
            Message::read("api", &json).and_then(|message| message_module(&message))
        };
        assert!(message(r#""type": "int32", "versions": "0+""#).is_ok());
        assert!(message(r#""type": "int31", "versions": "0+""#).is_err());
        assert!(message(r#""type": "int32""#).is_err());
        assert!(message(r#""type": "int32", "versions": "0+", "tag": 1"#).is_err());
        assert!(message(r#""type": "int32", "versions": "0+", "default": "x""#).is_err());
        assert!(message(r#""type": "[]Y", "versions": "0+""#).is_err());
        assert!(message(r#""type": "string", "versions": "0+", "default": "x""#).is_err());
    }
}
