//! YAML, for `--output yaml`: block lists and maps of scalars, which is all that a result is made of.
//!
//! A text goes without quotes only where no reader, of YAML 1.1 or 1.2, takes it for something else; otherwise it is
//! written as JSON writes it, which YAML reads too.

use serde_json::{Map, Value};

/// A whole document, with the line end after it.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => map(&mut out, fields, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        value => {
            scalar(&mut out, value);
            out.push('\n');
        }
    }
    out
}

/// Each field on lines of its own; the first stands where the writer is.
fn map(out: &mut String, fields: &Map<String, Value>, indent: usize) {
    for (i, (key, value)) in fields.iter().enumerate() {
        if i > 0 {
            blanks(out, indent);
        }
        text(out, key);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                blanks(out, indent + 2);
                map(out, inner, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                blanks(out, indent + 2);
                list(out, items, indent + 2);
            }
            value => {
                out.push(' ');
                scalar(out, value);
                out.push('\n');
            }
        }
    }
}

fn list(out: &mut String, items: &[Value], indent: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            blanks(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => map(out, fields, indent + 2),
            Value::Array(inner) if !inner.is_empty() => list(out, inner, indent + 2),
            item => {
                scalar(out, item);
                out.push('\n');
            }
        }
    }
}

fn blanks(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(string) => text(out, string),
        // JSON's null, booleans, numbers, [] and {} are YAML's.
        other => out.push_str(&other.to_string()),
    }
}

fn text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    for c in Value::from(text).to_string().chars() {
        match c {
            // Not to be printed, or a line end to YAML 1.1: JSON lets them stand.
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = [
        "true", "false", "yes", "no", "on", "off", "null", "nan", "y", "n",
    ];
    let is_part =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+');
    // A letter in front: no number, date, list or directive.
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.bytes().all(is_part)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_and_maps_are_blocks() {
        let value = json!([
            {"topic": "orders", "configs": {}, "partitions": [
                {"partition": 0, "isr": [1, 2], "offline": []},
                {"partition": 1, "leader": null},
            ]},
            [["a"], 1.5, true],
        ]);
        let expected = "\
- topic: orders
  configs: {}
  partitions:
    - partition: 0
      isr:
        - 1
        - 2
      offline: []
    - partition: 1
      leader: null
- - - a
  - 1.5
  - true
";
        assert_eq!(document(&value), expected);
        assert_eq!(document(&json!({"a": {"b": "c"}})), "a:\n  b: c\n");
        assert_eq!(document(&json!([])), "[]\n");
        assert_eq!(document(&json!("x")), "x\n");
    }

    #[test]
    fn what_could_be_something_else_is_quoted() {
        for text in [
            "",
            "no",
            "Yes",
            "null",
            "1",
            "1e3",
            "0x1f",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "@a",
            "~",
            "*a",
            "&a",
            "2026-01-31",
            "12:30",
            "=",
            ".inf",
            "<<",
            " a",
            "a ",
            "a\nb",
            "é",
            "\u{2028}",
            "{a}",
            "[a]",
            "%a",
            "`a`",
        ] {
            let yaml = document(&json!(text));
            assert!(yaml.starts_with('"') && yaml.ends_with("\"\n"), "{yaml}");
            // What stands between the quotes is JSON's.
            assert_eq!(yaml.trim_end().parse::<Value>().unwrap(), json!(text));
        }
        for text in ["orders", "retention.ms", "a-b_c/d+e", "Stable", "none"] {
            assert_eq!(document(&json!(text)), format!("{text}\n"));
        }
        assert_eq!(document(&json!("\u{9b}\u{2028}")), "\"\\u009b\\u2028\"\n");
    }
}
