//! Java's `.properties` format, as Kafka's configuration files have it.

use anyhow::{Result, bail};

/// Reads keys and values, in the order written; a key may appear again.
///
/// # Errors
/// A `\u` escape without four hexadecimal digits.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start_matches(BLANK);
        if start.is_empty() || start.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = start.to_owned();
        // An odd number of backslashes at the end goes on in the next line.
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start_matches(BLANK)),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        out.push((unescape(key)?, unescape(value)?));
    }
    Ok(out)
}

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// The key ends at the first `=`, `:` or blank that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        if !escaped && (c == '=' || c == ':' || BLANK.contains(&c)) {
            end = at;
            break;
        }
        escaped = c == '\\' && !escaped;
    }
    let rest = line[end..].trim_start_matches(BLANK);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(BLANK))
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let mut plain = Some(c);
        if c == '\\' {
            plain = match chars.next() {
                Some('t') => Some('\t'),
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('f') => Some('\u{c}'),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    match u16::from_str_radix(&digits, 16) {
                        Ok(unit) if digits.len() == 4 => units.push(unit),
                        _ => bail!(
                            "`\\u{digits}` is no character: four hexadecimal digits follow \\u"
                        ),
                    }
                    None
                }
                other => other,
            };
        }
        if let Some(c) = plain {
            out.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
            out.push(c);
        }
    }
    out.push_str(&String::from_utf16_lossy(&units));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    #[test]
    fn the_forms_that_java_reads() {
        let text = "# comment\n! too\n\na=1\n b : 2 \nc 3\nd\\=e=f\\tg\nh=one,\\\n   two\nu=\\u00e9\\ud83e\\udd80\nempty=\nalone\n";
        let expected = [
            ("a", "1"),
            ("b", "2 "),
            ("c", "3"),
            ("d=e", "f\tg"),
            ("h", "one,two"),
            ("u", "\u{e9}\u{1f980}"),
            ("empty", ""),
            ("alone", ""),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn a_bad_escape_is_an_error() {
        assert!(parse("a=\\u12").is_err());
        assert!(parse("a=\\uzzzz").is_err());
    }
}
