//! Where two answers differ, and which differences are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::run::Answers;
use super::session::{Action, Payload, Request, Session, Step, Version};
use super::value::Value;

/// One place in which our answer is not Kafka's.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The session.
    pub session: String,
    /// Where in its file.
    pub line: usize,
    /// The API, `raw` for bytes.
    pub api: String,
    /// The value of the loop's variable, mostly the version.
    pub v: Option<i64>,
    /// Where in the answer, without indexes: `Topics.Partitions.ErrorCode`. Empty for the whole.
    pub path: String,
    /// The same with indexes.
    pub place: String,
    /// What Kafka says, or what we said when that was kept instead.
    pub kafka: String,
    /// What we say.
    pub ottla: String,
    /// Against what we said, which no entry excuses.
    pub own: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.session:{} {}", self.session, self.line, self.api)?;
        if let Some(v) = self.v {
            write!(f, " v{v}")?;
        }
        let place = if self.place.is_empty() {
            "answer"
        } else {
            &self.place
        };
        write!(
            f,
            "\n    {place}\n      {}: {}\n      ottla: {}",
            if self.own {
                "recorded of ottla"
            } else {
                "kafka"
            },
            self.kafka,
            self.ottla
        )
    }
}

/// A difference that is meant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The API; `*` for any.
    pub api: String,
    /// Where in the answer, without indexes; `*` for the whole answer and all within, `*.Name` for every
    /// field of that name. All within it is meant too.
    pub path: String,
    /// Only in these sessions.
    #[serde(default)]
    pub sessions: Vec<String>,
    /// Only if Kafka says this.
    #[serde(default)]
    pub kafka: Option<String>,
    /// Only if we say this.
    #[serde(default)]
    pub ottla: Option<String>,
    /// Why.
    pub reason: String,
}

/// tests/conformance/differences.toml.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    /// All that are meant.
    #[serde(default)]
    pub difference: Vec<Known>,
}

impl Differences {
    /// Reads the list.
    ///
    /// # Errors
    /// It is not one, or an entry has no reason.
    pub fn parse(text: &str) -> Result<Differences> {
        let list: Differences = toml::from_str(text).context("differences.toml")?;
        for known in &list.difference {
            if known.reason.trim().len() < 10 {
                bail!("{} {} has no reason", known.api, known.path);
            }
        }
        Ok(list)
    }

    /// The entry that covers `difference`.
    #[must_use]
    pub fn covering(&self, difference: &Difference) -> Option<usize> {
        self.difference
            .iter()
            .position(|known| known.covers(difference))
    }
}

impl Known {
    fn covers(&self, difference: &Difference) -> bool {
        let path_fits = match self.path.strip_prefix("*.") {
            Some(name) => difference.path.split('.').any(|step| step == name),
            None => {
                self.path == "*"
                    || difference.path == self.path
                    || difference
                        .path
                        .strip_prefix(&self.path)
                        .is_some_and(|rest| rest.starts_with('.'))
            }
        };
        let says = |wanted: &Option<String>, said: &str| wanted.as_ref().is_none_or(|w| w == said);
        path_fits
            && !difference.own
            && (self.api == "*" || self.api == difference.api)
            && (self.sessions.is_empty() || self.sessions.contains(&difference.session))
            && says(&self.kafka, &difference.kafka)
            && says(&self.ottla, &difference.ottla)
    }
}

/// All differences between the answers of `session` as recorded and `answers`.
///
/// # Errors
/// An answer was never recorded.
pub fn compare(session: &Session, answers: &[Answers]) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for (step, answers) in session.steps().iter().zip(answers) {
        for (v, ours) in answers {
            let recorded = step.answer(*v).with_context(|| {
                format!(
                    "{}.session line {}: no answer of Kafka's is recorded",
                    session.name, step.line
                )
            })?;
            let mut differ = Differ {
                found: &mut found,
                session,
                step,
                v: *v,
                own: false,
            };
            // As it reads from a file, where a UUID is a text like any other.
            let ours = Value::parse(&ours.flat())?;
            differ.walk("", "", recorded, &ours);
            if let Some(own) = step.own_answer(*v) {
                differ.own = true;
                differ.walk("", "", own, &ours);
            }
        }
    }
    Ok(found)
}

/// The API that a step asks, `raw` for bytes. Of answers waited for it is not known.
#[must_use]
pub fn api_of(step: &Step) -> &str {
    match &step.action {
        Action::Request(Request {
            payload: Payload::Message { api, .. },
            ..
        }) => api,
        Action::Request(_) => "raw",
        _ => "later",
    }
}

