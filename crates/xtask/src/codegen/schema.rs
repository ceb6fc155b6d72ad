//! What the schemas say: messages, fields, versions and defaults.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// A range of versions, both ends included; empty if the first is greater than the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) first: i16,
    pub(super) last: i16,
}

pub(super) const NEVER: Versions = Versions { first: 0, last: -1 };
pub(super) const ALWAYS: Versions = Versions {
    first: 0,
    last: i16::MAX,
};

impl Versions {
    pub(super) fn parse(text: &str) -> Result<Versions> {
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

    pub(super) fn is_empty(self) -> bool {
        self.first > self.last
    }

    pub(super) fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    pub(super) fn intersect(self, other: Versions) -> Versions {
        Versions {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// The expression that is true in these versions, given that `version` is within `context`.
    pub(super) fn condition(self, context: Versions) -> Condition {
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

    /// The expression that is true in the other versions of `context`.
    pub(super) fn absence(self, context: Versions) -> Condition {
        match self.condition(context) {
            Condition::Always => Condition::Never,
            Condition::Never => Condition::Always,
            Condition::If(text) => Condition::If(match text.split_once(' ') {
                Some(("version", rest)) => match rest.split_once(' ') {
                    Some((">=", number)) => format!("version < {number}"),
                    Some(("<=", number)) => format!("version > {number}"),
                    Some((_, number)) => format!("version != {number}"),
                    None => format!("!({text})"),
                },
                _ => format!("!{text}"),
            }),
        }
    }

    pub(super) fn describe(self) -> String {
        match (self.first, self.last) {
            (first, i16::MAX) => format!("{first}+"),
            (first, last) if first == last => format!("{first}"),
            (first, last) => format!("{first}-{last}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Never,
    If(String),
}

impl Condition {
    pub(super) fn expression(&self) -> &str {
        match self {
            Condition::Always => "true",
            Condition::Never => "false",
            Condition::If(text) => text,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A fixed number of bytes: Rust type, method of reader and writer, bytes.
    Number(&'static str, &'static str, usize),
    Str,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    pub(super) fn parse(text: &str) -> Result<Type> {
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

    pub(super) fn rust(&self) -> String {
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
pub(super) struct Field {
    /// Kafka's name.
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) ty_text: String,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    /// The tag, in the versions that have tags.
    pub(super) tag: Option<u32>,
    /// Overrides the message's flexible versions.
    pub(super) flexible: Option<Versions>,
    pub(super) default: Option<Value>,
    pub(super) ignorable: bool,
    pub(super) entity: Option<String>,
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) folder: String,
    pub(super) kind: String,
    pub(super) api_key: Option<i16>,
    pub(super) name: String,
    pub(super) versions: Versions,
    pub(super) flexible: Versions,
    pub(super) listeners: Vec<String>,
    pub(super) latest_unstable: bool,
    pub(super) fields: Vec<Field>,
    pub(super) common: Vec<Struct>,
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("{key} is missing in {value}"))
}

pub(super) fn versions(value: &Value, key: &str) -> Result<Option<Versions>> {
    value[key].as_str().map(Versions::parse).transpose()
}

pub(super) fn fields(value: &Value) -> Result<Vec<Field>> {
    value["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Field::read)
        .collect()
}

impl Field {
    pub(super) fn read(value: &Value) -> Result<Field> {
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
        let field = Field {
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
        };
        // A default that is not understood is an error here, whether it is needed or not.
        field.default_rust()?;
        Ok(field)
    }

    pub(super) fn ident(&self) -> String {
        let name = snake(&self.name);
        match name.as_str() {
            "type" | "match" | "move" | "ref" | "self" | "mod" | "use" | "where" | "loop" => {
                name + "_"
            }
            _ => name,
        }
    }

    /// The name of the variable that holds the field while its struct is read.
    pub(super) fn local(&self) -> String {
        let name = self.ident();
        match name.as_str() {
            "r" | "w" | "version" | "flexible" | "tags" | "tag" => name + "_",
            _ => name,
        }
    }

    pub(super) fn is_option(&self) -> bool {
        !self.nullable.is_empty() || self.ty == Type::Records
    }

    pub(super) fn default_is_null(&self) -> bool {
        self.ty == Type::Records
            || matches!(&self.default, Some(Value::Null))
            || (matches!(&self.default, Some(Value::String(s)) if s == "null") && self.is_option())
    }

    pub(super) fn rust(&self) -> String {
        if self.is_option() {
            format!("Option<{}>", self.ty.rust())
        } else {
            self.ty.rust()
        }
    }

    /// The default as a number or flag in Rust.
    pub(super) fn number(&self) -> Result<String> {
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

    pub(super) fn default_rust(&self) -> Result<String> {
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
    pub(super) fn default_is_derived(&self) -> Result<bool> {
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
    pub(super) fn is_set(&self) -> Result<String> {
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

    pub(super) fn doc(&self) -> String {
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

pub(super) fn in_versions(versions: Versions) -> String {
    match versions.first == versions.last {
        true => format!("in version {}", versions.describe()),
        false => format!("in versions {}", versions.describe()),
    }
}

pub(super) fn read_schemas(dir: &Path) -> Result<Vec<Message>> {
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
    pub(super) fn read(folder: &str, json: &str) -> Result<Message> {
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

    pub(super) fn module(&self) -> String {
        snake(&self.name)
    }

    /// The message's own struct and all that are nested in it, in the order of their use.
    pub(super) fn structs(&self) -> Result<Vec<Struct>> {
        let mut all = Vec::new();
        let main = Struct {
            name: self.name.clone(),
            versions: self.versions,
            fields: self.fields.clone(),
        };
        self.collect(main, &mut all)?;
        Ok(all)
    }

    pub(super) fn collect(&self, mut this: Struct, all: &mut Vec<Struct>) -> Result<()> {
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
pub(super) fn snake(name: &str) -> String {
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
        let absence = |text: &str| match Versions::parse(text).unwrap().absence(valid) {
            Condition::If(text) => text,
            other => other.expression().to_owned(),
        };
        assert_eq!(absence("0+"), "false");
        assert_eq!(absence("9+"), "version < 9");
        assert_eq!(absence("0-12"), "version > 12");
        assert_eq!(absence("5-7"), "!(5..=7).contains(&version)");
        assert_eq!(absence("13"), "version != 13");
    }
}
