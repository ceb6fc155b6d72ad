//! Checks that the code of pure and portable crates says nothing that their class forbids and lints do not see: an
//! `allow` that would silence the lint file at the root, the operating system's modules as a whole, of which that file
//! names what is used most, and in pure crates everything that waits or is shared.
//!
//! Words of code are looked at, not comments, strings or tests.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Package;

/// In pure and portable crates.
const SYSTEM: &[&str] = &[
    "disallowed_macros",
    "disallowed_methods",
    "disallowed_types",
    "fs",
    "iter_over_hash_type",
    "process",
    "std::env",
    "thread",
    "thread_local",
];
/// In pure crates besides.
const WAITING: &[&str] = &[
    "async", "await", "Condvar", "HashMap", "HashSet", "LazyLock", "Mutex", "OnceLock", "RwLock",
];
/// What may say them after all, and why.
const EXEMPT: &[(&str, &str)] = &[(
    "types/src/lookup_map.rs",
    "the one map by hash, whose order nobody can ask for",
)];

/// The problems of one package.
pub(super) fn check(root: &Path, package: &Package) -> Result<Vec<String>> {
    let stated = package.metadata.as_ref().and_then(|m| m.layer.as_deref());
    let words: Vec<&str> = match stated {
        Some("pure") => SYSTEM.iter().chain(WAITING).copied().collect(),
        Some("portable") => SYSTEM.to_vec(),
        _ => return Ok(Vec::new()),
    };
    let folder = Path::new(&package.manifest_path)
        .parent()
        .context("a manifest lies in a folder")?;
    let mut problems = Vec::new();
    files(&folder.join("src"), &mut |path| {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        if !EXEMPT.iter().any(|(file, _)| name.ends_with(file)) {
            let text = std::fs::read_to_string(path)?;
            problems.extend(
                leaks(&text, &words)
                    .into_iter()
                    .map(|(line, word)| format!("{name}:{line}: `{word}`")),
            );
        }
        Ok(())
    })?;
    Ok(problems)
}

/// Every source file that is no test.
fn files(folder: &Path, found: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found(&path)?;
        }
    }
    Ok(())
}

/// Line and word of everything in `text` that is one of `words`.
fn leaks<'a>(text: &str, words: &[&'a str]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut test = None;
    for (number, line) in code(text).lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let end = line.trim_end();
        // What is only there in tests ends, formatted as it is, with a line as far left as it began.
        if test.is_some() {
            if test == Some(indent) && end.ends_with([';', '}']) {
                test = None;
            }
            continue;
        }
        if end.trim_start() == "#[cfg(test)]" {
            test = Some(indent);
            continue;
        }
        let said = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let leak = words.iter().filter(|word| match word.contains(':') {
            true => line.contains(**word),
            false => said.clone().any(|said| said == **word),
        });
        found.extend(leak.map(|word| (number + 1, *word)));
    }
    found
}

/// The text without comments and the insides of strings; its lines stay where they are.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            'r' if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw(rest),
            // A character, told from a lifetime by its second quote.
            '\'' if rest.starts_with("'\\") => rest[2..].find('\'').map_or(1, |at| at + 3),
            '\'' if rest.chars().nth(2) == Some('\'') => {
                rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at)
            }
            _ => 0,
        };
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            let (hidden, more) = rest.split_at(length);
            out.extend(hidden.chars().filter(|c| *c == '\n'));
            rest = more;
        }
    }
    out
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// The length of a raw string, 0 if there is none.
fn raw(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = 2 + hashes;
    rest[inside..]
        .find(&end)
        .map_or(rest.len(), |at| inside + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, &'static str)> {
        let words: Vec<&str> = SYSTEM.iter().chain(WAITING).copied().collect();
        leaks(text, &words)
    }

    #[test]
    fn what_lints_do_not_see_is_found() {
        let text = "//! async\n#![allow(\n    clippy::disallowed_types,\n    reason = \"me\"\n)]\nuse std::sync::{Arc, Mutex};\nasync fn f() {}\nfn g() { std::thread::yield_now() }\nfn h() { let env = std::env::home_dir(); }\n";
        assert_eq!(
            found(text),
            [
                (3, "disallowed_types"),
                (6, "Mutex"),
                (7, "async"),
                (8, "thread"),
                (9, "std::env"),
            ]
        );
    }

    #[test]
    fn comments_strings_and_tests_may_say_anything() {
        let text = "fn f<'a>(x: &'a str) -> char { // await\n    let _ = (\"a \\\" async\", r#\"Mutex \" \"#, '\"', '\\'');\n    /* thread\n    thread */\n    'x'\n}\n#[cfg(test)]\nmod tests {\n    use std::sync::Mutex;\n    fn f() {\n    }\n}\n#[cfg(test)]\nmod more;\nmod last { async fn f() {} }\n";
        assert_eq!(found(text), [(15, "async")]);
    }
}
