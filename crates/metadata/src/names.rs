//! Which topic names are allowed.
//!
//! Two names that differ only in `.` and `_` collide: Kafka's metrics write both alike.

use std::fmt;

/// How long a topic's name may be.
pub const LENGTH_MAX: usize = 249;

/// The topic of committed offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic of transactions.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The topic of the state of share groups.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";
/// The metadata log, which is no topic that anybody could create.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a name is not allowed, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// It is empty.
    Empty,
    /// It is `.` or `..`.
    Dots(String),
    /// It is longer than [`LENGTH_MAX`].
    TooLong(String),
    /// It has a character that is not allowed.
    Characters(String),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic name is invalid: ")?;
        match self {
            InvalidName::Empty => f.write_str("the empty string is not allowed"),
            InvalidName::Dots(name) => write!(f, "'{name}' is not allowed"),
            InvalidName::TooLong(name) => {
                write!(
                    f,
                    "the length of '{name}' is longer than the max allowed length {LENGTH_MAX}"
                )
            }
            InvalidName::Characters(name) => write!(
                f,
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            ),
        }
    }
}

impl std::error::Error for InvalidName {}

/// Checks a topic's name.
///
/// # Errors
/// The name is not allowed.
pub fn check(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        Err(InvalidName::Empty)
    } else if name == "." || name == ".." {
        Err(InvalidName::Dots(name.to_owned()))
    } else if name.encode_utf16().count() > LENGTH_MAX {
        Err(InvalidName::TooLong(name.to_owned()))
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        Err(InvalidName::Characters(name.to_owned()))
    } else {
        Ok(())
    }
}

/// Whether Kafka keeps this topic for itself.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | SHARE_STATE_TOPIC)
}

/// The name that all names which collide with this one share; `None` if nothing can collide with it.
#[must_use]
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "x".repeat(249);
        for good in ["a", "A-b_c.9", "...", &long] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(250);
        for bad in [
            "", ".", "..", &too_long, "a b", "a/b", "é", "a\n", "a\0", "a:b",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn collisions() {
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
        assert_eq!(collision_key("abc"), None);
        assert_ne!(collision_key("a.b"), collision_key("a.c"));
    }
}
