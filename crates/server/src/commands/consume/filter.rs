//! `--filter`: a jq expression that says of each record whether it is printed.
//!
//! The expression sees a record as `--output json` shows it. A record on which it fails (`fromjson` of what is no JSON)
//! is not printed, and counted: of a topic with records of many kinds one searches for some.

use client::ConsumerRecord;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, ValT as _, Vars, unwrap_valr};
use jaq_json::{Val, read};

use crate::formats::json;

/// What the help says of it.
pub(crate) const HELP: &str = "\
Filters (--filter), in the language of jq, over the fields of `--output json`:
  .key == \"customer-7\"                   .offset % 100 == 0
  .value | contains(\"error\")             .value | fromjson | .amount > 100
  .headers | any(.key == \"trace-id\")     .timestamp > \"2026-01-31T12\"";

/// A compiled expression.
pub(super) struct Filter {
    compiled: jaq_core::Filter<JustLut<Val>>,
    /// On how many records it failed, and how the first time.
    failed: Option<(u64, String)>,
}

impl Filter {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Filter, String> {
        let definitions = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let functions = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let program = File {
            code: text,
            path: (),
        };
        let modules = Loader::new(definitions)
            .load(&arena, program)
            .map_err(|errors| {
                let errors = errors.into_iter().map(|(_, error)| cannot_load(&error));
                wrong(text, errors)
            })?;
        let compiled = Compiler::default()
            .with_funs(functions)
            .compile(modules)
            .map_err(|errors| {
                let errors = errors.into_iter().flat_map(|(_, errors)| errors);
                let errors =
                    errors.map(|(name, what)| format!("there is no {} `{name}`", what.as_str()));
                wrong(text, errors)
            })?;
        Ok(Filter {
            compiled,
            failed: None,
        })
    }

    /// Whether a record is wanted: whether the expression's first result is neither false nor null.
    pub(super) fn wants(&mut self, record: &ConsumerRecord) -> bool {
        let bytes = serde_json::to_vec(&json::of(record)).expect("a record is maps and texts");
        let value = read::parse_single(&bytes).expect("what was written as JSON is JSON");
        let context = Ctx::<JustLut<Val>>::new(&self.compiled.lut, Vars::new([]));
        let first = self
            .compiled
            .id
            .run((context, value))
            .map(unwrap_valr)
            .next();
        match first {
            None => false,
            Some(Ok(value)) => value.as_bool(),
            Some(Err(error)) => {
                let (count, _) = self.failed.get_or_insert_with(|| (0, error.to_string()));
                *count += 1;
                false
            }
        }
    }

    /// What is to be told in the end.
    pub(super) fn complaint(&self) -> Option<String> {
        let (count, first) = self.failed.as_ref()?;
        Some(format!(
            "the filter failed on {count} records, which were left out; on the first: {first}"
        ))
    }
}

fn wrong(text: &str, errors: impl Iterator<Item = String>) -> String {
    let errors: Vec<String> = errors.collect();
    format!("--filter '{text}': {}", errors.join("; "))
}

fn cannot_load(error: &load::Error<&str>) -> String {
    let expected = |what: &str, found: &str| match found {
        "" => format!("{what} is missing at the end"),
        found => format!("{what} is missing before `{found}`"),
    };
    let all: Vec<String> = match error {
        load::Error::Io(errors) => errors.iter().map(|(_, error)| error.clone()).collect(),
        load::Error::Lex(errors) => errors
            .iter()
            .map(|(what, found)| expected(what.as_str(), found))
            .collect(),
        load::Error::Parse(errors) => errors
            .iter()
            .map(|(what, found)| expected(what.as_str(), found))
            .collect(),
    };
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use client::TopicPartition;
    use records::TimestampType;
    use types::{LeaderEpoch, Offset, TimestampMs};

    use super::*;

    fn record(offset: i64, key: &str, value: &str) -> ConsumerRecord {
        ConsumerRecord {
            at: TopicPartition::new("orders", 0),
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            timestamp: TimestampMs(1_000),
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from(key.to_owned())),
            value: Some(Bytes::from(value.to_owned())),
            headers: Vec::new(),
        }
    }

    #[test]
    fn records_are_chosen_by_what_is_in_them() {
        let records = [
            record(0, "a", r#"{"amount": 5}"#),
            record(1, "b", "no JSON"),
            record(2, "a", r#"{"amount": 500}"#),
        ];
        let chosen = |text: &str| {
            let mut filter = Filter::parse(text).unwrap();
            let offsets = records.iter().filter(|record| filter.wants(record));
            let offsets: Vec<i64> = offsets.map(|record| record.offset.0).collect();
            (offsets, filter.complaint().is_some())
        };
        assert_eq!(chosen(r#".key == "a""#), (vec![0, 2], false));
        assert_eq!(chosen(".offset > 0"), (vec![1, 2], false));
        assert_eq!(chosen(r#".value | contains("JSON")"#), (vec![1], false));
        assert_eq!(chosen(".value | fromjson | .amount > 100"), (vec![2], true));
        assert_eq!(
            chosen(".value | fromjson? | .amount > 1"),
            (vec![0, 2], false)
        );
        assert_eq!(chosen(".headers | any(.key == \"x\")"), (vec![], false));
        assert_eq!(
            chosen(r#".timestamp > "1970-01-01T00:00:00.5""#),
            (vec![0, 1, 2], false)
        );
        assert_eq!(chosen("empty"), (vec![], false));
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_told() {
        for (text, told) in [
            (".value | nosuch", "there is no filter `nosuch`"),
            ("(.key", "is missing at the end"),
            (".key ==", "is missing"),
            ("$x", "there is no variable `$x`"),
        ] {
            let error = Filter::parse(text).err().unwrap();
            assert!(error.contains(told) && error.contains(text), "{error}");
        }
    }
}
