//! `ottla config explain`: a setting, every place that says something of it, and which one won.

use anyhow::Result;
use clap::Args;
use metadata::configs::resolve::{broker_key_of_topic_key, family};
use metadata::configs::{self, ConfigKey, Importance, Scope, Status, Update};

use crate::exit::{Exit, Failure};
use crate::output::{self, Output, rows};
use crate::settings::machine::Machine;
use crate::settings::{Settings, Sources, node};

/// A setting: what it does, what it takes, every place that says something of it, and which one wins.
///
/// Reads the same file, environment and options as `ottla serve` does, and asks no broker: `ottla config get`
/// does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla config explain retention.ms
  ottla config explain log.dirs --config server.properties
  KAFKA_NUM_PARTITIONS=6 ottla config explain num.partitions -X num.partitions=3

Replaces: reading the documentation; kafka-configs.sh --describe --all shows synonyms of a running broker.")]
pub(crate) struct ExplainKey {
    /// The key.
    key: String,
    #[command(flatten)]
    sources: Sources,
}

rows! {
    /// A setting.
    struct KeyExplained {
        /// Its name.
        key: String,
        /// Whose it is: `broker`, `topic`, `group`, `client-metrics` or `ottla`.
        scope: String,
        /// What it is for.
        doc: String,
        /// The type of its values.
        value_type: String,
        /// The value if nobody says anything.
        default: Option<String>,
        /// Which values are allowed.
        valid: Option<String>,
        /// How much it matters: `high`, `medium` or `low`.
        importance: String,
        /// When it can be changed: `read-only`, `per-broker` or `cluster-wide`.
        update: String,
        /// What comes of it: `implemented`, `partly`, `no-effect` or `refused`.
        status: String,
        /// What is missing, or why it has no effect or is refused.
        status_reason: Option<String>,
        /// The value that counts here.
        value: Option<String>,
        /// Every place that says something of it, the strongest first.
        layers: Vec<Layer>,
    }
    /// A place that says something of a setting.
    struct Layer {
        /// Whether this one counts.
        wins: bool => "",
        /// The name under which it is said.
        key: String => "KEY",
        /// What it says.
        value: Option<String> => "VALUE",
        /// Where.
        source: String => "SOURCE",
    }
}

/// Explains a key.
pub(crate) fn run(args: &ExplainKey, output: Output) -> Result<Exit> {
    let settings = args.sources.gather(&[])?;
    let explained = keys(args.key.trim(), &settings);
    if explained.is_empty() {
        let key = &args.key;
        let failure = Failure::new(Exit::NotFound, format!("there is no setting `{key}`"));
        let near = SCOPES
            .iter()
            .find_map(|(scope, _)| configs::suggest(*scope, key));
        return Err(match (configs::removed::why(key.trim()), near) {
            (Some(why), _) => failure.next(why),
            (None, Some(near)) => failure.next(format!("did you mean `{near}`?")),
            (None, None) => failure.next(
                "`ottla config get --broker ID` shows what a broker has, `--topic NAME` what a topic has",
            ),
        }
        .into());
    }
    let text: Vec<String> = explained.iter().map(text).collect();
    output::list_as(output, &explained, &text.join("\n"))?;
    Ok(Exit::Ok)
}

const SCOPES: [(Scope, &str); 4] = [
    (Scope::Broker, "broker"),
    (Scope::Topic, "topic"),
    (Scope::Group, "group"),
    (Scope::ClientMetrics, "client-metrics"),
];

/// The settings of this name: a broker's and a topic's may share it.
pub(crate) fn keys(name: &str, settings: &Settings) -> Vec<KeyExplained> {
    if node::OWN_KEYS.contains(&name) {
        return vec![own(name, settings)];
    }
    let found = SCOPES.iter().filter_map(|(scope, text)| {
        let key = configs::find(*scope, name)?;
        Some(explained(*scope, text, key, settings))
    });
    found.collect()
}

fn own(name: &str, settings: &Settings) -> KeyExplained {
    let layers = layers(&[name], None, false, settings);
    KeyExplained {
        key: name.to_owned(),
        scope: "ottla".to_owned(),
        doc: "The cluster's id, given when the node's directory is formatted (`ottla format --cluster-id`)."
            .to_owned(),
        value_type: "STRING".to_owned(),
        default: None,
        valid: Some("[1 to 64 characters of ASCII, no blanks]".to_owned()),
        importance: "medium".to_owned(),
        update: "read-only".to_owned(),
        status: "implemented".to_owned(),
        status_reason: None,
        value: winner(&layers),
        layers,
    }
}

