//! From settings to what the broker is started with.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use broker::{BrokerConfig, Limits, ListenerConfig};
use env::OpenMode;
use types::{BrokerId, ClusterId, Uuid};

use super::Settings;
use super::machine::{self, Machine};

/// Keys that are ours alone and that Kafka's table does not have.
pub(crate) const OWN_KEYS: &[&str] = &["cluster.id"];

/// What `serve` runs with when nobody said anything: one node, on the loopback interface, in `./data`.
const DEFAULT_LISTENERS: &str = "PLAINTEXT://localhost:9092";
const DEFAULT_DIR: &str = "data";

/// The node that the settings describe, on a machine.
///
/// # Errors
/// A value that cannot be used, with the key and what to write instead.
pub(crate) fn broker_config(
    settings: &Settings,
    cores: usize,
    machine: Machine,
) -> Result<BrokerConfig> {
    let node_id = match settings
        .get("node.id")
        .or_else(|| settings.get("broker.id"))
    {
        None => 1,
        Some(text) => text
            .trim()
            .parse::<i32>()
            .ok()
            .filter(|id| *id >= 0)
            .with_context(|| format!("node.id={text}: a node's id is a number from 0 on"))?,
    };
    let cluster_id = match settings.get("cluster.id") {
        None => None,
        Some(text) => Some(
            text.trim()
                .parse::<ClusterId>()
                .with_context(|| format!("cluster.id={text}"))?,
        ),
    };
    let roles = settings.get("process.roles").unwrap_or("broker,controller");
    let mut roles: Vec<&str> = roles.split(',').map(str::trim).collect();
    roles.sort_unstable();
    if roles != ["broker", "controller"] {
        bail!(
            "process.roles={}: this version runs combined nodes only (broker,controller)",
            roles.join(",")
        );
    }
    let image = metadata::Image::new(cluster_id.unwrap_or_else(|| Uuid::ZERO.into()));
    let mut static_configs = settings.effective();
    for key in machine::DERIVED {
        if let Some((value, _)) = derived(key, settings, machine) {
            static_configs.insert((*key).to_owned(), value.to_string());
        }
    }
    let broker = image.broker_config(BrokerId(node_id), &static_configs);
    let positive = |number: i32| usize::try_from(number).unwrap_or(0);
    Ok(BrokerConfig {
        node_id: BrokerId(node_id),
        rack: settings.get("broker.rack").map(str::to_owned),
        listeners: listeners(settings)?,
        cluster_id,
        log_dir: log_dir(settings)?,
        open_mode: match settings.get("ottla.disk.direct") {
            Some("false") => OpenMode::Buffered,
            _ => OpenMode::Direct,
        },
        shards: cores.max(1),
        limits: Limits {
            request_bytes_max: positive(broker.socket_request_max_bytes),
            queued_request_bytes_max: broker
                .queued_max_request_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(Limits::default().queued_request_bytes_max),
            connections_max: positive(broker.max_connections),
            connections_per_ip_max: positive(broker.max_connections_per_ip),
            connection_idle_ms_max: broker.connections_max_idle_ms,
            fetch_bytes_max: positive(broker.fetch_max_bytes),
            fetch_sessions_max: positive(broker.max_incremental_fetch_session_cache_slots),
            decompressed_bytes_max: positive(broker.max_decompressed_message_bytes),
            disk_reserve_bytes: u64::try_from(broker.disk_reserve_bytes).unwrap_or(0),
            ..Limits::default()
        },
        static_configs,
    })
}

/// The value of a key that was left to the program and follows from the machine, and what it follows from.
pub(crate) fn derived(key: &str, settings: &Settings, machine: Machine) -> Option<(u64, String)> {
    let is_left = match settings.get(key) {
        None => true,
        Some(text) => key == "queued.max.request.bytes" && text.trim() == "-1",
    };
    is_left.then(|| machine::derived(key, machine)).flatten()
}

fn log_dir(settings: &Settings) -> Result<PathBuf> {
    let text = settings
        .get("log.dirs")
        .or_else(|| settings.get("log.dir"))
        .unwrap_or(DEFAULT_DIR)
        .trim();
    if text.contains(',') {
        bail!("log.dirs={text}: this version keeps its data in one directory");
    }
    if text.is_empty() {
        bail!("log.dirs is empty: name a directory");
    }
    std::path::absolute(text).with_context(|| format!("log.dirs={text}"))
}

