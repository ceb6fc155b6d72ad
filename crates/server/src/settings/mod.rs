//! What a node is told, from all the places where people tell it.
//!
//! Every input says the same keys, Kafka's. Of two that say different things the one further left counts:
//! `-X key=value`, environment (`OTTLA_*`, then `KAFKA_*` as the official image maps it), the configuration
//! file, built-in. [`Settings`] keeps every layer, so that `ottla config explain` can show which one won.

pub(crate) mod environment;
pub(crate) mod machine;
pub(crate) mod node;
pub(crate) mod properties;
pub(crate) mod toml_file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use metadata::configs::validate::{self, Problem};

use crate::cli::key_value;
use crate::exit;

/// Where a node's settings are said, but for the environment: what `serve` takes, and what takes the same.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sources {
    /// A configuration file: Kafka's server.properties, or ottla.toml.
    #[arg(
        long,
        env = "OTTLA_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// A setting, stronger than the file and the environment.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
}

impl Sources {
    /// Gathers all that is said, here and in the environment; `told`, by options of their own, is the strongest.
    pub(crate) fn gather(&self, told: &[(&str, Option<String>)]) -> Result<Settings> {
        let mut command_line = self.settings.clone();
        for (key, value) in told {
            command_line.extend(value.clone().map(|value| ((*key).to_owned(), value)));
        }
        environment::read(std::env::vars_os())
            .and_then(|variables| {
                Settings::gather(self.config.as_deref(), variables, &command_line)
            })
            .map_err(exit::configuration)
    }
}

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the file.
    File(PathBuf),
    /// In a `KAFKA_*` variable.
    KafkaEnvironment(String),
    /// In an `OTTLA_*` variable.
    OttlaEnvironment(String),
    /// With `-X` or an option of its own.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::KafkaEnvironment(name) | Origin::OttlaEnvironment(name) => {
                write!(f, "environment variable {name}")
            }
            Origin::CommandLine => f.write_str("command line"),
        }
    }
}

/// Every key that was said, with every place that said it, weakest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    said: BTreeMap<String, Vec<(Origin, String)>>,
}

impl Settings {
    /// Gathers the layers.
    pub(crate) fn gather(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        command_line: &[(String, String)],
    ) -> Result<Settings> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            for (key, value) in read_file(path)? {
                settings.say(Origin::File(path.to_path_buf()), key, value);
            }
        }
        let (kafka, ottla) = environment::map(variables);
        for (variable, key, value) in kafka {
            settings.say(Origin::KafkaEnvironment(variable), key, value);
        }
        for (variable, key, value) in ottla {
            settings.say(Origin::OttlaEnvironment(variable), key, value);
        }
        for (key, value) in command_line {
            settings.say(Origin::CommandLine, key.clone(), value.clone());
        }
        Ok(settings)
    }

    /// Adds a value, stronger than those before it.
    pub(crate) fn say(&mut self, origin: Origin, key: String, value: String) {
        self.said.entry(key).or_default().push((origin, value));
    }

    /// The value that counts.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.said.get(key)?.last().map(|(_, value)| value.as_str())
    }

    /// Every place that said a key, strongest first.
    pub(crate) fn layers(&self, key: &str) -> impl Iterator<Item = &(Origin, String)> {
        self.said.get(key).into_iter().flatten().rev()
    }

    /// The values that count.
    pub(crate) fn effective(&self) -> BTreeMap<String, String> {
        let last = |said: &Vec<(Origin, String)>| said.last().map(|(_, value)| value.clone());
        self.said
            .iter()
            .filter_map(|(key, said)| Some((key.clone(), last(said)?)))
            .collect()
    }

    /// Checks every key against the table. An unknown key is an error, or with `lenient` a warning:
    /// a misspelt setting that is silently ignored is found out on the worst day. What is known and changes nothing
    /// is a warning.
    pub(crate) fn check(&self, lenient: bool) -> Result<Vec<String>> {
        let settings = self.effective();
        let mut warnings = Vec::new();
        let mut errors = Vec::new();
        let mut is_unknown = false;
        for problem in validate::file(&settings) {
            if node::OWN_KEYS.contains(&problem.key.as_str()) {
                continue;
            }
            let text = self.told(&problem);
            if problem.is_unknown && lenient {
                warnings.push(text);
            } else {
                is_unknown |= problem.is_unknown;
                errors.push(text);
            }
        }
        if !errors.is_empty() {
            let next = match is_unknown {
                true => "correct it, or leave it out; `--lenient` lets unknown keys pass",
                false => "correct it; `ottla config explain KEY` shows what a key takes",
            };
            bail!(
                "the configuration cannot be used:\n  {}\nnext: {next}",
                errors.join("\n  ")
            );
        }
        let without_effect = validate::without_effect(&settings);
        warnings.extend(without_effect.iter().map(|problem| self.told(problem)));
        Ok(warnings)
    }

    /// A problem, and where its key was set.
    fn told(&self, problem: &Problem) -> String {
        match self.layers(&problem.key).next() {
            Some((origin, _)) => format!("{} (from {origin})", problem.message),
            None => problem.message.clone(),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
    let is_toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    let parsed = if is_toml {
        toml_file::parse(&text)
    } else {
        properties::parse(&text)
    };
    parsed.with_context(|| format!("the configuration file {}", path.display()))
}
