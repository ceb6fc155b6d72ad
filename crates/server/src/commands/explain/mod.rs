//! `ottla explain`: what an error or a setting means, offline.

pub(crate) mod advice;

use anyhow::Result;
use clap::Args;
use metadata::configs::{self, Scope};
use types::ErrorCode;

use crate::commands::config::explain;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, rows};
use crate::settings::Settings;

/// What an error or a setting means, why it happens, and what to do next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla explain 19                       an error by its number
  ottla explain NOT_ENOUGH_REPLICAS      or by its name
  ottla explain retention.ms             a setting; `ottla config explain` tells more")]
pub(crate) struct Explain {
    /// An error's number or name, or a setting's key.
    #[arg(value_name = "ERROR|KEY", allow_hyphen_values = true)]
    what: String,
}

rows! {
    /// An error of the protocol.
    struct ErrorExplained {
        /// Its number.
        code: i16,
        /// Its name.
        name: String,
        /// Whether the same request may succeed when it is sent again.
        retriable: bool,
        /// What went wrong.
        what: String,
        /// The usual causes, where something is to be said about them.
        why: Option<String>,
        /// What to do, where something is to be said about it.
        next: Option<String>,
    }
}

/// Explains.
pub(crate) fn run(args: &Explain, output: Output) -> Result<Exit> {
    let what = args.what.trim();
    let code = match what.parse::<i16>() {
        Ok(number) => {
            Some(ErrorCode(number)).filter(|code| ErrorCode::all().any(|known| known == *code))
        }
        Err(_) => ErrorCode::from_name(&what.replace('-', "_")),
    };
    if let Some(code) = code {
        let explained = of(code);
        output::value(output, &explained, &text(&explained))?;
        return Ok(Exit::Ok);
    }
    let explained = explain::keys(what, &Settings::default());
    if !explained.is_empty() {
        let text: Vec<String> = explained.iter().map(explain::text).collect();
        output::list_as(output, &explained, &text.join("\n"))?;
        return Ok(Exit::Ok);
    }
    let failure = Failure::new(
        Exit::NotFound,
        format!("`{what}` is neither an error nor a setting"),
    );
    if let Some(why) = configs::removed::why(what) {
        return Err(failure.next(why).into());
    }
    Err(match suggest(what) {
        Some(near) => failure.next(format!("did you mean `ottla explain {near}`?")),
        None => failure.next("an error's number or name, or a key of the configuration"),
    }
    .into())
}

fn of(code: ErrorCode) -> ErrorExplained {
    let advice = advice::of(code);
    ErrorExplained {
        code: code.0,
        name: code.name().to_owned(),
        retriable: code.is_retriable(),
        what: code.message().to_owned(),
        why: advice.map(|advice| advice.why.to_owned()),
        next: advice.map(|advice| advice.next.to_owned()),
    }
}

fn text(explained: &ErrorExplained) -> String {
    let ErrorExplained { code, name, .. } = explained;
    let mut text = format!("{name} ({code})\n\nwhat:  {}\n", explained.what);
    if let Some(why) = &explained.why {
        text.push_str(&format!("why:   {why}\n"));
    }
    if let Some(next) = &explained.next {
        text.push_str(&format!("next:  {next}\n"));
    }
    let again = match explained.retriable {
        true => "The same request may succeed when it is sent again.",
        false => "Sending the same request again does not help.",
    };
    if *code != 0 {
        text.push_str(&format!("retry: {again}\n"));
    }
    text
}

/// The error or key whose name is nearest.
fn suggest(what: &str) -> Option<String> {
    let upper = what.to_uppercase().replace('-', "_");
    let names = ErrorCode::all().map(ErrorCode::name);
    let error = names
        .filter_map(|name| Some((configs::distance(name, &upper)?, name)))
        .min()
        .filter(|(distance, name)| *distance <= 2 + name.len() / 6)
        .map(|(_, name)| name.to_owned());
    let scopes = [
        Scope::Broker,
        Scope::Topic,
        Scope::Group,
        Scope::ClientMetrics,
    ];
    let key = || {
        scopes
            .iter()
            .find_map(|scope| configs::suggest(*scope, what))
            .map(str::to_owned)
    };
    if what.contains('.') {
        key().or(error)
    } else {
        error.or_else(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_understood() {
        assert_eq!(
            suggest("NOT_ENOUGH_REPLICA").as_deref(),
            Some("NOT_ENOUGH_REPLICAS")
        );
        assert_eq!(
            suggest("unknown-topic-or-partitions").as_deref(),
            Some("UNKNOWN_TOPIC_OR_PARTITION")
        );
        assert_eq!(suggest("retention.sm").as_deref(), Some("retention.ms"));
        assert_eq!(suggest("something quite else"), None);
    }

    #[test]
    fn every_error_has_an_explanation() {
        for code in ErrorCode::all() {
            let text = text(&of(code));
            assert!(
                text.starts_with(code.name()) && text.contains("what:"),
                "{text}"
            );
        }
    }
}
