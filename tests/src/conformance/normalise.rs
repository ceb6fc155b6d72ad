//! What differs from run to run, made the same: ids, times, addresses.
//!
//! An id becomes `$name_1`, numbered in order of first sight, so that equal ids stay equal and different
//! ones different. Values that the session itself chose are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::value::{Value, base64};

/// Times this close to now are the server's own.
const NOW_MS: i64 = 24 * 3600 * 1000;

/// What has been seen so far.
#[derive(Clone, Debug)]
pub struct Normaliser {
    server: SocketAddr,
    /// By symbol, without the dollar sign.
    symbols: BTreeMap<String, Value>,
    /// What requests said.
    chosen: BTreeSet<String>,
    /// Texts made with the variable of a loop, as the session writes them.
    templates: BTreeMap<String, String>,
}

impl Normaliser {
    /// For a server.
    #[must_use]
    pub fn new(server: SocketAddr) -> Normaliser {
        Normaliser {
            server,
            symbols: BTreeMap::new(),
            chosen: BTreeSet::new(),
            templates: BTreeMap::new(),
        }
    }

    /// Remembers that a loop made `text` of `template`: answers show it as the session does, so that
    /// those of different rounds are equal.
    pub fn made(&mut self, text: &str, template: &str) {
        self.templates.insert(text.to_owned(), template.to_owned());
    }

    /// What a symbol stands for.
    #[must_use]
    pub fn lookup(&self, symbol: &str) -> Option<&Value> {
        self.symbols.get(symbol)
    }

    /// Remembers what a request says, so that it is not taken for the server's.
    pub fn chose(&mut self, request: &Value) {
        match request {
            Value::List(items) => items.iter().for_each(|item| self.chose(item)),
            Value::Map(members) => members.iter().for_each(|(_, value)| self.chose(value)),
            Value::Str(text) if !self.symbols.values().any(|known| same_text(known, text)) => {
                self.chosen.insert(text.clone());
            }
            _ => {}
        }
    }

    /// Forgets the symbols seen since `earlier`, as at the end of a round of a loop.
    pub fn forget_since(&mut self, earlier: &Normaliser) {
        self.symbols.clone_from(&earlier.symbols);
    }

    /// An answer of `api` with everything replaced that differs between runs.
    pub fn normalise(&mut self, api: &str, answer: &Value) -> Value {
        self.walk(api, "", answer)
    }

    fn walk(&mut self, api: &str, name: &str, value: &Value) -> Value {
        match value {
            Value::Map(members) => Value::Map(
                members
                    .iter()
                    .filter(|(key, value)| !(key == "ThrottleTimeMs" && *value == Value::Int(0)))
                    .map(|(key, value)| (key.clone(), self.walk(api, key, value)))
                    .collect(),
            ),
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.walk(api, name, item))
                    .collect(),
            ),
            Value::Uuid(uuid) if *uuid != [0; 16] && !self.chosen.contains(&base64(uuid)) => {
                self.symbol(&snake(name), value)
            }
            Value::Int(number) => self.number(api, name, *number),
            Value::Str(text) => self.text(name, text),
            other => other.clone(),
        }
    }

    fn number(&mut self, api: &str, name: &str, number: i64) -> Value {
        let value = Value::Int(number);
        match (api, name) {
            (_, "Port") if number == i64::from(self.server.port()) => word("$port"),
            ("InitProducerId", "ProducerId") if number >= 0 => self.symbol("producer_id", &value),
            (_, "ProducerId") => self.known(&value).map_or(value, Value::Word),
            ("Fetch", "SessionId") if number != 0 => self.symbol("session_id", &value),
            (_, "FinalizedFeaturesEpoch") => word("$epoch"),
            (_, "TotalBytes" | "UsableBytes") if number > 0 => word("$bytes"),
            (_, name) if name.contains("Time") && (number - now()).abs() < NOW_MS => word("$now"),
            _ => value,
        }
    }

    fn text(&mut self, name: &str, text: &str) -> Value {
        if let Some(template) = self.templates.get(text) {
            return Value::Str(template.clone());
        }
        if self.chosen.contains(text) || text.is_empty() {
            return Value::Str(text.to_owned());
        }
        match name {
            "Host" if text == self.server.ip().to_string() => return word("$host"),
            "ClusterId" => return self.symbol("cluster_id", &Value::Str(text.to_owned())),
            "LogDir" => return word("$log_dir"),
            _ => {}
        }
        let mut out = text.to_owned();
        for (made, template) in &self.templates {
            out = out.replace(made, template);
        }
        out = without_times(&out);
        for (at, uuid) in uuids(text) {
            debug_assert!(text[at..].starts_with(uuid), "found where it is");
            if let Value::Word(symbol) = self.symbol("uuid", &Value::Str(uuid.to_owned())) {
                out = out.replace(uuid, &symbol);
            }
        }
        // Ids that texts mention.
        for (symbol, known) in &self.symbols {
            match known {
                Value::Uuid(uuid) => out = out.replace(&base64(uuid), &format!("${symbol}")),
                Value::Str(known) if known.len() > 8 => {
                    out = out.replace(known, &format!("${symbol}"));
                }
                _ => {}
            }
        }
        Value::Str(out)
    }

    fn known(&self, value: &Value) -> Option<String> {
        self.symbols
            .iter()
            .find(|(_, known)| *known == value)
            .map(|(symbol, _)| format!("${symbol}"))
    }

    fn symbol(&mut self, name: &str, value: &Value) -> Value {
        if let Some(symbol) = self.known(value) {
            return Value::Word(symbol);
        }
        let number = (1..)
            .find(|n| !self.symbols.contains_key(&format!("{name}_{n}")))
            .expect("there are numbers enough");
        let symbol = format!("{name}_{number}");
        self.symbols.insert(symbol.clone(), value.clone());
        Value::Word(format!("${symbol}"))
    }
}

