//! The name of a cluster.

use std::fmt;
use std::str::FromStr;

use crate::Uuid;

/// The id of a cluster: a short text that somebody chose, shown to clients as it was given.
///
/// Kafka draws it as a [`Uuid`], and to everybody who compares it, it is a text: `MkU3OEVBNTcwNTJENDM2Qk`, which
/// thousands of compose files have, is no text that Kafka itself would write for any id (the bits after the 128th
/// are not zero), and a client that is told another one takes the cluster for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId {
    text: [u8; ClusterId::LEN_MAX],
    len: u8,
}

impl ClusterId {
    /// The most bytes that an id has.
    pub const LEN_MAX: usize = 64;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).expect("an id is ASCII")
    }

    /// 128 bits in place of the text, where there is room for no more: the id itself if it is written as Kafka
    /// writes one, otherwise a hash (FNV-1a).
    #[must_use]
    pub fn digest(&self) -> Uuid {
        let text = self.as_str();
        if let Ok(id) = text.parse::<Uuid>()
            && id.to_string() == text
        {
            return id;
        }
        let hash = text
            .bytes()
            .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, b| {
                (hash ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
            });
        Uuid(hash.to_be_bytes())
    }
}

impl From<Uuid> for ClusterId {
    fn from(id: Uuid) -> ClusterId {
        id.to_string().parse().expect("22 letters and digits")
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that cannot be the id of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterIdError;

impl fmt::Display for ClusterIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a cluster's id has 1 to {} letters, digits and signs of ASCII, no blanks and no backslashes; \
             `ottla format --random-id` prints one",
            ClusterId::LEN_MAX
        )
    }
}

impl std::error::Error for ClusterIdError {}

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<ClusterId, ClusterIdError> {
        // It is a value in `meta.properties`, where a backslash means something.
        let is_part = |b: u8| b.is_ascii_graphic() && b != b'\\';
        let is_id = (1..=ClusterId::LEN_MAX).contains(&text.len()) && text.bytes().all(is_part);
        if !is_id {
            return Err(ClusterIdError);
        }
        let mut id = ClusterId {
            text: [0; ClusterId::LEN_MAX],
            len: u8::try_from(text.len()).expect("64 at most"),
        };
        id.text[..text.len()].copy_from_slice(text.as_bytes());
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_as_it_was_given() {
        // Ids of compose files, charts and tutorials; the last ones are no UUIDs.
        for text in [
            "MkU3OEVBNTcwNTJENDM2Qk",
            "abcdefghijklmnopqrstuv",
            "5L6g3nShT-eMCtK--X86sw",
            "ciWo7IWazngRchmPES6q5A==",
            "b6f5a1de-6b3c-4d0c-9d2c-6f5c0a4d7e11",
            "my-cluster",
        ] {
            let id: ClusterId = text.parse().unwrap();
            assert_eq!((id.as_str(), id.to_string().as_str()), (text, text));
        }
        for text in [
            "",
            "two words",
            "back\\slash",
            "é",
            "line\n",
            &"x".repeat(65),
        ] {
            assert_eq!(text.parse::<ClusterId>(), Err(ClusterIdError), "{text}");
        }
    }

    #[test]
    fn a_digest_is_the_id_or_differs() {
        let id = Uuid([7; 16]);
        assert_eq!(ClusterId::from(id).digest(), id);
        let digest = |text: &str| text.parse::<ClusterId>().unwrap().digest();
        // The same 128 bits, another text.
        assert_ne!(
            digest("MkU3OEVBNTcwNTJENDM2Qk"),
            digest("MkU3OEVBNTcwNTJENDM2Qg")
        );
        assert_ne!(digest("a"), digest("b"));
        // The published test vector.
        assert_eq!(
            digest("foobar"),
            Uuid(0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18_u128.to_be_bytes())
        );
    }
}
