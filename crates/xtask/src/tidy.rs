//! Small promises about the text of the tree: paths that docs name exist, files begin with what they are
//! about, no file grows past one sitting unnoticed, and nothing is left over.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

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
    let Some(files) = listed(root, &["--cached", "--others", "--exclude-standard"])? else {
        eprintln!("   tidy: skipped: this is no clone, or git is not installed");
        return Ok(());
    };
    // What docs name must be there for everyone who clones, not only on this machine.
    let known = Tree::new(listed(root, &["--cached"])?.unwrap_or_default());
    let mut problems = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            // Not text, or deleted in the working tree.
            continue;
        };
        if file.ends_with(".rs") {
            rust(file, &text, &mut problems);
            comments(&known, file, &text, &mut problems);
        }
        if file.ends_with(".md") {
            docs(&known, file, &text, &mut problems);
            links(root, &known, file, &text, &mut problems);
        }
    }
    nested_lint_files(&files, &mut problems);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("tidy:\n  {}", problems.join("\n  "))
}

/// What git lists, or nothing where there is no git to ask.
fn listed(root: &Path, which: &[&str]) -> Result<Option<Vec<String>>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .args(which)
        .current_dir(root)
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return Ok(None);
    };
    let mut files: Vec<String> = String::from_utf8(output.stdout)?
        .split_terminator('\0')
        .map(str::to_owned)
        .collect();
    files.retain(|file| root.join(file).exists());
    Ok(Some(files))
}

/// The files that git has, and their folders.
struct Tree {
    paths: BTreeSet<String>,
}

impl Tree {
    fn new(files: Vec<String>) -> Tree {
        let mut paths = BTreeSet::new();
        for file in files {
            let folders = file.match_indices('/').map(|(at, _)| file[..at].to_owned());
            paths.extend(folders);
            paths.insert(file);
        }
        Tree { paths }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.contains(path.trim_end_matches('/'))
    }
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

/// Every `path/like/this` in backticks that begins with a folder of the root must be in git.
fn docs(known: &Tree, file: &str, text: &str, problems: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        for (place, word) in line.split('`').enumerate() {
            if place % 2 == 1 && is_path(word) && !known.has(word) {
                problems.push(format!("{file}:{}: `{word}` is not in git", number + 1));
            }
        }
    }
}

/// The same of what comments name, where it is a document.
fn comments(known: &Tree, file: &str, text: &str, problems: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            continue;
        };
        let words = comment.split(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c));
        for word in words.map(|word| word.trim_end_matches('.')) {
            if word.starts_with("docs/") && !known.has(word) {
                problems.push(format!("{file}:{}: {word} is not in git", number + 1));
            }
        }
    }
}

/// Every `[link](target)` within the tree must lead to a file that git has, and to a heading that it has.
fn links(root: &Path, known: &Tree, file: &str, text: &str, problems: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let targets = line.split("](").skip(1).filter_map(|rest| {
            let target = rest.split(')').next()?;
            (!target.contains("://") && !target.contains(' ')).then_some(target)
        });
        for target in targets {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => file.to_owned(),
                path => resolve(file, path),
            };
            let leads = known.has(&path)
                && (heading.is_empty()
                    || std::fs::read_to_string(root.join(&path))
                        .is_ok_and(|text| has_heading(&text, heading)));
            if !leads {
                problems.push(format!("{file}:{}: ({target}) leads nowhere", number + 1));
            }
        }
    }
}

/// A path that is said in `file`, from the root.
fn resolve(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a heading has this anchor, as GitHub makes them.
fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let made: String = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            made == anchor
        })
}

fn is_path(word: &str) -> bool {
    const ROOTS: &[&str] = &[
        "crates/", "sim/", "specs/", "tests/", "fuzz/", "docs/", ".ci/", ".cargo/",
    ];
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

    #[test]
    fn links_lead_from_the_file_that_has_them() {
        assert_eq!(resolve("README.md", "docs/A.md"), "docs/A.md");
        assert_eq!(resolve("docs/a/b.md", "../c.md"), "docs/c.md");
        assert!(has_heading(
            "x\n## What is not here, yet\n",
            "what-is-not-here-yet"
        ));
        assert!(!has_heading("What is\n", "what-is"));
    }

    #[test]
    fn what_only_this_machine_has_does_not_count() {
        let known = Tree::new(vec!["docs/a/b.md".to_owned(), "README.md".to_owned()]);
        let mut problems = Vec::new();
        let text = "`docs/a/b.md` `docs/a/` `docs/out/x` [b](docs/a/b.md) [c](docs/c.md) [d](https://e.f)\n";
        docs(&known, "README.md", text, &mut problems);
        links(Path::new("/"), &known, "README.md", text, &mut problems);
        comments(
            &known,
            "a.rs",
            "    // see docs/a/b.md, and docs/b.md.\n",
            &mut problems,
        );
        assert_eq!(
            problems,
            [
                "README.md:1: `docs/out/x` is not in git",
                "README.md:1: (docs/c.md) leads nowhere",
                "a.rs:1: docs/b.md is not in git",
            ]
        );
    }
}