/// Numbers in a text that are times of the server's, or as far from now as an unlimited time allows.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '-') {
        let (before, from) = rest.split_at(start);
        let end = from[1..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(from.len(), |end| end + 1);
        let (digits, after) = from.split_at(end);
        out.push_str(before);
        let near = |number: i64, what: i64| number.abs_diff(what) < NOW_MS as u64;
        match digits.parse::<i64>() {
            Ok(number) if near(number, now()) => out.push_str("$now"),
            Ok(number) if near(number, now() - i64::MAX) => out.push_str("$long_ago"),
            _ => out.push_str(digits),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn word(text: &str) -> Value {
    Value::Word(text.to_owned())
}

fn same_text(value: &Value, text: &str) -> bool {
    match value {
        Value::Str(known) => known == text || text.contains(known.as_str()),
        Value::Uuid(uuid) => base64(uuid) == text,
        _ => false,
    }
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// `TopicId` as `topic_id`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The UUIDs in a text, as 8-4-4-4-12 hexadecimal digits.
fn uuids(text: &str) -> Vec<(usize, &str)> {
    let is_uuid = |text: &str| {
        text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(candidate) = text.get(at..at + 36) {
        if is_uuid(candidate) {
            found.push((at, candidate));
            at += 36;
        } else {
            at += 1;
        }
    }
    found
}

/// What to sort by: the index of a partition, and then a text that does not depend on ids.
#[must_use]
pub fn sort_key(value: &Value) -> (i64, String) {
    let index = ["PartitionIndex", "Partition", "Index"]
        .iter()
        .find_map(|key| match value.get(key) {
            Some(Value::Int(index)) => Some(*index),
            _ => None,
        });
    let mut flat = value.flat();
    let found: Vec<String> = uuids(&flat)
        .into_iter()
        .map(|(_, uuid)| uuid.to_owned())
        .collect();
    for uuid in found {
        flat = flat.replace(&uuid, "*");
    }
    (index.unwrap_or(0), flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_texts_are_found() {
        let (time, before) = (now(), now() - i64::MAX);
        assert_eq!(
            without_times(&format!(
                "5 of 1000000000000 in [{before}, {time}] - 7 or -x"
            )),
            "5 of 1000000000000 in [$long_ago, $now] - 7 or -x"
        );
    }

    #[test]
    fn equal_ids_stay_equal_and_what_the_session_chose_stays() {
        let mut normaliser = Normaliser::new("127.0.0.1:9092".parse().unwrap());
        normaliser.chose(&Value::parse(r#"{Name: "mine"}"#).unwrap());
        let uuid = "0f0e0d0c-0b0a-0908-0706-050403020100";
        let answer = Value::Map(vec![
            ("TopicId".to_owned(), Value::Uuid([1; 16])),
            ("OtherId".to_owned(), Value::Uuid([2; 16])),
            ("Again".to_owned(), Value::Uuid([1; 16])),
            ("None".to_owned(), Value::Uuid([0; 16])),
            ("ClusterId".to_owned(), Value::Str("mine".to_owned())),
            ("MemberId".to_owned(), Value::Str(format!("mine-{uuid}"))),
            (
                "Text".to_owned(),
                Value::Str(format!("id {}", base64(&[1; 16]))),
            ),
            ("Port".to_owned(), Value::Int(9092)),
            ("LogAppendTimeMs".to_owned(), Value::Int(now())),
            ("Timestamp".to_owned(), Value::Int(1_700_000_000_000)),
        ]);
        let seen = normaliser.normalise("Metadata", &answer).flat();
        assert_eq!(
            seen,
            "{TopicId: $topic_id_1, OtherId: $other_id_1, Again: $topic_id_1, \
             None: \"AAAAAAAAAAAAAAAAAAAAAA\", ClusterId: \"mine\", MemberId: \"mine-$uuid_1\", \
             Text: \"id $topic_id_1\", Port: $port, LogAppendTimeMs: $now, Timestamp: 1700000000000}"
        );
        assert_eq!(
            normaliser.lookup("uuid_1"),
            Some(&Value::Str(uuid.to_owned()))
        );
    }
}
