//! One message: its structs, and the code that reads and writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

use super::HEADER;
use super::schema::{Condition, Field, Message, Struct, Type, in_versions, snake};
use super::tables::{api_constant, api_name, flexible_from};

/// The file of one message.
pub(super) fn message_module(message: &Message) -> Result<String> {
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
            if let Condition::If(absent) = field.versions.absence(self.this.versions) {
                let set = field.is_set()?;
                let label = format!("{}.{}", self.this.name, field.ident());
                let _ = writeln!(
                    out,
                    "if {absent} && {set} {{\n\
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

#[cfg(test)]
mod tests {
    use super::*;

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
