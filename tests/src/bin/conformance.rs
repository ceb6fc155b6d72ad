//! Records Kafka's answers, compares others with them, writes the page about the differences.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "native: a command"
)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ottla_tests::conformance::compare::{Difference, compare, document, exchanges};
use ottla_tests::conformance::run::{Answers, run};
use ottla_tests::conformance::schema::Schemas;
use ottla_tests::conformance::servers::Server;
use ottla_tests::conformance::session::Session;
use ottla_tests::conformance::{differences, root, schemas, session_path, sessions};

const USAGE: &str = "usage: conformance COMMAND [SESSION...]

  record   [SESSION...]                 run sessions against Apache Kafka and keep its answers
  verify   [SESSION...]                 run them against Apache Kafka and compare: must be equal
  check    --address HOST:PORT [SESSION...]   compare a running server, one session after another
  check    --binary PATH [SESSION...]   compare a server started afresh for each session
  own      BINARY SESSION...            keep our answers, too, where they are not Kafka's (`=`)
  docs     [--check]                    write (or check) docs/COMPATIBILITY.md

A SESSION is a part of a name. OTTLA_KAFKA_LIBS names a directory that holds, or will hold, Kafka's jars.";

/// How long Kafka may take to get where a session wants it.
const KAFKA: Duration = Duration::from_secs(30);

/// And another server.
const OTTLA: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, mut rest)) = args.split_first() else {
        bail!(USAGE);
    };
    let schemas = schemas()?;
    match command.as_str() {
        "record" => with_kafka(&schemas, rest, |mut session, answers| {
            for (step, answers) in session.steps_mut().into_iter().zip(&answers) {
                step.set_answers(answers);
            }
            std::fs::write(session_path(&session.name), session.render())?;
            eprintln!(
                "{}: {} answers",
                session.name,
                answers.iter().map(Vec::len).sum::<usize>()
            );
            Ok(())
        }),
        "verify" => {
            let mut count = 0;
            with_kafka(&schemas, rest, |session, answers| {
                count += report(&compare(&session, &answers)?);
                Ok(())
            })?;
            if count > 0 {
                bail!("{count} differences between Kafka and what was recorded from it");
            }
            eprintln!("equal");
            Ok(())
        }
        "check" => {
            let (target, wanted) = match rest {
                [option, value, wanted @ ..] if option == "--address" => {
                    let address = value.to_socket_addrs()?.next().context("an address")?;
                    (Target::Address(address), wanted)
                }
                [option, value, wanted @ ..] if option == "--binary" => {
                    (Target::Binary(value.into()), wanted)
                }
                _ => bail!(USAGE),
            };
            check(&schemas, &target, wanted)
        }
        "own" => {
            let [binary, wanted @ ..] = rest else {
                bail!(USAGE);
            };
            if wanted.is_empty() {
                bail!("which sessions?");
            }
            for mut session in sessions(wanted)? {
                let server = Server::ottla(binary.as_ref(), &session.settings)?;
                let answers = run(&schemas, &session, server.address(), OTTLA)?;
                for (step, answers) in session.steps_mut().into_iter().zip(&answers) {
                    step.set_own(answers)?;
                }
                std::fs::write(session_path(&session.name), session.render())?;
            }
            Ok(())
        }
        "docs" => {
            let only_check = rest.first().is_some_and(|option| option == "--check");
            if only_check {
                rest = &rest[1..];
            }
            if !rest.is_empty() {
                bail!(USAGE);
            }
            docs(only_check)
        }
        _ => bail!(USAGE),
    }
}

/// Runs sessions against Apache Kafka: those that need a server of their own get one, the others share
/// one.
fn with_kafka(
    schemas: &Schemas,
    wanted: &[String],
    mut done: impl FnMut(Session, Vec<Answers>) -> Result<()>,
) -> Result<()> {
    let libs = std::env::var_os("OTTLA_KAFKA_LIBS")
        .map_or_else(|| root().join("target/peers/kafka"), PathBuf::from);
    let mut shared = None;
    for session in sessions(wanted)? {
        let own;
        let server = if session.fresh {
            own = Server::kafka(&libs, &session.settings)?;
            &own
        } else {
            if shared.is_none() {
                shared = Some(Server::kafka(&libs, &[])?);
            }
            shared.as_ref().context("just started")?
        };
        let answers = run(schemas, &session, server.address(), KAFKA)?;
        done(session, answers)?;
    }
    Ok(())
}

enum Target {
    Address(SocketAddr),
    Binary(PathBuf),
}

fn check(schemas: &Schemas, target: &Target, wanted: &[String]) -> Result<()> {
    let known = differences()?;
    let mut unknown = 0;
    let mut seen = BTreeSet::new();
    let all = sessions(wanted)?;
    for session in &all {
        let own;
        let address = match target {
            Target::Address(address) => *address,
            Target::Binary(binary) => {
                own = Server::ottla(binary, &session.settings)?;
                own.address()
            }
        };
        let answers = run(schemas, session, address, OTTLA)?;
        let mut new = Vec::new();
        for difference in compare(session, &answers)? {
            match known.covering(&difference) {
                Some(entry) => {
                    seen.insert(entry);
                }
                None => new.push(difference),
            }
        }
        unknown += report(&new);
    }
    if wanted.is_empty() {
        for (i, entry) in known.difference.iter().enumerate() {
            if !seen.contains(&i) {
                println!(
                    "differences.toml: {} {} no longer differs",
                    entry.api, entry.path
                );
                unknown += 1;
            }
        }
    }
    if unknown > 0 {
        bail!("{unknown} differences that differences.toml does not explain");
    }
    let total: usize = exchanges(&all).values().map(|(count, _)| count).sum();
    eprintln!("{total} exchanges, {} known differences", seen.len());
    Ok(())
}

fn report(differences: &[Difference]) -> usize {
    for difference in differences {
        println!("{difference}");
    }
    differences.len()
}

fn docs(only_check: bool) -> Result<()> {
    let path = root().join("docs/COMPATIBILITY.md");
    let text = document(&sessions(&[])?, &differences()?);
    if !only_check {
        return Ok(std::fs::write(path, text)?);
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != text {
        bail!("docs/COMPATIBILITY.md is out of date: run `cargo xtask conformance docs`");
    }
    Ok(())
}
