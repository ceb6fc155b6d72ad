//! Keys that Kafka once had and has no more. Old files have them still, and whoever reads one wants to be told what
//! became of it, not which other key is spelt nearly the same.

/// What became of a broker key that Kafka 4 does not know any more.
#[must_use]
pub fn why(name: &str) -> Option<&'static str> {
    Some(match name {
        name if name.starts_with("zookeeper.") => {
            "Kafka 4 removed ZooKeeper and this key with it, and Ottla has none: leave it out."
        }
        "broker.id.generation.enable" | "reserved.broker.max.id" => {
            "Kafka 4 removed it with ZooKeeper: set node.id."
        }
        "control.plane.listener.name" => {
            "Kafka 4 removed it with ZooKeeper: see controller.listener.names."
        }
        "inter.broker.protocol.version" => {
            "Kafka 4 removed it: the feature metadata.version takes its place."
        }
        "log.message.format.version" | "log.message.downconversion.enable" => {
            "Kafka 4 removed it: there is one format of records, and nothing to convert."
        }
        "log.message.timestamp.difference.max.ms" => {
            "Kafka 4 removed it: set log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms."
        }
        "delegation.token.master.key" => {
            "Kafka 4 removed it: its later name is delegation.token.secret.key."
        }
        "offsets.commit.required.acks" => {
            "Kafka 4 removed it: a commit is answered as one with acks=all."
        }
        name if name.starts_with("password.encoder.") => {
            "Kafka 4 removed it with ZooKeeper, which was the place where passwords were kept."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, find};
    use super::why;

    #[test]
    fn what_is_gone_is_gone() {
        for name in [
            "zookeeper.connect",
            "zookeeper.ssl.keystore.password",
            "inter.broker.protocol.version",
            "log.message.format.version",
            "log.message.downconversion.enable",
            "log.message.timestamp.difference.max.ms",
            "broker.id.generation.enable",
            "reserved.broker.max.id",
            "control.plane.listener.name",
            "delegation.token.master.key",
            "offsets.commit.required.acks",
            "password.encoder.secret",
        ] {
            let why = why(name).unwrap();
            assert!(why.starts_with("Kafka 4 removed ") && why.ends_with('.'));
            assert_eq!(find(Scope::Broker, name), None);
            // What is to be set instead is there.
            for word in why.split([' ', ':', ',']) {
                let word = word.trim_end_matches('.');
                if word.matches('.').count() >= 1 && word != "metadata.version" {
                    assert!(find(Scope::Broker, word).is_some(), "{word}");
                }
            }
        }
        assert_eq!(why("log.dirs"), None);
    }
}