struct Differ<'a> {
    found: &'a mut Vec<Difference>,
    session: &'a Session,
    step: &'a Step,
    v: Option<i64>,
    own: bool,
}

impl Differ<'_> {
    fn walk(&mut self, path: &str, place: &str, kafka: &Value, ottla: &Value) {
        let join = |left: &str, right: &str| match left {
            "" => right.to_owned(),
            _ => format!("{left}.{right}"),
        };
        match (kafka, ottla) {
            (Value::Map(theirs), Value::Map(ours)) => {
                let nothing = Value::Word("(absent)".to_owned());
                for (key, value) in theirs {
                    let our = ottla.get(key).unwrap_or(&nothing);
                    self.walk(&join(path, key), &join(place, key), value, our);
                }
                for (key, value) in ours {
                    if kafka.get(key).is_none() {
                        self.walk(&join(path, key), &join(place, key), &nothing, value);
                    }
                }
            }
            (Value::List(theirs), Value::List(ours)) => {
                let (theirs_by, ours_by) = (by_key(theirs), by_key(ours));
                if let (Some(theirs_by), Some(ours_by)) = (theirs_by, ours_by) {
                    self.walk_by_key(path, place, &theirs_by, &ours_by);
                } else if theirs.len() == ours.len() {
                    for (i, (their, our)) in theirs.iter().zip(ours).enumerate() {
                        self.walk(path, &format!("{place}[{i}]"), their, our);
                    }
                } else {
                    self.differ(path, place, kafka, ottla);
                }
            }
            (kafka, ottla) if kafka == ottla => {}
            (kafka, ottla) => self.differ(path, place, kafka, ottla),
        }
    }

    fn walk_by_key(
        &mut self,
        path: &str,
        place: &str,
        theirs: &BTreeMap<String, &Value>,
        ours: &BTreeMap<String, &Value>,
    ) {
        let nothing = Value::Word("(absent)".to_owned());
        let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for key in keys {
            let inside = format!("{place}[{key}]");
            let their = theirs.get(key).copied().unwrap_or(&nothing);
            let our = ours.get(key).copied().unwrap_or(&nothing);
            self.walk(path, &inside, their, our);
        }
    }

    fn differ(&mut self, path: &str, place: &str, kafka: &Value, ottla: &Value) {
        self.found.push(Difference {
            session: self.session.name.clone(),
            line: self.step.line,
            api: api_of(self.step).to_owned(),
            v: self.v,
            path: path.to_owned(),
            place: place.to_owned(),
            kafka: kafka.flat(),
            ottla: ottla.flat(),
            own: self.own,
        });
    }
}

/// A list of maps by what tells them apart, if something does: the keys of APIs, the names of topics, the
/// numbers of partitions. No client minds their order.
fn by_key(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let mut found = BTreeMap::new();
    for item in items {
        let Value::Map(members) = item else {
            return None;
        };
        let (key, value) = members.iter().find(|(key, _)| {
            matches!(
                key.as_str(),
                "ApiKey" | "Name" | "Topic" | "GroupId" | "PartitionIndex" | "Partition" | "Index"
            )
        })?;
        let before = found.insert(format!("{key} {}", value.flat()), item);
        if before.is_some() {
            return None;
        }
    }
    Some(found)
}

/// How many exchanges were recorded: by API, and in which versions.
#[must_use]
pub fn exchanges(sessions: &[Session]) -> BTreeMap<String, (usize, BTreeSet<i64>)> {
    let mut count: BTreeMap<String, (usize, BTreeSet<i64>)> = BTreeMap::new();
    for session in sessions {
        for step in session.steps() {
            let entry = count.entry(api_of(step).to_owned()).or_default();
            for answer in &step.answers {
                let (from, to) = answer.range.unwrap_or((0, 0));
                entry.0 += usize::try_from(to - from + 1).unwrap_or(0);
                if let Some(version) = version_of(step) {
                    entry.1.extend((from..=to).map(|v| version.of(v)));
                }
            }
        }
    }
    count.retain(|_, (exchanges, _)| *exchanges > 0);
    count
}

fn version_of(step: &Step) -> Option<&Version> {
    match &step.action {
        Action::Request(Request {
            payload: Payload::Message { version, .. },
            ..
        }) => Some(version),
        _ => None,
    }
}

