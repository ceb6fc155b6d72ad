//! What producers, consumers and admins have in common: whom to ask first, and how long to wait.

use std::time::Duration;

use crate::{Error, Result};

/// Kafka's usual port, taken when an address names none.
const DEFAULT_PORT: u16 = 9092;

/// How a client reaches its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The brokers to ask first: any that answers will do.
    pub bootstrap: Vec<(String, u16)>,
    /// What this client calls itself in the broker's logs, quotas and group listings.
    pub client_id: String,
    /// How long one operation may take, retries and reconnects included.
    pub timeout: Duration,
    /// How long one request may take before its connection is given up.
    pub request_timeout: Duration,
    /// How long a connection may take, the exchange of versions included.
    pub connect_timeout: Duration,
    /// The pause before the first retry; it doubles with each further one.
    pub backoff: Duration,
    /// The longest pause between retries.
    pub backoff_max: Duration,
    /// How old metadata may grow before it is asked for anew.
    pub metadata_max_age: Duration,
    /// The largest response to accept, in bytes.
    pub response_bytes_max: usize,
}

impl ClientOptions {
    /// The usual waits, and the brokers in `bootstrap`: `host:port,host:port`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `bootstrap` is no such list.
    pub fn new(bootstrap: &str) -> Result<ClientOptions> {
        Ok(ClientOptions {
            bootstrap: parse_bootstrap(bootstrap)?,
            client_id: "ottla".to_owned(),
            timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            response_bytes_max: 128 * 1024 * 1024,
        })
    }

    /// The same, under another name.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> ClientOptions {
        self.client_id = client_id.into();
        self
    }

    /// The same, with another limit for one operation. Single requests and connects never get more.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> ClientOptions {
        self.timeout = timeout;
        self.request_timeout = self.request_timeout.min(timeout);
        self.connect_timeout = self.connect_timeout.min(timeout);
        self
    }
}

/// Reads `host:port,host:port`. An IPv6 address stands in brackets; the port may be left out.
///
/// # Errors
/// [`Error::Invalid`] when there is no address, or a port is no number from 1 to 65535.
pub fn parse_bootstrap(text: &str) -> Result<Vec<(String, u16)>> {
    let mut addresses = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let bad = || Error::Invalid(format!("`{part}` is not an address of the form host:port"));
        let (host, port) = if let Some(rest) = part.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or_else(bad)?)),
            }
        } else {
            match part.rsplit_once(':') {
                // More than one colon without brackets: an IPv6 address without a port.
                Some((host, _)) if host.contains(':') => (part, None),
                Some((host, port)) => (host, Some(port)),
                None => (part, None),
            }
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or_else(bad)?,
            None => DEFAULT_PORT,
        };
        if host.is_empty() {
            return Err(bad());
        }
        addresses.push((host.to_owned(), port));
    }
    if addresses.is_empty() {
        return Err(Error::Invalid(
            "no bootstrap address was given (host:port,host:port)".to_owned(),
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = parse_bootstrap(" a:1, b ,[::1]:7,fe80::1,").unwrap();
        let expected = [("a", 1), ("b", 9092), ("::1", 7), ("fe80::1", 9092)];
        assert_eq!(parsed, expected.map(|(h, p)| (h.to_owned(), p)));
        for bad in ["", " , ", ":1", "a:0", "a:x", "a:70000", "[::1", "[::1]x"] {
            assert!(parse_bootstrap(bad).is_err(), "{bad:?}");
        }
    }
}
