//! Text that shares the buffer it was received in.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8 text, cheap to clone.
///
/// A decoded `Str` is a slice of the received frame and keeps the whole frame in memory. Whoever
/// stores one for longer than the request calls [`Str::detached`].
#[derive(Clone, Default)]
pub struct Str(Bytes);

impl Str {
    /// The empty text.
    #[must_use]
    pub const fn new() -> Str {
        Str(Bytes::new())
    }

    /// Text that lives as long as the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Str {
        Str(Bytes::from_static(text.as_bytes()))
    }

    /// `bytes` as text.
    ///
    /// # Errors
    ///
    /// They are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Str, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Str(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        #[allow(
            unsafe_code,
            reason = "topic names are compared often, and were checked once"
        )]
        // SAFETY: every constructor takes text or has checked that the bytes are UTF-8, and what a
        // `Bytes` holds does not change.
        unsafe {
            std::str::from_utf8_unchecked(&self.0)
        }
    }

    /// The bytes of the text, sharing its buffer.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same text in a buffer of its own, so that the frame it came from can be freed.
    #[must_use]
    pub fn detached(&self) -> Str {
        Str(Bytes::copy_from_slice(&self.0))
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Str {
        Str(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Str {
        Str(Bytes::from(text))
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Str {
        Str::from(text.as_str())
    }
}

impl From<Str> for String {
    fn from(text: Str) -> String {
        text.as_str().to_owned()
    }
}

impl From<Str> for Bytes {
    fn from(text: Str) -> Bytes {
        text.0
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Str) -> bool {
        self.0 == other.0
    }
}

impl Eq for Str {}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Str {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<Str> for str {
    fn eq(&self, other: &Str) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Str> for &str {
    fn eq(&self, other: &Str) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Str> for String {
    fn eq(&self, other: &Str) -> bool {
        self == other.as_str()
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Str) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Str) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn text_behaves_like_str() {
        let text = Str::from("t1");
        assert_eq!(text, "t1");
        assert_eq!(format!("{text} {text:?}"), "t1 \"t1\"");
        let (a, b) = (Str::from("a"), Str::from(String::from("b")));
        assert!(a < b);
        assert!(Str::from_utf8(Bytes::from_static(b"\xff")).is_err());
        let map = BTreeMap::from([(text.clone(), 1)]);
        assert_eq!(map.get("t1"), Some(&1));
    }

    #[test]
    fn detached_text_leaves_its_frame() {
        let frame = Bytes::from(vec![b'x'; 100]);
        let text = Str::from_utf8(frame.slice(10..12)).unwrap();
        assert!(!frame.is_unique());
        let detached = text.detached();
        drop(text);
        assert!(frame.is_unique());
        assert_eq!(detached, "xx");
    }
}
