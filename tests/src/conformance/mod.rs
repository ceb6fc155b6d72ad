//! Conformance with Kafka's answers: sessions recorded from a real Apache Kafka, replayed against Ottla.
//!
//! This is a second implementation of the protocol on purpose, led by the schemas alone: it shares no
//! code with `crates/protocol`, so that a mistake there shows here. The format of sessions, how to record
//! and how to read a failure: tests/conformance/README.md.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "native: talks to real servers over real sockets"
)]

pub mod batch;
pub mod codec;
pub mod compare;
pub mod normalise;
pub mod run;
pub mod schema;
pub mod servers;
pub mod session;
pub mod value;
pub mod wire;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::compare::Differences;
use self::schema::Schemas;
use self::session::Session;

/// The root of the project.
///
/// # Panics
/// Never: this crate lies one level below it.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is within the workspace")
}

fn dir() -> PathBuf {
    root().join("tests/conformance")
}

/// The schemas of clients' messages.
///
/// # Errors
/// They cannot be read.
pub fn schemas() -> Result<Schemas> {
    Schemas::load(&root().join("crates/protocol/schemas/api"))
}

/// The file of a session.
#[must_use]
pub fn session_path(name: &str) -> PathBuf {
    dir().join(format!("{name}.session"))
}

/// All sessions, by name; only those whose names contain one of `wanted`, if it says any.
///
/// # Errors
/// One cannot be read.
pub fn sessions(wanted: &[String]) -> Result<Vec<Session>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir())? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "session")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && (wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    names
        .iter()
        .map(|name| Session::parse(name, &std::fs::read_to_string(session_path(name))?))
        .collect()
}

/// The differences that are meant.
///
/// # Errors
/// The list cannot be read.
pub fn differences() -> Result<Differences> {
    let path = dir().join("differences.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Differences::parse(&text)
}
