//! Runs a session against a server and keeps the answers, normalised.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::normalise::{Normaliser, now, sort_key};
use super::schema::Schemas;
use super::session::{Action, Item, Payload, Request, Session, Step, Version};
use super::value::Value;
use super::wire::{Connection, Reply};

/// The answers to one step: by value of the loop's variable.
pub type Answers = Vec<(Option<i64>, Value)>;

/// Runs `session` against the server at `address`, and tries as long as `patience` where a session says
/// `until`. Answers are in the order of [`Session::steps`].
///
/// # Errors
/// The session itself is wrong, or the server cannot be reached.
pub fn run(
    schemas: &Schemas,
    session: &Session,
    address: SocketAddr,
    patience: Duration,
) -> Result<Vec<Answers>> {
    let mut runner = Runner {
        schemas,
        address,
        patience,
        connections: BTreeMap::new(),
        waiting: BTreeMap::new(),
        variables: BTreeMap::new(),
        normaliser: Normaliser::new(address),
        last: Value::Null,
        answers: Vec::new(),
    };
    runner.answers.resize(session.steps().len(), Vec::new());
    let mut next = 0;
    runner
        .items(&session.items, &mut next)
        .with_context(|| format!("{}.session", session.name))?;
    Ok(runner.answers)
}

struct Runner<'a> {
    schemas: &'a Schemas,
    address: SocketAddr,
    patience: Duration,
    connections: BTreeMap<String, Connection>,
    /// The requests on a connection whose answers are waited for later.
    waiting: BTreeMap<String, Vec<Request>>,
    variables: BTreeMap<String, Value>,
    normaliser: Normaliser,
    /// The last answer, as it came.
    last: Value,
    answers: Vec<Answers>,
}

