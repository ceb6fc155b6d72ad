//! `ottla config`: the settings of topics, brokers and groups in a running cluster, and what each key means.

pub(crate) mod explain;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use client::Admin;
use client::admin::{ConfigChange, ConfigEntry, Resource, ResourceKind};
use env_tokio::TokioEnv;
use metadata::configs::{self, Scope};
use protocol::Str;
use types::ErrorCode;

use crate::cli::key_value;
use crate::connect::Connect;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, rows};

/// Settings of topics, brokers and groups.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Get(Get),
    Set(Set),
    Unset(Unset),
    Explain(explain::ExplainKey),
}

/// Whose settings.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// A topic's.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// A broker's.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Those of all brokers that have none of their own.
    #[arg(long)]
    all_brokers: bool,
    /// A group's.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl Whose {
    fn resource(&self) -> Resource {
        match (&self.topic, self.broker, &self.group) {
            (Some(topic), _, _) => Resource::topic(topic.as_str()),
            (_, Some(id), _) => Resource::broker(id),
            (_, _, Some(group)) => Resource {
                kind: ResourceKind::Group,
                name: Str::from(group),
            },
            _ => Resource {
                kind: ResourceKind::Broker,
                name: Str::new(),
            },
        }
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.topic, self.broker, &self.group) {
            (Some(topic), _, _) => write!(f, "topic {topic}"),
            (_, Some(id), _) => write!(f, "broker {id}"),
            (_, _, Some(group)) => write!(f, "group {group}"),
            _ => f.write_str("all brokers"),
        }
    }
}

/// Show settings and where each comes from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla config get --topic orders
  ottla config get --topic orders retention.ms --output json
  ottla config get --broker 1 --set-only

Replaces: kafka-configs.sh --describe")]
struct Get {
    #[command(flatten)]
    whose: Whose,
    /// The keys; all if none is named.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Leave out what is at its default.
    #[arg(long)]
    set_only: bool,
}

/// Change settings of a running cluster.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla config set --topic orders retention.ms=86400000
  ottla config set --all-brokers log.retention.hours=24
  ottla config set --topic orders max.message.bytes=10485760 --dry-run

Replaces: kafka-configs.sh --alter --add-config")]
struct Set {
    #[command(flatten)]
    whose: Whose,
    /// What to set.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = key_value)]
    settings: Vec<(String, String)>,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
}

/// Return settings of a running cluster to their defaults.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla config unset --topic orders retention.ms
  ottla config unset --broker 1 log.retention.ms
  ottla config unset --topic orders retention.ms retention.bytes --dry-run

Replaces: kafka-configs.sh --alter --delete-config")]
struct Unset {
    #[command(flatten)]
    whose: Whose,
    /// The keys.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Only have the broker check it.
    #[arg(long)]
    dry_run: bool,
}

rows! {
    /// A setting of a running cluster.
    struct Setting {
        /// Its key.
        key: String => "KEY",
        /// Its value; hidden if it is a secret.
        value: Option<String> => "VALUE",
        /// Where it comes from: `topic`, `broker`, `all-brokers`, `static`, `default`, ...
        source: String => "SOURCE",
        /// Whether it can only be set when the broker starts.
        read_only: bool => "READ-ONLY",
        /// Every place that says something of it, the strongest first.
        synonyms: Vec<SettingSynonym>,
    }
    /// A place that says something of a setting.
    struct SettingSynonym {
        /// The name under which it is said.
        key: String,
        /// What it says.
        value: Option<String>,
        /// Where.
        source: String,
    }
    /// What became of a change.
    struct Changed {
        /// Whose setting.
        resource: String => "RESOURCE",
        /// The key.
        key: String => "KEY",
        /// The new value; none if it has returned to its default.
        value: Option<String> => "VALUE",
        /// Whether it was only checked.
        dry_run: bool => "DRY-RUN",
    }
}

/// Runs a command about settings.
pub(crate) fn run(args: &Config, output: Output) -> Result<Exit> {
    match &args.command {
        Command::Explain(explain) => explain::run(explain, output),
        Command::Get(get) => {
            let settings = args
                .connect
                .ask(async |admin, _| self::get(admin, get).await)?;
            output::list(output, &settings)?;
            Ok(Exit::Ok)
        }
        Command::Set(set) => {
            let changes = changes(&set.settings, &[])?;
            change(args, &set.whose, changes, set.dry_run, output)
        }
        Command::Unset(unset) => {
            let changes = changes(&[], &unset.keys)?;
            change(args, &unset.whose, changes, unset.dry_run, output)
        }
    }
}

async fn get(admin: &mut Admin<TokioEnv>, args: &Get) -> Result<Vec<Setting>> {
    let keys: Vec<Str> = args.keys.iter().map(Str::from).collect();
    let wanted = (!keys.is_empty()).then_some(keys.as_slice());
    let mut settings = entries(
        admin,
        args.whose.resource(),
        wanted,
        &args.whose.to_string(),
    )
    .await?;
    if args.set_only {
        settings.retain(|setting| setting.source != "default");
    }
    for key in &args.keys {
        if !args.set_only && !settings.iter().any(|setting| setting.key == *key) {
            let what = format!("{} has no setting `{key}`", args.whose);
            let next = match near(args.whose.resource().kind, [key.as_str()]) {
                Some(near) => near,
                None => "without a key, all that it has is shown".to_owned(),
            };
            return Err(Failure::new(Exit::NotFound, what).next(next).into());
        }
    }
    Ok(settings)
}

