//! Settings from the environment.
//!
//! `KAFKA_*` as Kafka's official image maps it: the prefix goes, letters become lower case, `___` becomes
//! `-`, `__` becomes `_`, and `_` becomes `.`. `OTTLA_*` is mapped the same way and is the stronger one.

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