impl Runner<'_> {
    fn items(&mut self, items: &[Item], next: &mut usize) -> Result<()> {
        for item in items {
            match item {
                Item::Text(_) => {}
                Item::Step(step) => {
                    let number = *next;
                    *next += 1;
                    match step.own_range() {
                        None => self.step(step, number, None)?,
                        Some(range) => {
                            self.rounds(range, |this, v| this.step(step, number, Some(v)))?
                        }
                    }
                }
                Item::Loop { range, items, .. } => {
                    let first = *next;
                    self.rounds(*range, |this, v| {
                        *next = first;
                        for item in items {
                            match item {
                                Item::Text(_) => {}
                                Item::Step(step) => {
                                    this.step(step, *next, Some(v))?;
                                    *next += 1;
                                }
                                Item::Loop { .. } => bail!("a loop within a loop"),
                            }
                        }
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        (from, to): (i64, i64),
        mut round: impl FnMut(&mut Self, i64) -> Result<()>,
    ) -> Result<()> {
        let (variables, normaliser) = (self.variables.clone(), self.normaliser.clone());
        for v in from..=to {
            self.variables.insert("v".to_owned(), Value::Int(v));
            round(self, v)?;
            self.variables.clone_from(&variables);
            self.normaliser.forget_since(&normaliser);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, number: usize, v: Option<i64>) -> Result<()> {
        let answer = self
            .act(&step.action)
            .with_context(|| format!("line {}", step.line))?;
        if let Some(answer) = answer {
            self.answers[number].push((v, answer));
        }
        Ok(())
    }

    fn act(&mut self, action: &Action) -> Result<Option<Value>> {
        match action {
            Action::Request(request) => self.request(request),
            Action::Wait { connection } => {
                let waiting = self.waiting.entry(connection.clone()).or_default();
                if waiting.is_empty() {
                    bail!("nothing is waited for on {connection:?}");
                }
                let request = waiting.remove(0);
                let reply = self.receive(connection)?;
                Ok(Some(self.answered(&request, reply)?))
            }
            Action::Let { name, path } => {
                let value = self.last.at(path).cloned().unwrap_or(Value::Null);
                self.variables.insert(name.clone(), value);
                Ok(None)
            }
            Action::Close { connection } => {
                self.connections.remove(connection);
                self.waiting.remove(connection);
                Ok(None)
            }
            Action::Sleep { ms } => {
                std::thread::sleep(Duration::from_millis(*ms));
                Ok(None)
            }
            Action::Coordinator { group } => {
                let group = self.interpolate(group)?;
                self.wait_for_coordinator(&group)?;
                Ok(None)
            }
            Action::Create {
                name,
                partitions,
                configs,
            } => {
                let template = Value::Str(name.clone());
                let name = self.interpolate(name)?;
                self.remember_templates(&template, &Value::Str(name.clone()));
                self.create(&name, *partitions, configs)?;
                Ok(None)
            }
        }
    }

    fn request(&mut self, request: &Request) -> Result<Option<Value>> {
        let started = Instant::now();
        loop {
            self.send(request)?;
            if request.no_answer {
                // The next request on this connection tells whether it is still there.
                return Ok(Some(Value::Word("none".to_owned())));
            }
            if request.later {
                self.waiting
                    .entry(request.connection.clone())
                    .or_default()
                    .push(request.clone());
                return Ok(None);
            }
            let reply = self.receive(&request.connection)?;
            if let (Some((path, wanted)), Reply::Answer(answer)) = (&request.until, &reply) {
                let wanted = self.resolve(wanted)?;
                if answer.at(path) != Some(&wanted) && started.elapsed() < self.patience {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            }
            return Ok(Some(self.answered(request, reply)?));
        }
    }

    fn connection(&mut self, name: &str) -> Result<&mut Connection> {
        if !self.connections.contains_key(name) {
            let connection = Connection::open(self.address)?;
            self.connections.insert(name.to_owned(), connection);
        }
        self.connections.get_mut(name).context("just opened")
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        let schemas = self.schemas;
        match &request.payload {
            Payload::Message {
                api,
                version,
                body,
                cut,
                append,
            } => {
                self.normaliser.chose(body);
                let resolved = self.resolve(body)?;
                self.remember_templates(body, &resolved);
                let body = resolved;
                self.normaliser.chose(&body);
                let version = match (version, self.variables.get("v")) {
                    (Version::Fixed(version), _) => *version,
                    (Version::Range(..), Some(Value::Int(v))) => *v,
                    (Version::Loop(most), Some(Value::Int(v))) => *v.min(most),
                    _ => bail!("$v outside a loop"),
                };
                let change = |bytes: &mut Vec<u8>| {
                    bytes.truncate(bytes.len().saturating_sub(*cut));
                    bytes.extend(append);
                };
                let version = i16::try_from(version)?;
                self.connection(&request.connection)?.send(
                    schemas,
                    api,
                    version,
                    &body,
                    change,
                    !request.no_answer,
                )
            }
            Payload::Raw {
                bytes,
                bare,
                answer,
            } => {
                let answer = match answer {
                    Some((api, version)) => Some((api.clone(), i16::try_from(*version)?)),
                    None => None,
                };
                self.connection(&request.connection)?
                    .send_raw(bytes, *bare, answer);
                Ok(())
            }
        }
    }

    fn receive(&mut self, connection: &str) -> Result<Reply> {
        let schemas = self.schemas;
        let reply = self.connection(connection)?.receive(schemas)?;
        if !matches!(reply, Reply::Answer(_)) {
            self.connections.remove(connection);
        }
        Ok(reply)
    }

    fn answered(&mut self, request: &Request, reply: Reply) -> Result<Value> {
        let mut answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::Closed => Value::Word("closed".to_owned()),
            Reply::Nothing => Value::Word("nothing".to_owned()),
        };
        for path in &request.sorted {
            sort(&mut answer, path);
        }
        self.last = answer.clone();
        let api = match &request.payload {
            Payload::Message { api, .. } => api,
            Payload::Raw { answer, .. } => answer.as_ref().map_or("", |(api, _)| api),
        };
        Ok(self.normaliser.normalise(api, &answer))
    }

    /// The value with its variables replaced.
    fn resolve(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::Word(word) => match word.strip_prefix('$') {
                Some(name) => self.variable(name)?,
                None => value.clone(),
            },
            Value::Str(text) => Value::Str(self.interpolate(text)?),
            Value::List(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.resolve(item))
                    .collect::<Result<_>>()?,
            ),
            Value::Map(members) => Value::Map(
                members
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.resolve(value)?)))
                    .collect::<Result<_>>()?,
            ),
            other => other.clone(),
        })
    }

    /// Texts that hold the loop's variable and no other.
    fn remember_templates(&mut self, written: &Value, resolved: &Value) {
        match (written, resolved) {
            (Value::Str(template), Value::Str(text))
                if template.matches('$').count() == 1 && template.contains("$v") =>
            {
                self.normaliser.made(text, template);
            }
            (Value::List(written), Value::List(resolved)) => {
                for (written, resolved) in written.iter().zip(resolved) {
                    self.remember_templates(written, resolved);
                }
            }
            (Value::Map(written), Value::Map(resolved)) => {
                for ((_, written), (_, resolved)) in written.iter().zip(resolved) {
                    self.remember_templates(written, resolved);
                }
            }
            _ => {}
        }
    }

    fn variable(&self, name: &str) -> Result<Value> {
        if name == "now" {
            return Ok(Value::Int(now()));
        }
        // Many characters: `$x_1000`.
        if let Some(count) = name.strip_prefix("x_") {
            return Ok(Value::Str("x".repeat(count.parse()?)));
        }
        self.variables
            .get(name)
            .or_else(|| self.normaliser.lookup(name))
            .cloned()
            .with_context(|| format!("${name} is not known"))
    }

    fn interpolate(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            match self.variable(&after[..end])? {
                Value::Str(text) => out.push_str(&text),
                other => out.push_str(other.flat().trim_matches('"')),
            }
            rest = &after[end..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn create(&mut self, name: &str, partitions: i64, configs: &Value) -> Result<()> {
        let schemas = self.schemas;
        let string = |text: &str| Value::Str(text.to_owned());
        let map = |members: &[(&str, Value)]| {
            Value::Map(
                members
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), value.clone()))
                    .collect(),
            )
        };
        let configs = match configs {
            Value::Map(members) => members
                .iter()
                .map(|(key, value)| map(&[("Name", string(key)), ("Value", value.clone())]))
                .collect(),
            _ => Vec::new(),
        };
        let topic = map(&[
            ("Name", string(name)),
            ("NumPartitions", Value::Int(partitions)),
            ("ReplicationFactor", Value::Int(1)),
            ("Configs", Value::List(configs)),
        ]);
        self.normaliser.chose(&string(name));
        let body = map(&[
            ("Topics", Value::List(vec![topic])),
            ("timeoutMs", Value::Int(30_000)),
        ]);
        let connection = self.connection("setup")?;
        connection.send(schemas, "CreateTopics", 5, &body, |_| {}, true)?;
        match connection.receive(schemas)? {
            Reply::Answer(answer)
                if answer.at("Topics[0].ErrorCode") == Some(&Value::Word("NONE".to_owned())) => {}
            other => bail!("topic {name:?} could not be made: {other:?}"),
        }
        // The answer comes from the controller; the broker may learn of the topic a little later.
        let started = Instant::now();
        let body = map(&[("Topics", Value::List(vec![map(&[("Name", string(name))])]))]);
        loop {
            let connection = self.connection("setup")?;
            connection.send(schemas, "Metadata", 8, &body, |_| {}, true)?;
            let reply = connection.receive(schemas)?;
            let Reply::Answer(answer) = &reply else {
                bail!("topic {name:?} cannot be described: {reply:?}");
            };
            let ready = (0..partitions).all(|i| {
                matches!(answer.at(&format!("Topics[0].Partitions[{i}].LeaderId")),
                    Some(Value::Int(leader)) if *leader >= 0)
            });
            if ready {
                break;
            }
            if started.elapsed() > self.patience {
                bail!("topic {name:?} is never ready: {}", answer.flat());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Metadata comes before the log: a fetch that is not refused shows that both are there.
        for partition in 0..partitions {
            self.wait_for_log(name, partition)?;
        }
        Ok(())
    }

    fn wait_for_log(&mut self, name: &str, partition: i64) -> Result<()> {
        let body = Value::parse(&format!(
            r#"{{ReplicaId: -1, Topics: [{{Name: "{name}", Partitions: [{{PartitionIndex: {partition}, Timestamp: -1}}]}}]}}"#
        ))?;
        self.set_up("ListOffsets", 5, &body, "Topics[0].Partitions[0].ErrorCode")
    }

    fn wait_for_coordinator(&mut self, group: &str) -> Result<()> {
        self.normaliser.chose(&Value::Str(group.to_owned()));
        let body = Value::parse(&format!(r#"{{Key: "{group}", KeyType: 0}}"#))?;
        self.set_up("FindCoordinator", 3, &body, "ErrorCode")?;
        // It may still be loading.
        let body = Value::parse(&format!(r#"{{GroupId: "{group}", Topics: []}}"#))?;
        self.set_up("OffsetFetch", 5, &body, "ErrorCode")
    }

    /// Asks until the error at `path` is none.
    fn set_up(&mut self, api: &str, version: i16, body: &Value, path: &str) -> Result<()> {
        let schemas = self.schemas;
        let started = Instant::now();
        loop {
            let connection = self.connection("setup")?;
            connection.send(schemas, api, version, body, |_| {}, true)?;
            let reply = connection.receive(schemas)?;
            if let Reply::Answer(answer) = &reply
                && answer.at(path) == Some(&Value::Word("NONE".to_owned()))
            {
                return Ok(());
            }
            if started.elapsed() > self.patience {
                bail!("{api} {} is never answered well: {reply:?}", body.flat());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sorts the lists at `path` (`Topics.Partitions`: the `Partitions` of each of the `Topics`).
fn sort(value: &mut Value, path: &str) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let Value::Map(members) = value else {
        return;
    };
    let Some((_, Value::List(items))) = members.iter_mut().find(|(key, _)| key == first) else {
        return;
    };
    match rest {
        None => items.sort_by_cached_key(sort_key),
        Some(rest) => items.iter_mut().for_each(|item| sort(item, rest)),
    }
}
