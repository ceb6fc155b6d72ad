//! Settings from the environment.
//!
//! `KAFKA_*` as Kafka's official image maps it: the prefix goes, letters become lower case, `___` becomes
//! `-`, `__` becomes `_`, and `_` becomes `.`. `OTTLA_*` is mapped the same way and is the stronger one.

use std::ffi::OsString;

use anyhow::{Result, bail};

/// Variables of Kafka's image that are about its JVM and scripts, not about the broker.
const NOT_SETTINGS: &[&str] = &[
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_VERSION",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_DEBUG",
    "KAFKA_HOME",
];
const NOT_SETTINGS_PREFIXES: &[&str] = &["KAFKA_JMX_", "KAFKA_LOG4J_"];
/// Our own variables that are options of the program and no settings of the broker.
const OWN_OPTIONS: &[&str] = &[
    "OTTLA_BIN",
    "OTTLA_CONFIG",
    "OTTLA_LOG",
    "OTTLA_LOG_FORMAT",
    "OTTLA_BOOTSTRAP",
];

/// The variables whose names and values are text. Others say nothing to us, unless their names are of ours.
///
/// # Errors
/// A setting that is no UTF-8.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>> {
    let mut read = Vec::new();
    for (name, value) in variables {
        match (name.to_str(), value.to_str()) {
            (Some(name), Some(value)) => read.push((name.to_owned(), value.to_owned())),
            _ => {
                let name = name.to_string_lossy();
                let (kafka, ottla) = map([(name.to_string(), String::new())]);
                if !kafka.is_empty() || !ottla.is_empty() {
                    bail!("the environment variable {name} is no UTF-8");
                }
            }
        }
    }
    Ok(read)
}

type Mapped = Vec<(String, String, String)>;

/// Variable, key and value of each setting: Kafka's, then ours.
pub(crate) fn map(variables: impl IntoIterator<Item = (String, String)>) -> (Mapped, Mapped) {
    let (mut kafka, mut ottla) = (Vec::new(), Vec::new());
    let mut sorted: Vec<_> = variables.into_iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        if name == "CLUSTER_ID" {
            kafka.push((name, "cluster.id".to_owned(), value));
        } else if let Some(rest) = name.strip_prefix("KAFKA_") {
            let skipped = NOT_SETTINGS.contains(&name.as_str())
                || NOT_SETTINGS_PREFIXES
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
            if !skipped && !rest.is_empty() {
                let key = key(rest);
                kafka.push((name, key, value));
            }
        } else if let Some(rest) = name.strip_prefix("OTTLA_")
            && !OWN_OPTIONS.contains(&name.as_str())
            && !name.starts_with("OTTLA_TEST_")
        {
            let key = key(rest);
            ottla.push((name, key, value));
        }
    }
    (kafka, ottla)
}

fn key(name: &str) -> String {
    name.to_lowercase()
        .replace('_', ".")
        .replace("...", "-")
        .replace("..", "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_an_error_where_it_would_be_a_setting() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let not_text = bytes(b"\xff");
        let good = (bytes(b"KAFKA_NODE_ID"), bytes(b"1"));
        for name in [
            &b"HOME"[..],
            b"KAFKA_OPTS",
            b"OTTLA_LOG",
            b"\xff",
            b"X_\xff",
        ] {
            let read = read([(bytes(name), not_text.clone()), good.clone()]);
            assert_eq!(
                read.unwrap(),
                [("KAFKA_NODE_ID".to_owned(), "1".to_owned())]
            );
        }
        for name in [
            &b"KAFKA_NODE_ID"[..],
            b"OTTLA_NODE_ID",
            b"CLUSTER_ID",
            b"KAFKA_\xff",
        ] {
            let error = read([(bytes(name), not_text.clone())]).unwrap_err();
            let name = String::from_utf8_lossy(name);
            assert!(error.to_string().contains(&*name), "{error}");
        }
    }

    #[test]
    fn names_map_as_in_the_official_image() {
        let variable = |name: &str| (name.to_owned(), "v".to_owned());
        let (kafka, ottla) = map([
            variable("KAFKA_LOG_DIRS"),
            variable("KAFKA_HEAP_OPTS"),
            variable("KAFKA_JMX_PORT"),
            variable("KAFKA_A__B___C"),
            variable("CLUSTER_ID"),
            variable("OTTLA_NUM_PARTITIONS"),
            variable("OTTLA_CONFIG"),
            variable("HOME"),
        ]);
        let keys = |mapped: &Mapped| mapped.iter().map(|(_, k, _)| k.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&kafka), ["cluster.id", "a_b-c", "log.dirs"]);
        assert_eq!(keys(&ottla), ["num.partitions"]);
    }
}
