//! Did you mean?

use super::{Scope, keys};

/// The key whose name is nearest to a misspelt one, if any is near.
#[must_use]
pub fn suggest(scope: Scope, name: &str) -> Option<&'static str> {
    // A name of any length comes in with requests: comparing a very long one is work for nothing.
    if name.len() > 100 {
        return None;
    }
    let far = 2 + name.len() / 8;
    (keys(scope).iter())
        .map(|key| (distance(key.name.as_bytes(), name.as_bytes()), key.name))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, name)| name)
}

/// How many bytes must be inserted, removed or replaced (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        assert_eq!(suggest(Scope::Topic, "retention.sm"), Some("retention.ms"));
        assert_eq!(
            suggest(Scope::Broker, "log.retention.hour"),
            Some("log.retention.hours")
        );
        assert_eq!(
            suggest(Scope::Broker, "advertised.listener"),
            Some("advertised.listeners")
        );
        assert_eq!(suggest(Scope::Topic, "something.else.entirely"), None);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }
}
