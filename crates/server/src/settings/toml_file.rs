//! `ottla.toml`: Kafka's keys, nested or dotted as one likes.
//!
//! `[log] dirs = ["a", "b"]` is `log.dirs=a,b`. Where a table and a value would need the same name
//! (`log.retention` has no value, `log.retention.ms` does) TOML's dotted keys do.

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

/// Reads keys and values.
///
/// # Errors
/// It is no TOML, or a value is of a kind that no key takes.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let table: Table = text.parse().context("is no TOML")?;
    let mut out = Vec::new();
    flatten("", &table, &mut out)?;
    Ok(out)
}

fn flatten(prefix: &str, table: &Table, out: &mut Vec<(String, String)>) -> Result<()> {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(inner) => flatten(&key, inner, out)?,
            Value::Array(items) => {
                let items: Result<Vec<String>> =
                    items.iter().map(|item| scalar(&key, item)).collect();
                out.push((key, items?.join(",")));
            }
            value => {
                let text = scalar(&key, value)?;
                out.push((key, text));
            }
        }
    }
    Ok(())
}

fn scalar(key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            bail!("{key}: a {} is no value of a setting", value.type_str())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_dots_and_arrays_commas() {
        let text = "num.partitions = 3\n[log]\ndirs = [\"a\", \"b\"]\nretention.ms = 5\n[auto.create.topics]\nenable = true\n";
        let mut parsed = parse(text).unwrap();
        parsed.sort();
        let expected = [
            ("auto.create.topics.enable", "true"),
            ("log.dirs", "a,b"),
            ("log.retention.ms", "5"),
            ("num.partitions", "3"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(parsed, expected);
        assert!(parse("a = 1979-05-27").is_err());
        assert!(parse("a = ").is_err());
    }
}