fn listeners(settings: &Settings) -> Result<Vec<ListenerConfig>> {
    let text = settings.get("listeners").unwrap_or(DEFAULT_LISTENERS);
    let controllers: Vec<&str> = settings
        .get("controller.listener.names")
        .unwrap_or("CONTROLLER")
        .split(',')
        .map(str::trim)
        .collect();
    let advertised = settings
        .get("advertised.listeners")
        .map(parse_listeners)
        .transpose()?;
    let mut out = Vec::new();
    for (name, host, port) in parse_listeners(text)? {
        // The controller of a combined single node is asked in process.
        if controllers.contains(&name.as_str()) {
            continue;
        }
        let protocol = protocol_of(settings, &name);
        if protocol != "PLAINTEXT" {
            bail!("listeners={text}: {name} is {protocol}, and this version speaks PLAINTEXT only");
        }
        let told = advertised.iter().flatten().find(|(n, _, _)| *n == name);
        out.push(ListenerConfig {
            advertised: told.map(|(_, host, port)| (host.clone(), *port)),
            name,
            host,
            port,
        });
    }
    if out.is_empty() {
        bail!("listeners={text}: there is no listener for clients");
    }
    Ok(out)
}

fn protocol_of(settings: &Settings, name: &str) -> String {
    let map = settings
        .get("listener.security.protocol.map")
        .unwrap_or_default();
    map.split(',')
        .filter_map(|pair| pair.trim().split_once(':'))
        .find(|(listener, _)| *listener == name)
        .map_or_else(|| name.to_owned(), |(_, protocol)| protocol.to_owned())
}

/// `NAME://host:port,...`; the host may be empty or in brackets.
fn parse_listeners(text: &str) -> Result<Vec<(String, String, u16)>> {
    text.split(',')
        .map(|one| {
            let one = one.trim();
            let parsed = one.split_once("://").and_then(|(name, address)| {
                let (host, port) = address.rsplit_once(':')?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Some((name.to_uppercase(), host.to_owned(), port.parse().ok()?))
            });
            parsed.with_context(|| {
                format!("`{one}` is no listener: write NAME://host:port, for example PLAINTEXT://0.0.0.0:9092")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Settings::gather(None, [], &pairs).unwrap()
    }

    fn broker_config(settings: &Settings, cores: usize) -> Result<BrokerConfig> {
        let machine = Machine {
            descriptors: Some(1000),
            memory: Some(1 << 30),
        };
        super::broker_config(settings, cores, machine)
    }

    #[test]
    fn limits_that_nobody_set_follow_from_the_machine() {
        let config = broker_config(&settings(&[]), 2).unwrap();
        assert_eq!(config.limits.connections_max, 800);
        assert_eq!(config.limits.queued_request_bytes_max, 256 << 20);
        // A client that asks the broker is told the same.
        assert_eq!(config.static_configs["max.connections"], "800");
        let left = broker_config(&settings(&[("queued.max.request.bytes", "-1")]), 2).unwrap();
        assert_eq!(left.limits, config.limits);
        let set = settings(&[
            ("max.connections", "7"),
            ("queued.max.request.bytes", "123456"),
        ]);
        let set = broker_config(&set, 2).unwrap();
        assert_eq!(set.limits.connections_max, 7);
        assert_eq!(set.limits.queued_request_bytes_max, 123_456);
    }

    #[test]
    fn nothing_said_is_one_node_on_the_loopback() {
        let config = broker_config(&settings(&[]), 2).unwrap();
        assert_eq!(config.listeners[0].host, "localhost");
        assert_eq!(config.listeners[0].port, 9092);
        assert_eq!(config.listeners[0].advertised, None);
        assert_eq!(config.node_id, BrokerId(1));
    }

    #[test]
    fn kafkas_own_quickstart_file_is_understood() {
        let config = broker_config(
            &settings(&[
                ("process.roles", "broker,controller"),
                ("node.id", "7"),
                ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
                (
                    "advertised.listeners",
                    "PLAINTEXT://example.org:19092,CONTROLLER://x:1",
                ),
                ("controller.listener.names", "CONTROLLER"),
                (
                    "listener.security.protocol.map",
                    "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                ),
            ]),
            1,
        )
        .unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.listeners[0].host, "");
        assert_eq!(
            config.listeners[0].advertised,
            Some(("example.org".to_owned(), 19092))
        );
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (key, value) in [
            ("listeners", "SSL://:9092"),
            ("listeners", "9092"),
            ("listeners", "CONTROLLER://:9093"),
            ("log.dirs", "/a,/b"),
            ("node.id", "one"),
            ("process.roles", "controller"),
            ("cluster.id", "two words"),
        ] {
            let error = broker_config(&settings(&[(key, value)]), 1).unwrap_err();
            assert!(
                format!("{error:#}").contains(value) || key == "listeners",
                "{error:#}"
            );
        }
    }
}
