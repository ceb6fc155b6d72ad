//! How a command shows its result: one typed value, several renderers.
//!
//! A command's result is made of structs written with `rows!`: each field has its documentation and, if it is
//! for people, the heading of its column. Tables, JSON, JSON lines, YAML and the schema that `--output help` prints
//! all come from that one place. Data goes to stdout; everything else goes to stderr.

mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The form of a result on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For people who want to see everything: tables with a column for each field.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// One YAML document, with the fields of the JSON one.
    Yaml,
    /// Nothing is done; the schema of the JSON forms is printed.
    Help,
}

impl Output {
    /// Whether people read it.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Output::Table | Output::Wide | Output::Help)
    }
}

/// What the JSON form of a type looks like.
pub(crate) trait Shape {
    /// Its JSON schema.
    fn shape() -> Value;
}

/// What a value looks like in a table.
pub(crate) trait Cell {
    /// Its text.
    fn cell(&self) -> String;
}

/// A part of a result.
pub(crate) trait Row: Serialize + Shape {
    /// The headings of its columns.
    fn columns() -> Vec<&'static str>;
    /// Its cells, one for each heading.
    fn cells(&self) -> Vec<String>;
    /// The headings of a wide table: a column for each field.
    fn wide_columns() -> Vec<String>;
    /// The cells of a wide table.
    fn wide_cells(&self) -> Vec<String>;
}

/// Defines the parts of a result: `field: Type => "HEADING"`; without a heading a field is in JSON, YAML and wide
/// tables alone.
macro_rules! rows {
    (@heading $field:ident $heading:literal) => { ($heading).to_owned() };
    (@heading $field:ident) => { stringify!($field).to_uppercase().replace('_', "-") };
    (@cell $field:expr, $heading:literal) => { $crate::output::Cell::cell(&$field) };
    (@cell $field:expr) => { $crate::output::wide_cell(&$field) };
    ($(
        $(#[doc = $about:literal])+
        struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $ty:ty $(=> $heading:literal)?, )+
        }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])+ pub $field: $ty, )+
        }

        impl $crate::output::Shape for $name {
            fn shape() -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                $( properties.insert(
                    stringify!($field).to_owned(),
                    $crate::output::described::<$ty>(concat!($($doc),+)),
                ); )+
                serde_json::json!({
                    "type": "object",
                    "description": concat!($($about),+).trim(),
                    "properties": properties,
                })
            }
        }

        impl $crate::output::Row for $name {
            fn columns() -> Vec<&'static str> {
                vec![$( $($heading,)? )+]
            }
            fn cells(&self) -> Vec<String> {
                vec![$( $({
                    let _: &str = $heading;
                    $crate::output::Cell::cell(&self.$field)
                },)? )+]
            }
            fn wide_columns() -> Vec<String> {
                vec![$( $crate::output::rows!(@heading $field $($heading)?) ),+]
            }
            fn wide_cells(&self) -> Vec<String> {
                vec![$( $crate::output::rows!(@cell self.$field $(, $heading)?) ),+]
            }
        }
    )+ };
}
pub(crate) use rows;

/// The schema of a field.
pub(crate) fn described<T: Shape>(doc: &str) -> Value {
    let mut shape = T::shape();
    if let Some(object) = shape.as_object_mut() {
        object.insert("description".to_owned(), json!(doc.trim()));
    }
    shape
}

