//! The same bytes as Apache Kafka.

use super::{CODECS, each, hex};
use crate::Reader;

/// Apache Kafka's own classes wrote these bytes, two messages for each version of each: see
/// `tests/golden/Goldens.java`.
#[test]
fn kafka_writes_the_same_bytes() {
    let files = [
        include_str!("../../tests/golden/api.hex"),
        include_str!("../../tests/golden/group.hex"),
        include_str!("../../tests/golden/metadata.hex"),
        include_str!("../../tests/golden/raft.hex"),
        include_str!("../../tests/golden/remote.hex"),
        include_str!("../../tests/golden/share.hex"),
        include_str!("../../tests/golden/txn.hex"),
    ];
    let mut seen = std::collections::BTreeMap::new();
    for line in files.iter().flat_map(|file| file.lines()) {
        let [name, version, bytes] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let version = version.parse().unwrap();
        let codec = CODECS.iter().find(|codec| codec.name == name);
        let codec = codec.unwrap_or_else(|| panic!("there is no {name}"));
        let mut r = Reader::new(hex(bytes));
        let again = (codec.recode)(&mut r, version);
        let again = again.unwrap_or_else(|e| panic!("{name} v{version} is not read: {e}"));
        assert_eq!(r.expect_end(), Ok(()), "{name} v{version}");
        assert_eq!(again, hex(bytes), "{name} v{version}");
        *seen.entry((name, version)).or_insert(0) += 1;
    }
    each(|codec, version| {
        assert_eq!(
            seen.get(&(codec.name, version)),
            Some(&2),
            "{} v{version}",
            codec.name
        );
    });
}