fn explained(scope: Scope, scope_text: &str, key: &ConfigKey, settings: &Settings) -> KeyExplained {
    // What a topic or group does not set itself is its broker's.
    let group_key;
    let behind = match scope {
        Scope::Broker => Some(key.name),
        Scope::Topic => broker_key_of_topic_key(key.name),
        Scope::Group => {
            group_key = format!("group.{}", key.name);
            configs::find(Scope::Broker, &group_key).map(|key| key.name)
        }
        Scope::ClientMetrics => None,
    };
    let single;
    let names: &[&str] = match behind {
        None => &[],
        Some(name) => match family(name) {
            [] => {
                single = [name];
                &single
            }
            names => &names.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        },
    };
    let fallback = (names.is_empty()).then_some((key.name, key.default));
    let layers = layers(names, fallback, key.is_sensitive(), settings);
    let value = value(scope, key.name, behind, &layers);
    let (status, status_reason) = match key.status {
        Status::Implemented => ("implemented", None),
        Status::Partly(why) => ("partly", Some(why.to_owned())),
        Status::NoEffect(why) => ("no-effect", Some(why.to_owned())),
        Status::Refused(why) => ("refused", Some(why.to_owned())),
    };
    let valid = key.valid.to_string();
    KeyExplained {
        key: key.name.to_owned(),
        scope: scope_text.to_owned(),
        doc: key.doc.to_owned(),
        value_type: key.kind.to_string(),
        default: key.default.map(str::to_owned),
        valid: (!valid.is_empty()).then_some(valid),
        importance: match key.importance {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        }
        .to_owned(),
        update: match key.update {
            Update::ReadOnly => "read-only",
            Update::PerBroker => "per-broker",
            Update::ClusterWide => "cluster-wide",
        }
        .to_owned(),
        status: status.to_owned(),
        status_reason,
        value,
        layers,
    }
}

/// The value that counts, in the unit of the key that was asked about: a topic counts in milliseconds what its broker
/// may be told in hours. Of a broker's key in whose unit it cannot be told, what DescribeConfigs shows: its own.
fn value(scope: Scope, name: &str, behind: Option<&str>, layers: &[Layer]) -> Option<String> {
    let units = behind.map(family).unwrap_or_default();
    let unit = |name: &str| {
        let found = units.iter().find(|(other, _)| *other == name);
        found.map_or(1, |(_, unit)| *unit)
    };
    let won = layers.iter().find(|layer| layer.wins)?;
    let own_unit = match scope {
        Scope::Broker => unit(name),
        _ => 1,
    };
    if unit(&won.key) == own_unit {
        return won.value.clone();
    }
    let number = won.value.as_ref()?.trim().parse::<i64>().ok()?;
    if number < 0 {
        return Some(number.to_string());
    }
    let ms = number.saturating_mul(unit(&won.key));
    if ms % own_unit == 0 {
        return Some((ms / own_unit).to_string());
    }
    let own = layers.iter().find(|layer| layer.key == name);
    own.and_then(|layer| layer.value.clone())
}

fn winner(layers: &[Layer]) -> Option<String> {
    layers
        .iter()
        .find(|layer| layer.wins)
        .and_then(|layer| layer.value.clone())
}

/// Of several names the first that is said anywhere counts; of several places that say it, the strongest; and if
/// none is said, the first default.
fn layers(
    names: &[&str],
    fallback: Option<(&str, Option<&str>)>,
    sensitive: bool,
    settings: &Settings,
) -> Vec<Layer> {
    let mut layers = Vec::new();
    for name in names {
        for (origin, value) in settings.layers(name) {
            let value = if sensitive {
                "[hidden]".to_owned()
            } else {
                value.clone()
            };
            layers.push(Layer {
                wins: layers.is_empty(),
                key: (*name).to_owned(),
                value: Some(value),
                source: origin.to_string(),
            });
        }
    }
    let defaults = names
        .iter()
        .map(|name| {
            (
                *name,
                configs::find(Scope::Broker, name).and_then(|key| key.default),
            )
        })
        .chain(fallback);
    for name in names {
        if let Some((value, why)) = node::derived(name, settings, Machine::this()) {
            // Said as -1 the key is left to the program too, and then that is no value.
            layers.iter_mut().for_each(|layer| layer.wins = false);
            layers.push(Layer {
                wins: true,
                key: (*name).to_owned(),
                value: Some(value.to_string()),
                source: why,
            });
        }
    }
    for (name, value) in defaults {
        let Some(value) = value else { continue };
        layers.push(Layer {
            wins: layers.is_empty(),
            key: name.to_owned(),
            value: Some(value.to_owned()),
            source: "default".to_owned(),
        });
    }
    layers
}

