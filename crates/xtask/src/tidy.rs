//! Small promises about the text of the tree: paths that docs name exist, files begin with what they are
//! about, no file grows past one sitting unnoticed, and nothing is left over.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Lines after which a file is asked what second room it hides.
const LINES_MAX: usize = 1000;

/// Left-overs, in pieces so that this file does not find itself.
const LEFT_OVER: &[(&str, &str)] = &[
    ("todo", "!("),
    ("unimplemented", "!("),
    ("#[ign", "ore"),
    ("dbg", "!("),
];

/// Reports every broken promise.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let mut problems = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            // Not text, or deleted in the working tree.
            continue;
        };
        if file.ends_with(".rs") {
            rust(file, &text, &mut problems);
        }
        if file.ends_with(".md") {
            docs(root, file, &text, &mut problems);
        }
    }
    nested_lint_files(&files, &mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("tidy:\n  {}", problems.join("\n  "))
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be started")?;
    if !output.status.success() {
        bail!("git ls-files failed");
    }
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn rust(file: &str, text: &str, problems: &mut Vec<String>) {
    let generated = file.contains("/generated/");
    if !text.starts_with("//!") && !generated && !file.ends_with("build.rs") {
        let first = text.lines().next().unwrap_or_default();
        problems.push(format!(
            "{file}: begins with `{first}` and not with its module doc"
        ));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !generated {
        problems.push(format!(
            "{file}: {lines} lines; which second room does it hide?"
        ));
    }
    for (start, end) in LEFT_OVER {
        let word = format!("{start}{end}");
        if let Some(line) = text.lines().position(|line| line.contains(&word)) {
            problems.push(format!("{file}:{}: `{word}` is left over", line + 1));
        }
    }
}

/// Every `path/like/this` in backticks that begins with a folder of the root must exist.
fn docs(root: &Path, file: &str, text: &str, problems: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        for (place, word) in line.split('`').enumerate() {
            let named = place % 2 == 1 && is_path(word);
            if named && !root.join(word.trim_end_matches('/')).exists() {
                problems.push(format!("{file}:{}: `{word}` does not exist", number + 1));
            }
        }
    }
}

fn is_path(word: &str) -> bool {
    const ROOTS: &[&str] = &["crates/", "sim/", "specs/", "tests/", "fuzz/", "docs/"];
    ROOTS.iter().any(|root| word.starts_with(root))
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
}

/// A nested lint file replaces the one at the root instead of adding to it.
fn nested_lint_files(files: &[String], problems: &mut Vec<String>) {
    let nested = files.iter().filter(|file| {
        let name = file.rsplit('/').next().unwrap_or(file);
        file.contains('/') && (name == "clippy.toml" || name == ".clippy.toml")
    });
    problems.extend(nested.map(|file| format!("{file}: replaces the lint file at the root")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_overs_and_missing_docs_are_found() {
        let mut problems = Vec::new();
        let text = format!("fn f() {{ {}{}) }}\n", LEFT_OVER[0].0, LEFT_OVER[0].1);
        rust("crates/x/src/a.rs", &text, &mut problems);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn paths_are_told_from_other_words() {
        assert!(is_path("crates/types/src/offset.rs"));
        assert!(!is_path("crates/{types}"));
        assert!(!is_path("topic-0/00.log"));
    }
}
