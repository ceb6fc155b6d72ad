//! The table of settings as a page of the documentation: `docs/operating/settings.md`.

use std::fmt::Write as _;

use super::{ConfigKey, Scope, Status, Update, keys};

const HEAD: &str = "\
# Settings

<!-- Made by `cargo xtask settings` from crates/metadata/src/configs/table; do not edit. -->

Every setting of Apache Kafka 4.3, and Ottla's own (`ottla.…`), with what Ottla makes of it. Types, defaults and ranges
are Kafka's. `ottla config explain KEY` shows the same of one key, and which value counts on this machine.

| Status | |
|---|---|
| works | it does what it says |
| in part | it does what it says but for what stands there |
| no effect | it may be set, and nothing comes of it: a node that starts with it says so once |
| refused | any value but the default is an error, because whoever sets it relies on what is not there |

A key that is not listed keeps a node from starting (`serve --lenient` makes that a warning), and cannot be set at
runtime.
";

const SECTIONS: [(Scope, &str, &str); 4] = [
    (
        Scope::Topic,
        "Topics",
        "Set with `ottla topic create --config`, `ottla topic alter --set`, or `ottla config set --topic`; what a topic \
         does not set is its broker's.",
    ),
    (
        Scope::Broker,
        "Brokers",
        "Said in the configuration file, the environment, or with `-X`; those that can be changed *at runtime* also with \
         `ottla config set --broker` or `--all-brokers`.",
    ),
    (
        Scope::Group,
        "Groups",
        "Set with `ottla config set --group`.",
    ),
    (
        Scope::ClientMetrics,
        "Clients' metrics",
        "Kafka's subscriptions to what clients measure.",
    ),
];

/// The page.
#[must_use]
pub fn page() -> String {
    let mut text = HEAD.to_owned();
    for (scope, title, intro) in SECTIONS {
        let keys = keys(scope);
        let count = |wanted: fn(Status) -> bool| {
            let matching = keys.iter().filter(|key| wanted(key.status));
            matching.count()
        };
        let _ = write!(
            text,
            "\n## {title}\n\n{intro}\n\n{} keys: {} work, {} in part; {} are without effect, {} refused.\n\n",
            keys.len(),
            count(|status| status == Status::Implemented),
            count(|status| matches!(status, Status::Partly(_))),
            count(|status| matches!(status, Status::NoEffect(_))),
            count(|status| matches!(status, Status::Refused(_))),
        );
        text.push_str("| Key | Type | Default | Values | Changes | What it does | Status |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for key in keys {
            row(&mut text, scope, key);
        }
    }
    text
}

fn row(text: &mut String, scope: Scope, key: &ConfigKey) {
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{}`", text.replace('|', "\\|")),
    };
    let default = match key.default {
        _ if key.is_required => "required".to_owned(),
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => code(default),
    };
    let changes = match (scope, key.update) {
        (Scope::Broker, Update::ReadOnly) => "at start",
        (Scope::Broker, Update::PerBroker) => "at runtime, for one broker",
        _ => "at runtime",
    };
    let status = match key.status {
        Status::Implemented => "works".to_owned(),
        Status::Partly(why) => format!("**in part**: {why}"),
        Status::NoEffect(why) => format!("**no effect**: {why}"),
        Status::Refused(why) => format!("**refused**: {why}"),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| `{}` | {} | {default} | {} | {changes} | {} | {status} |",
        key.name,
        key.kind.to_string().to_lowercase(),
        code(&key.valid.to_string()),
        key.doc,
    );
}