/// For people.
pub(crate) fn text(key: &KeyExplained) -> String {
    let mut text = format!(
        "{} ({} setting)\n\n{}\n\n",
        key.key,
        key.scope,
        key.doc.trim()
    );
    let mut line =
        |name: &str, value: &str| text.push_str(&format!("{:<12}{value}\n", format!("{name}:")));
    line("type", &key.value_type.to_lowercase());
    line("default", key.default.as_deref().unwrap_or("none"));
    if let Some(valid) = &key.valid {
        line("valid", valid);
    }
    line("importance", &key.importance);
    line("update", &key.update);
    match &key.status_reason {
        None => line("status", &key.status),
        Some(why) => line("status", &format!("{}: {why}", key.status)),
    }
    line("value", key.value.as_deref().unwrap_or("none"));
    if !key.layers.is_empty() {
        text.push_str("\nsaid, the strongest first (* wins):\n");
        for layer in &key.layers {
            let mark = if layer.wins { '*' } else { ' ' };
            let value = layer.value.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "{mark} {}={value}  ({})\n",
                layer.key, layer.source
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Origin;

    fn settings(said: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (i, (key, value)) in said.iter().enumerate() {
            let origin = match i {
                0 => Origin::File(Path::new("server.properties").to_path_buf()),
                _ => Origin::CommandLine,
            };
            settings.say(origin, (*key).to_owned(), (*value).to_owned());
        }
        settings
    }

    #[test]
    fn every_layer_is_shown_and_the_strongest_wins() {
        let said = settings(&[("num.partitions", "3"), ("num.partitions", "6")]);
        let [key] = &keys("num.partitions", &said)[..] else {
            panic!("one key");
        };
        let shown: Vec<_> = key
            .layers
            .iter()
            .map(|l| (l.wins, l.value.as_deref(), l.source.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (true, Some("6"), "command line"),
                (false, Some("3"), "server.properties"),
                (false, Some("1"), "default"),
            ]
        );
        assert_eq!(key.value.as_deref(), Some("6"));
    }

    #[test]
    fn a_finer_unit_wins_over_a_stronger_place() {
        let said = settings(&[("log.retention.ms", "5"), ("log.retention.hours", "1")]);
        for (name, value) in [
            ("retention.ms", "5"),
            ("log.retention.ms", "5"),
            // Five milliseconds are no number of hours.
            ("log.retention.hours", "1"),
        ] {
            let found = keys(name, &said);
            assert_eq!(found[0].value.as_deref(), Some(value), "{name}");
            assert_eq!(found[0].layers[1].key, "log.retention.hours");
            assert!(found[0].layers[0].wins, "{name}");
        }
        let said = settings(&[("log.retention.ms", "7200000"), ("log.roll.hours", "-1")]);
        let value = |name: &str| keys(name, &said)[0].value.clone().unwrap();
        assert_eq!(value("log.retention.minutes"), "120");
        assert_eq!(value("log.retention.hours"), "2");
        assert_eq!(value("segment.ms"), "-1");
        let value = |name: &str| keys(name, &Settings::default())[0].value.clone().unwrap();
        assert_eq!(value("log.retention.ms"), "604800000");
        assert_eq!(value("log.retention.minutes"), "10080");
        assert_eq!(value("log.retention.hours"), "168");
        // What a topic counts in milliseconds may be said in hours.
        let said = settings(&[("log.retention.hours", "2")]);
        assert_eq!(
            keys("retention.ms", &said)[0].value.as_deref(),
            Some("7200000")
        );
        assert_eq!(
            keys("retention.ms", &Settings::default())[0]
                .value
                .as_deref(),
            Some("604800000")
        );
    }

    #[test]
    fn what_follows_from_the_machine_is_shown_with_its_reason() {
        let explain = |said: &[(&str, &str)]| {
            let found = keys("queued.max.request.bytes", &settings(said));
            let [key] = &found[..] else {
                panic!("one key");
            };
            let winner = key.layers.iter().find(|layer| layer.wins).unwrap();
            assert_eq!(key.value, winner.value);
            (winner.source.clone(), key.value.clone().unwrap())
        };
        for left in [&[][..], &[("queued.max.request.bytes", "-1")]] {
            let (source, value) = explain(left);
            assert!(source.starts_with("derived: 25 % of the "), "{source}");
            assert!(value.parse::<u64>().unwrap() >= 16 << 20, "{value}");
        }
        let (source, value) = explain(&[("queued.max.request.bytes", "5000000")]);
        assert_eq!((&source[..], &value[..]), ("server.properties", "5000000"));
    }

    #[test]
    fn every_key_of_the_table_can_be_explained() {
        for (scope, name) in SCOPES {
            for key in configs::keys(scope) {
                let found = keys(key.name, &Settings::default());
                let found = found.iter().find(|found| found.scope == name);
                let text = text(found.unwrap_or_else(|| panic!("{}", key.name)));
                assert!(
                    text.starts_with(key.name) && text.contains("status:"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let found = keys(
            "ssl.keystore.password",
            &settings(&[("ssl.keystore.password", "s3cret")]),
        );
        assert!(!found.is_empty() && !text(&found[0]).contains("s3cret"));
    }
}
