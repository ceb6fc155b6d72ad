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
    /// a misspelt setting that is silently ignored is found out on the worst day.
    pub(crate) fn check(&self, lenient: bool) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let mut errors = Vec::new();
        for problem in metadata::configs::validate::file(&self.effective()) {
            if node::OWN_KEYS.contains(&problem.key.as_str()) {
                continue;
            }
            let origin = self
                .layers(&problem.key)
                .next()
                .map(|(origin, _)| origin.to_string());
            let text = format!("{} (from {})", problem.message, origin.unwrap_or_default());
            if problem.is_unknown && lenient {
                warnings.push(text);
            } else {
                errors.push(text);
            }
        }
        if !errors.is_empty() {
            bail!(
                "the configuration cannot be used:\n  {}\nnext: correct it; `--lenient` lets unknown keys pass",
                errors.join("\n  ")
            );
        }
        Ok(warnings)
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