/// The settings of a resource.
pub(crate) async fn entries(
    admin: &mut Admin<TokioEnv>,
    resource: Resource,
    keys: Option<&[Str]>,
    what: &str,
) -> Result<Vec<Setting>> {
    let what = format!("reading the settings of {what}");
    let kind = resource.kind;
    let failed = |error: &client::Error| refused(&what, kind, error, []);
    let answers = admin
        .describe_configs(&[resource], keys, true, false)
        .await
        .map_err(|error| failed(&error))?;
    let mut settings = Vec::new();
    for (_, result) in answers {
        let entries = result.map_err(|error| failed(&error))?;
        settings.extend(entries.iter().map(setting));
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(settings)
}

/// What was perhaps meant by the first of these keys that a resource of this kind does not have.
pub(crate) fn near<'a>(
    kind: ResourceKind,
    keys: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let scope = match kind {
        ResourceKind::Topic => Scope::Topic,
        ResourceKind::Broker => Scope::Broker,
        ResourceKind::Group => Scope::Group,
        _ => return None,
    };
    let unknown = keys
        .into_iter()
        .find(|key| configs::find(scope, key).is_none())?;
    let near = configs::suggest(scope, unknown)?;
    Some(format!(
        "did you mean `{near}`? `ottla config explain {near}` tells of it"
    ))
}

/// What a broker's refusal to show or change settings comes to.
fn refused<'a>(
    what: &str,
    kind: ResourceKind,
    error: &client::Error,
    keys: impl IntoIterator<Item = &'a str>,
) -> Failure {
    let mut failure = Failure::client(what, error);
    let keys: Vec<&str> = keys.into_iter().collect();
    match error.code() {
        // Nobody has to be waited for: there is no such broker.
        Some(ErrorCode::BROKER_NOT_AVAILABLE) if kind == ResourceKind::Broker => {
            failure.exit = Exit::NotFound;
            failure.next("`ottla cluster info` shows the brokers")
        }
        Some(ErrorCode::INVALID_CONFIG | ErrorCode::INVALID_REQUEST) => {
            if let Some(next) = near(kind, keys.iter().copied()) {
                failure.next = Some(next);
            } else if let Some(key) = keys.first() {
                failure.next = Some(format!(
                    "`ottla config explain {key}` tells which values it takes, and when it can be changed"
                ));
            }
            failure
        }
        _ => failure,
    }
}

fn setting(entry: &ConfigEntry) -> Setting {
    let hidden = |value: &Option<Str>| match value {
        _ if entry.is_sensitive => Some("[hidden]".to_owned()),
        value => value.as_ref().map(ToString::to_string),
    };
    Setting {
        key: entry.name.to_string(),
        value: hidden(&entry.value),
        source: source(entry.config_source).to_owned(),
        read_only: entry.read_only,
        synonyms: entry
            .synonyms
            .iter()
            .map(|synonym| SettingSynonym {
                key: synonym.name.to_string(),
                value: hidden(&synonym.value),
                source: source(synonym.source).to_owned(),
            })
            .collect(),
    }
}

/// Kafka's numbers of sources.
fn source(number: i8) -> &'static str {
    match number {
        1 => "topic",
        2 => "broker",
        3 => "all-brokers",
        4 => "static",
        5 => "default",
        6 => "broker-logger",
        7 => "client-metrics",
        8 => "group",
        _ => "unknown",
    }
}

fn change(
    args: &Config,
    whose: &Whose,
    changes: BTreeMap<String, Option<String>>,
    dry_run: bool,
    output: Output,
) -> Result<Exit> {
    let wire = changes.iter().map(|(key, value)| {
        let change = value
            .clone()
            .map_or(ConfigChange::Delete, ConfigChange::Set);
        (key.clone(), change)
    });
    let wire = [(whose.resource(), wire.collect())];
    args.connect
        .ask(async |admin, _| apply(admin, &wire, &whose.to_string(), dry_run).await)?;
    let changed: Vec<Changed> = changes
        .into_iter()
        .map(|(key, value)| Changed {
            resource: whose.to_string(),
            key,
            value,
            dry_run,
        })
        .collect();
    output::list(output, &changed)?;
    Ok(Exit::Ok)
}

/// What is set and what returns to its default.
///
/// # Errors
/// A key is named twice: which of the two was meant?
pub(crate) fn changes(
    set: &[(String, String)],
    unset: &[String],
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let set = set.iter().map(|(key, value)| (key, Some(value.clone())));
    let mut changes = BTreeMap::new();
    for (key, value) in set.chain(unset.iter().map(|key| (key, None))) {
        if changes.insert(key.clone(), value).is_some() {
            return Err(Failure::usage(format!("`{key}` is changed twice"))
                .next("name it once, with the value that it is to have"));
        }
    }
    Ok(changes)
}

/// Changes settings; the first refusal is an error.
pub(crate) async fn apply(
    admin: &mut Admin<TokioEnv>,
    changes: &[(Resource, Vec<(String, ConfigChange)>)],
    what: &str,
    dry_run: bool,
) -> Result<()> {
    let what = format!("changing the settings of {what}");
    let kind = changes.first().map(|(resource, _)| resource.kind);
    let keys = changes.iter().flat_map(|(_, changes)| changes);
    let keys: Vec<&str> = keys.map(|(key, _)| key.as_str()).collect();
    let failed = |error: client::Error| {
        let keys = keys.iter().copied();
        refused(&what, kind.unwrap_or(ResourceKind::Topic), &error, keys)
    };
    for (_, result) in admin
        .alter_configs(changes, dry_run)
        .await
        .map_err(failed)?
    {
        result.map_err(failed)?;
    }
    Ok(())
}
