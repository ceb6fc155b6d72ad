//! Message schemas, as far as a codec needs them. Read from the facts that crates/protocol is generated
//! from, but by code of its own: two readings of one source, so that a mistake in one shows.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

/// Versions from..=to, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    from: i16,
    to: i16,
}

impl Versions {
    const NONE: Versions = Versions { from: 0, to: -1 };

    fn parse(text: &str) -> Result<Versions> {
        let number = |text: &str| text.parse::<i16>().context("a version");
        Ok(match (text, text.split_once('-'), text.strip_suffix('+')) {
            ("none", ..) => Versions::NONE,
            (_, Some((from, to)), _) => Versions {
                from: number(from)?,
                to: number(to)?,
            },
            (_, _, Some(from)) => Versions {
                from: number(from)?,
                to: i16::MAX,
            },
            _ => Versions {
                from: number(text)?,
                to: number(text)?,
            },
        })
    }

    /// Whether `version` is one of them.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        (self.from..=self.to).contains(&version)
    }

    /// The last one.
    #[must_use]
    pub fn last(self) -> i16 {
        self.to
    }

    /// The first one.
    #[must_use]
    pub fn first(self) -> i16 {
        self.from
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// Signed, of so many bytes.
    Int(usize),
    /// Unsigned, of two bytes.
    Uint16,
    /// Eight bytes of IEEE 754.
    Float64,
    /// UTF-8 with its length.
    String,
    /// Bytes with their length.
    Bytes,
    /// As bytes on the wire; record batches inside.
    Records,
    /// Sixteen bytes.
    Uuid,
    /// Several of one kind.
    Array(Box<Kind>),
    /// A structure, by name.
    Struct(String),
}

impl Kind {
    fn parse(name: &str) -> Kind {
        match name {
            "bool" => Kind::Bool,
            "int8" => Kind::Int(1),
            "int16" => Kind::Int(2),
            "int32" => Kind::Int(4),
            "int64" => Kind::Int(8),
            "uint16" => Kind::Uint16,
            "float64" => Kind::Float64,
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            "records" => Kind::Records,
            "uuid" => Kind::Uuid,
            _ => match name.strip_prefix("[]") {
                Some(item) => Kind::Array(Box::new(Kind::parse(item))),
                None => Kind::Struct(name.to_owned()),
            },
        }
    }
}

/// A field of a message or structure.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// In which versions it exists.
    pub versions: Versions,
    /// In which it may be null.
    pub nullable: Versions,
    /// In which it is a tagged field.
    pub tagged: Versions,
    /// With this tag.
    pub tag: Option<u32>,
    /// What it is when nothing is said.
    pub default: Option<String>,
    /// Overrides the message's, for strings of old headers.
    pub flexible: Option<Versions>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// With its ending: `FetchRequest`.
    pub name: String,
    /// Key of the API, for requests and responses.
    pub api_key: Option<i16>,
    /// Versions that exist.
    pub valid: Versions,
    /// Those with compact lengths and tagged fields.
    pub flexible: Versions,
    /// The fields.
    pub fields: Vec<Field>,
    /// The structures within, by name.
    pub structs: BTreeMap<String, Vec<Field>>,
}

/// All messages, by name.
#[derive(Clone, Debug)]
pub struct Schemas {
    messages: BTreeMap<String, Message>,
}

impl Schemas {
    /// Reads the schemas of clients' messages in `dir`.
    ///
    /// # Errors
    /// The directory cannot be read or a schema is not understood.
    pub fn load(dir: &Path) -> Result<Schemas> {
        let mut messages = BTreeMap::new();
        for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let message = std::fs::read_to_string(&path)
                .map_err(anyhow::Error::from)
                .and_then(|text| Message::parse(&text))
                .with_context(|| path.display().to_string())?;
            messages.insert(message.name.clone(), message);
        }
        Ok(Schemas { messages })
    }

    /// The message of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<&Message> {
        self.messages
            .get(name)
            .with_context(|| format!("no message is called {name:?}"))
    }
}

impl Message {
    fn parse(text: &str) -> Result<Message> {
        // Comments take whole lines.
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        let json: Json = serde_json::from_str(&text)?;
        let mut structs = BTreeMap::new();
        let fields = fields(&json, &mut structs)?;
        if let Some(common) = json["commonStructs"].as_array() {
            for one in common {
                let name = one["name"].as_str().context("a structure's name")?;
                let inner = self::fields(one, &mut structs)?;
                structs.insert(name.to_owned(), inner);
            }
        }
        Ok(Message {
            name: json["name"].as_str().context("a name")?.to_owned(),
            api_key: json["apiKey"].as_i64().map(|key| key as i16),
            valid: Versions::parse(json["validVersions"].as_str().context("versions")?)?,
            flexible: Versions::parse(json["flexibleVersions"].as_str().unwrap_or("none"))?,
            fields,
            structs,
        })
    }
}

fn fields(json: &Json, structs: &mut BTreeMap<String, Vec<Field>>) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    for one in json["fields"].as_array().into_iter().flatten() {
        let name = one["name"].as_str().context("a field's name")?;
        let kind_name = one["type"].as_str().context("a field's type")?;
        let kind = Kind::parse(kind_name);
        if one["fields"].is_array() {
            let mut inner = &kind;
            while let Kind::Array(item) = inner {
                inner = item;
            }
            let Kind::Struct(inner) = inner.clone() else {
                bail!("{name} has fields and is no structure");
            };
            let of_struct = self::fields(one, structs)?;
            structs.insert(inner, of_struct);
        }
        let versions = |key: &str| match one[key].as_str() {
            Some(text) => Versions::parse(text),
            None => Ok(Versions::NONE),
        };
        fields.push(Field {
            name: name.to_owned(),
            kind,
            versions: versions("versions")?,
            nullable: versions("nullableVersions")?,
            tagged: versions("taggedVersions")?,
            tag: one["tag"].as_u64().map(|tag| tag as u32),
            default: match &one["default"] {
                Json::Null => None,
                Json::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
            flexible: match one["flexibleVersions"].as_str() {
                Some(text) => Some(Versions::parse(text)?),
                None => None,
            },
        });
    }
    Ok(fields)
}