/// docs/COMPATIBILITY.md.
#[must_use]
pub fn document(sessions: &[Session], differences: &Differences) -> String {
    let count = exchanges(sessions);
    let total: usize = count.values().map(|(exchanges, _)| exchanges).sum();
    let mut out = String::from(
        "# Compatibility with Apache Kafka\n\n\
         <!-- Made by `cargo xtask conformance docs` from tests/conformance; do not edit. -->\n\n",
    );
    let _ = writeln!(
        out,
        "Ottla's answers are compared with those of Apache Kafka 4.3.1, field by field: {total} exchanges in {} sessions under\n\
         `tests/conformance/`, good requests and bad ones. Where the two differ, the reason is below; any other difference\n\
         fails the tests, and so does an entry below that is no longer true.\n",
        sessions.len()
    );
    out.push_str("## Differences\n\n");
    if differences.difference.is_empty() {
        out.push_str("None.\n\n");
    } else {
        out.push_str("| API | Where | Kafka | Ottla | Why |\n|---|---|---|---|---|\n");
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let code = |text: &Option<String>| match text {
            Some(text) => format!("`{}`", cell(text)),
            None => String::new(),
        };
        for known in &differences.difference {
            let api = if known.api == "*" { "all" } else { &known.api };
            let path = match known.path.as_str() {
                "*" => "the answer".to_owned(),
                path => format!("`{}`", path.trim_start_matches("*.")),
            };
            let _ = writeln!(
                out,
                "| {api} | {path} | {} | {} | {} |",
                code(&known.kafka),
                code(&known.ottla),
                cell(known.reason.trim())
            );
        }
        out.push('\n');
    }
    out.push_str("## What is compared\n\n| API | Exchanges |\n|---|---|\n");
    for (api, (exchanges, _)) in &count {
        let name = match api.as_str() {
            "raw" => "bytes that are no request",
            "later" => "answers that others wait for (JoinGroup, SyncGroup, Fetch)",
            api => api,
        };
        let _ = writeln!(out, "| {name} | {exchanges} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(kafka: &str, ottla: &str) -> Vec<String> {
        let mut session = Session::parse("s", "> Metadata v0\n").unwrap();
        session.steps_mut()[0].set_answers(&[(None, Value::parse(kafka).unwrap())]);
        let answers = vec![vec![(None, Value::parse(ottla).unwrap())]];
        compare(&session, &answers)
            .unwrap()
            .into_iter()
            .map(|one| {
                format!(
                    "{} | {} | {} | {}",
                    one.path, one.place, one.kafka, one.ottla
                )
            })
            .collect()
    }

    #[test]
    fn every_difference_is_found_and_placed() {
        let kafka =
            r#"{A: [{B: 1}, {B: 2}], C: [{Name: "x", D: 1}, {Name: "y"}], E: [1, 2], F: 0}"#;
        let ottla = r#"{A: [{B: 1}, {B: 3}], C: [{Name: "y"}, {Name: "x", D: 2}, {Name: "z"}], E: [1], G: 0}"#;
        assert_eq!(
            differences(kafka, ottla),
            [
                "A.B | A[1].B | 2 | 3",
                "C.D | C[Name \"x\"].D | 1 | 2",
                "C | C[Name \"z\"] | (absent) | {Name: \"z\"}",
                "E | E | [1, 2] | [1]",
                "F | F | 0 | (absent)",
                "G | G | (absent) | 0",
            ]
        );
        assert_eq!(differences(kafka, kafka), [""; 0]);
        assert_eq!(differences("closed", "{A: 1}"), [" |  | closed | {A: 1}"]);
    }

    #[test]
    fn an_entry_covers_what_it_says_and_no_more() {
        let list = Differences::parse(
            r#"
            [[difference]]
            api = "Fetch"
            path = "Topics"
            kafka = "1"
            reason = "because of the test"
            [[difference]]
            api = "*"
            path = "*.ErrorMessage"
            reason = "texts are for people"
            "#,
        )
        .unwrap();
        let covers = |api: &str, path: &str, kafka: &str| {
            list.covering(&Difference {
                session: String::new(),
                line: 1,
                api: api.to_owned(),
                v: None,
                path: path.to_owned(),
                place: String::new(),
                kafka: kafka.to_owned(),
                ottla: String::new(),
                own: false,
            })
        };
        assert_eq!(covers("Fetch", "Topics.Partitions", "1"), Some(0));
        assert_eq!(covers("Fetch", "TopicsOther", "1"), None);
        assert_eq!(covers("Fetch", "Topics", "2"), None);
        assert_eq!(covers("Produce", "Topics", "1"), None);
        assert_eq!(covers("Produce", "Topics.ErrorMessage", "x"), Some(1));
        assert!(Differences::parse("[[difference]]\napi=\"a\"\npath=\"b\"\nreason=\"\"").is_err());
    }
}