macro_rules! plain {
    ($($ty:ty => $json:literal),+ $(,)?) => { $(
        impl Shape for $ty {
            fn shape() -> Value {
                json!({ "type": $json })
            }
        }
        impl Cell for $ty {
            fn cell(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
plain!(String => "string", i16 => "integer", i32 => "integer", i64 => "integer", u16 => "integer",
    u64 => "integer", usize => "integer");

impl Shape for bool {
    fn shape() -> Value {
        json!({ "type": "boolean" })
    }
}
impl Cell for bool {
    fn cell(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Shape for f64 {
    fn shape() -> Value {
        json!({ "type": "number" })
    }
}
impl Cell for f64 {
    fn cell(&self) -> String {
        format!("{self:.1}")
    }
}

impl<T: Shape> Shape for Option<T> {
    fn shape() -> Value {
        json!({ "anyOf": [T::shape(), { "type": "null" }] })
    }
}
impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> String {
        self.as_ref().map_or_else(|| "-".to_owned(), Cell::cell)
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn shape() -> Value {
        json!({ "type": "array", "items": T::shape() })
    }
}
impl<T: Cell> Cell for Vec<T> {
    fn cell(&self) -> String {
        if self.is_empty() {
            return "-".to_owned();
        }
        let cells: Vec<String> = self.iter().map(Cell::cell).collect();
        cells.join(",")
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn shape() -> Value {
        json!({ "type": "object", "additionalProperties": T::shape() })
    }
}
impl<T: Cell> Cell for BTreeMap<String, T> {
    fn cell(&self) -> String {
        if self.is_empty() {
            return "-".to_owned();
        }
        let cells: Vec<String> = self
            .iter()
            .map(|(k, v)| format!("{k}={}", v.cell()))
            .collect();
        cells.join(",")
    }
}

/// A point in time: UTC in JSON, local in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub i64);

impl Time {
    /// RFC 3339, in UTC, to the millisecond; a number of milliseconds where no calendar has a day.
    pub(crate) fn utc(self) -> String {
        match Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => format!("{timestamp:.3}"),
            Err(_) => self.0.to_string(),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.utc())
    }
}
impl Shape for Time {
    fn shape() -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}
impl Cell for Time {
    fn cell(&self) -> String {
        match Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
                .to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}

/// A field that has no column of its own in a narrow table: of lists and maps of rows their number.
pub(crate) fn wide_cell<T: Serialize + Shape>(field: &T) -> String {
    let value = serde_json::to_value(field).expect("rows are maps, lists and scalars");
    let shape = T::shape();
    let is_time = [&shape, &shape["anyOf"][0]]
        .iter()
        .any(|shape| shape["format"] == "date-time");
    match &value {
        Value::String(text) if is_time => match text.parse::<Timestamp>() {
            Ok(at) => Time(at.as_millisecond()).cell(),
            Err(_) => text.clone(),
        },
        Value::Array(rows) if rows.first().is_some_and(Value::is_object) => rows.len().to_string(),
        value => plain_text(value),
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(flag) => flag.cell(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain_text).collect();
            items.join(",")
        }
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| format!("{key}={}", plain_text(value)));
            fields.collect::<Vec<_>>().join(",")
        }
    }
}

/// A span of time in milliseconds, to the microsecond.
pub(crate) fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1000.0
}

/// Shows rows: a table, an array, or one document a line.
pub(crate) fn list<R: Row>(output: Output, rows: &[R]) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match output {
        Output::Table | Output::Wide | Output::Help => {
            out.write_all(table(output, rows).as_bytes())?;
        }
        Output::Yaml => out.write_all(yaml::document(&serde_json::to_value(rows)?).as_bytes())?,
        Output::Json => pretty(&mut out, &rows)?,
        Output::Jsonl => {
            for row in rows {
                line(&mut out, row)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Shows what became of items that may all have failed. People have been told of that, and see no empty table;
/// programs read a list, if an empty one.
pub(crate) fn outcome<R: Row>(output: Output, rows: &[R]) -> Result<()> {
    match rows.is_empty() && output.is_text() {
        true => Ok(()),
        false => list(output, rows),
    }
}

/// So many things: `1 record`, `2 records`.
pub(crate) fn counted(count: impl TryInto<u64> + Copy + fmt::Display, thing: &str) -> String {
    let s = match count.try_into() {
        Ok(1) => "",
        _ => "s",
    };
    format!("{count} {thing}{s}")
}

/// Shows one value: the text given, or a document.
pub(crate) fn value<T: Serialize>(output: Output, value: &T, text: &str) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match output {
        Output::Yaml => out.write_all(yaml::document(&serde_json::to_value(value)?).as_bytes())?,
        Output::Table | Output::Wide | Output::Help => {
            out.write_all(text.as_bytes())?;
            if !text.is_empty() && !text.ends_with('\n') {
                out.write_all(b"\n")?;
            }
        }
        Output::Json => pretty(&mut out, value)?,
        Output::Jsonl => line(&mut out, value)?,
    }
    out.flush()?;
    Ok(())
}

/// Shows what people read as one text and programs as a list.
pub(crate) fn list_as<R: Row>(output: Output, rows: &[R], text: &str) -> Result<()> {
    if output.is_text() {
        value(output, &(), text)
    } else {
        list(output, rows)
    }
}

/// One of many results that come one by one: a document of its own, on a line where there are lines. What people
/// read of it is the caller's.
pub(crate) fn item<T: Serialize>(
    out: &mut impl Write,
    output: Output,
    value: &T,
) -> io::Result<()> {
    match output {
        Output::Yaml => {
            let text = yaml::document(&serde_json::to_value(value)?);
            write!(out, "---\n{text}")
        }
        _ => line(out, value),
    }
}

/// One of many results of one document: an element of its list.
pub(crate) fn element<T: Serialize>(
    out: &mut impl Write,
    output: Output,
    is_first: bool,
    value: &T,
) -> io::Result<()> {
    match output {
        Output::Yaml => {
            let list = Value::Array(vec![serde_json::to_value(value)?]);
            out.write_all(yaml::document(&list).as_bytes())
        }
        Output::Json => {
            let text = serde_json::to_string(value)?;
            write!(out, "{}{text}", if is_first { "[\n" } else { ",\n" })
        }
        _ => line(out, value),
    }
}

/// The end of a list whose elements [`element`] wrote.
pub(crate) fn end_of_list(out: &mut impl Write, output: Output, is_empty: bool) -> io::Result<()> {
    match output {
        Output::Json if is_empty => out.write_all(b"[]\n"),
        Output::Json => out.write_all(b"\n]\n"),
        Output::Yaml if is_empty => out.write_all(b"[]\n"),
        _ => Ok(()),
    }
}

fn pretty<T: Serialize>(out: &mut impl Write, value: &T) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// One document on a line of its own.
fn line<T: Serialize>(out: &mut impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A table of rows: never cut off, never coloured.
pub(crate) fn table<R: Row>(output: Output, rows: &[R]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if output == Output::Wide {
        table.set_header(R::wide_columns());
        table.add_rows(rows.iter().map(Row::wide_cells));
    } else {
        table.set_header(R::columns());
        table.add_rows(rows.iter().map(Row::cells));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    rows! {
        /// A thing.
        struct Thing {
            /// What it
            /// is called.
            name: String => "NAME",
            /// How many.
            count: Option<i64> => "COUNT",
            /// Not for people.
            hidden: Vec<i32>,
            /// When.
            at: Time,
        }
    }

    fn thing(name: &str, count: Option<i64>) -> Thing {
        Thing {
            name: name.to_owned(),
            count,
            hidden: vec![1, 2],
            at: Time(1_500),
        }
    }

    #[test]
    fn one_definition_makes_every_form() {
        let rows = [thing("a", Some(12)), thing("much longer", None)];
        assert_eq!(
            table(Output::Table, &rows),
            "NAME         COUNT\na            12\nmuch longer  -\n"
        );
        let wide = table(Output::Wide, &rows);
        let wide: Vec<Vec<&str>> = wide
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(wide[0], ["NAME", "COUNT", "HIDDEN", "AT"]);
        assert_eq!(wide[1][..3], ["a", "12", "1,2"]);
        assert_eq!(wide[1][3], Time(1_500).cell());
        assert_eq!(
            yaml::document(&serde_json::to_value(&rows[..1]).unwrap()),
            "- name: a\n  count: 12\n  hidden:\n    - 1\n    - 2\n  at: \"1970-01-01T00:00:01.500Z\"\n"
        );
        assert_eq!(
            serde_json::to_string(&rows[0]).unwrap(),
            r#"{"name":"a","count":12,"hidden":[1,2],"at":"1970-01-01T00:00:01.500Z"}"#
        );
        let shape = Thing::shape();
        assert_eq!(shape["description"], "A thing.");
        assert_eq!(
            shape["properties"]["name"]["description"],
            "What it is called."
        );
        assert_eq!(shape["properties"]["count"]["anyOf"][0]["type"], "integer");
        assert_eq!(shape["properties"]["hidden"]["items"]["type"], "integer");
        let keys: Vec<&String> = shape["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["name", "count", "hidden", "at"]);
    }

    #[test]
    fn lists_that_come_one_by_one_are_lists() {
        let rows = [thing("a", None), thing("b", Some(1))];
        for n in 0..=2 {
            for output in [Output::Json, Output::Yaml] {
                let mut out = Vec::new();
                for (i, row) in rows[..n].iter().enumerate() {
                    element(&mut out, output, i == 0, row).unwrap();
                }
                end_of_list(&mut out, output, n == 0).unwrap();
                let text = String::from_utf8(out).unwrap();
                let whole = serde_json::to_value(&rows[..n]).unwrap();
                match output {
                    Output::Json => assert_eq!(text.parse::<Value>().unwrap(), whole),
                    _ => assert_eq!(text, yaml::document(&whole)),
                }
            }
        }
    }

    #[test]
    fn one_is_not_many() {
        let many = [0, 1, 2].map(|count| counted(count, "record"));
        assert_eq!(many, ["0 records", "1 record", "2 records"]);
    }

    #[test]
    fn spans_have_three_places() {
        assert_eq!(
            millis(Duration::from_nanos(51_092_634)).to_string(),
            "51.092"
        );
    }

    #[test]
    fn a_time_that_no_calendar_has_is_a_number() {
        assert_eq!(Time(i64::MAX).utc(), i64::MAX.to_string());
        assert_eq!(Time(0).utc(), "1970-01-01T00:00:00.000Z");
    }
}
