//! Sessions: what is asked, and what Kafka answered. The format is described in tests/conformance/README.md.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::value::{Cursor, Value};

/// A session file.
#[derive(Clone, Debug)]
pub struct Session {
    /// The file's name without its ending.
    pub name: String,
    /// Whether it needs a server that nobody has talked to.
    pub fresh: bool,
    /// Settings of that server.
    pub settings: Vec<(String, String)>,
    /// All of it, in order.
    pub items: Vec<Item>,
}

/// A piece of a session.
#[derive(Clone, Debug)]
pub enum Item {
    /// A comment, a blank line, a directive: kept as it is.
    Text(String),
    /// Something to do.
    Step(Box<Step>),
    /// Steps done for each value of `$v`.
    Loop {
        /// The line that opens it.
        source: String,
        /// The values.
        range: (i64, i64),
        /// What to do.
        items: Vec<Item>,
    },
}

/// Something to do, and what came of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is in the file, from 1.
    pub line: usize,
    /// As it was written.
    pub source: String,
    /// What to do.
    pub action: Action,
    /// What came of it, by value of the loop.
    pub answers: Vec<Answer>,
    /// What we are to answer where Kafka's answer is no model. Empty where it is.
    pub own: Vec<Answer>,
}

/// What Kafka said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For these values of the loop's variable; none outside loops.
    pub range: Option<(i64, i64)>,
    /// The answer, or a word: `closed`, `none`.
    pub value: Value,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends a request.
    Request(Request),
    /// Waits for the oldest answer outstanding on a connection.
    Wait {
        /// Which connection.
        connection: String,
    },
    /// Names a part of the last answer.
    Let {
        /// The name.
        name: String,
        /// Where it is in the answer.
        path: String,
    },
    /// Closes a connection.
    Close {
        /// Which connection.
        connection: String,
    },
    /// Waits.
    Sleep {
        /// For so long.
        ms: u64,
    },
    /// Waits until a group has its coordinator. Not an exchange.
    Coordinator {
        /// The group, as text with variables.
        group: String,
    },
    /// Makes a topic and waits until it can be used. Not an exchange.
    Create {
        /// Its name, as text with variables.
        name: String,
        /// How many partitions.
        partitions: i64,
        /// Its configuration.
        configs: Value,
    },
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which connection.
    pub connection: String,
    /// What to send.
    pub payload: Payload,
    /// Send it again until the answer has this at that path.
    pub until: Option<(String, Value)>,
    /// Lists in the answer whose order means nothing.
    pub sorted: Vec<String>,
    /// No answer is expected.
    pub no_answer: bool,
    /// The answer is waited for later.
    pub later: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A message by its schema.
    Message {
        /// The API's name.
        api: String,
        /// The version.
        version: Version,
        /// The fields.
        body: Value,
        /// Bytes to take off the end of the body.
        cut: usize,
        /// Bytes to put after the body.
        append: Vec<u8>,
    },
    /// Bytes, with a length before them unless `bare`.
    Raw {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether the length is left out.
        bare: bool,
        /// How to read the answer.
        answer: Option<(String, i64)>,
    },
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// This one.
    Fixed(i64),
    /// Each of these in turn: the step is a loop of its own.
    Range(i64, i64),
    /// The loop's, but at most this.
    Loop(i64),
}

impl Version {
    /// Which one it is when the loop's variable is `v`.
    #[must_use]
    pub fn of(&self, v: i64) -> i64 {
        match self {
            Version::Fixed(version) => *version,
            Version::Range(..) => v,
            Version::Loop(most) => v.min(*most),
        }
    }
}

impl Step {
    /// The values of the loop that this step is by itself.
    #[must_use]
    pub fn own_range(&self) -> Option<(i64, i64)> {
        match &self.action {
            Action::Request(Request {
                payload:
                    Payload::Message {
                        version: Version::Range(from, to),
                        ..
                    },
                ..
            }) => Some((*from, *to)),
            _ => None,
        }
    }

    /// Whether it has an answer to compare.
    #[must_use]
    pub fn answers_at_all(&self) -> bool {
        match &self.action {
            Action::Request(request) => !request.later,
            Action::Wait { .. } => true,
            _ => false,
        }
    }

    /// What Kafka answered for this value of the loop.
    #[must_use]
    pub fn answer(&self, v: Option<i64>) -> Option<&Value> {
        find(&self.answers, v)
    }

    /// What we are to answer instead.
    #[must_use]
    pub fn own_answer(&self, v: Option<i64>) -> Option<&Value> {
        find(&self.own, v)
    }

    /// Takes Kafka's answers.
    pub fn set_answers(&mut self, answers: &[(Option<i64>, Value)]) {
        self.answers = joined(answers);
    }

    /// Takes our answers where they are not Kafka's.
    ///
    /// # Errors
    /// An answer cannot be written.
    pub fn set_own(&mut self, answers: &[(Option<i64>, Value)]) -> Result<()> {
        let mut own = Vec::new();
        for (v, value) in answers {
            let value = Value::parse(&value.flat())?;
            if self.answer(*v) != Some(&value) {
                own.push((*v, value));
            }
        }
        self.own = joined(&own);
        Ok(())
    }
}

fn find(answers: &[Answer], v: Option<i64>) -> Option<&Value> {
    answers
        .iter()
        .find(|answer| match (answer.range, v) {
            (None, None) => true,
            (Some((from, to)), Some(v)) => (from..=to).contains(&v),
            _ => false,
        })
        .map(|answer| &answer.value)
}

/// Equal neighbours together.
fn joined(answers: &[(Option<i64>, Value)]) -> Vec<Answer> {
    let mut out: Vec<Answer> = Vec::new();
    for (v, value) in answers {
        if let (Some(last), Some(v)) = (out.last_mut(), v)
            && let Some((_, to)) = &mut last.range
            && *to + 1 == *v
            && last.value == *value
        {
            *to = *v;
            continue;
        }
        out.push(Answer {
            range: v.map(|v| (v, v)),
            value: value.clone(),
        });
    }
    out
}

impl Session {
    /// Reads a session.
    ///
    /// # Errors
    /// It is not understood; the error names the line.
    pub fn parse(name: &str, text: &str) -> Result<Session> {
        let mut session = Session {
            name: name.to_owned(),
            fresh: false,
            settings: Vec::new(),
            items: Vec::new(),
        };
        let mut reader = Reader {
            cursor: Cursor::new(text),
            text,
        };
        session.items = reader
            .items(&mut session, false)
            .with_context(|| format!("{name}.session line {}", reader.line()))?;
        let mut names = BTreeSet::new();
        for (key, _) in &session.settings {
            if !names.insert(key) {
                bail!("{name}.session says {key} twice");
            }
        }
        Ok(session)
    }

    /// The session as text, with the answers it has.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        render(&self.items, 0, &mut out);
        out
    }

    /// All steps in order, those of loops once.
    pub fn steps_mut(&mut self) -> Vec<&mut Step> {
        fn walk<'a>(items: &'a mut [Item], out: &mut Vec<&'a mut Step>) {
            for item in items {
                match item {
                    Item::Text(_) => {}
                    Item::Step(step) => out.push(step),
                    Item::Loop { items, .. } => walk(items, out),
                }
            }
        }
        let mut out = Vec::new();
        walk(&mut self.items, &mut out);
        out
    }

    /// All steps in order, those of loops once.
    #[must_use]
    pub fn steps(&self) -> Vec<&Step> {
        fn walk<'a>(items: &'a [Item], out: &mut Vec<&'a Step>) {
            for item in items {
                match item {
                    Item::Text(_) => {}
                    Item::Step(step) => out.push(step),
                    Item::Loop { items, .. } => walk(items, out),
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.items, &mut out);
        out
    }
}

fn render(items: &[Item], depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    for item in items {
        match item {
            Item::Text(text) => {
                if !text.is_empty() {
                    out.push_str(&pad);
                    out.push_str(text);
                }
                out.push('\n');
            }
            Item::Step(step) => {
                out.push_str(&pad);
                out.push_str(&step.source);
                out.push('\n');
                let kafkas = step.answers.iter().map(|answer| ("< ", answer));
                let own = step.own.iter().map(|answer| ("= ", answer));
                for (mark, answer) in kafkas.chain(own) {
                    out.push_str(&pad);
                    out.push_str(mark);
                    match answer.range {
                        None => {}
                        Some((from, to)) if from == to => out.push_str(&format!("v{from} ")),
                        Some((from, to)) => out.push_str(&format!("v{from}-{to} ")),
                    }
                    let rendered = answer.value.render(pad.len() + 2);
                    out.push_str(&rendered);
                    out.push('\n');
                }
            }
            Item::Loop { source, items, .. } => {
                out.push_str(&pad);
                out.push_str(source);
                out.push('\n');
                render(items, depth + 1, out);
                out.push_str(&pad);
                out.push_str("end\n");
            }
        }
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self) -> usize {
        self.text[..self.cursor.position()].matches('\n').count() + 1
    }

    fn items(&mut self, session: &mut Session, inside: bool) -> Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            self.cursor.blanks();
            if self.cursor.rest().is_empty() {
                if inside {
                    bail!("a loop without an end");
                }
                return Ok(items);
            }
            let line = self.line_here();
            let start = self.cursor.position();
            let line = line.as_str();
            let word = line.split_whitespace().next().unwrap_or_default();
            match word {
                "" => {
                    self.end_of_line();
                    items.push(Item::Text(String::new()));
                }
                "end" if inside => {
                    self.end_of_line();
                    return Ok(items);
                }
                "for" if !inside => {
                    self.end_of_line();
                    let range = line
                        .strip_prefix("for v in ")
                        .and_then(|range| range.split_once(".."))
                        .context("a loop is: for v in FROM..TO")?;
                    let range = (range.0.trim().parse()?, range.1.trim().parse()?);
                    let items_inside = self.items(session, true)?;
                    items.push(Item::Loop {
                        source: line.to_owned(),
                        range,
                        items: items_inside,
                    });
                }
                "fresh" => {
                    self.end_of_line();
                    session.fresh = true;
                    items.push(Item::Text(line.to_owned()));
                }
                "server" => {
                    self.end_of_line();
                    session.fresh = true;
                    let (key, value) = line["server".len()..]
                        .split_once('=')
                        .context("a setting is: server KEY=VALUE")?;
                    session
                        .settings
                        .push((key.trim().to_owned(), value.trim().to_owned()));
                    items.push(Item::Text(line.to_owned()));
                }
                _ if word.starts_with('#') => {
                    self.end_of_line();
                    items.push(Item::Text(line.to_owned()));
                }
                "<" | "=" => {
                    let Some(Item::Step(step)) = items.last_mut() else {
                        bail!("an answer to nothing");
                    };
                    if !step.answers_at_all() {
                        bail!("an answer to what has none");
                    }
                    self.cursor.take(word);
                    let answers = match word {
                        "<" => &mut step.answers,
                        _ => &mut step.own,
                    };
                    answers.push(self.answer()?);
                }
                _ => {
                    let number = self.line();
                    let action = self.action(word, line)?;
                    let source = self.text[start..self.cursor.position()]
                        .trim_end()
                        .to_owned();
                    self.end_of_line();
                    let step = Step {
                        line: number,
                        source,
                        action,
                        answers: Vec::new(),
                        own: Vec::new(),
                    };
                    if inside && step.own_range().is_some() {
                        bail!("a range of versions within a loop");
                    }
                    items.push(Item::Step(Box::new(step)));
                }
            }
        }
    }

    fn line_here(&self) -> String {
        let line = self.cursor.rest().lines().next().unwrap_or_default();
        line.trim_end().to_owned()
    }

    fn end_of_line(&mut self) {
        self.cursor.take_while(|c| c != '\n');
        self.cursor.take("\n");
    }

    fn answer(&mut self) -> Result<Answer> {
        self.cursor.blanks();
        let mut range = None;
        let mut probe = self.cursor.clone();
        if probe.take("v") {
            let from = probe.take_while(|c| c.is_ascii_digit());
            if !from.is_empty() {
                let from: i64 = from.parse()?;
                let to = match probe.take("-") {
                    true => probe.take_while(|c| c.is_ascii_digit()).parse()?,
                    false => from,
                };
                range = Some((from, to));
                self.cursor = probe;
            }
        }
        let value = self.cursor.value()?;
        self.end_of_line();
        Ok(Answer { range, value })
    }

    fn action(&mut self, word: &str, line: &str) -> Result<Action> {
        let rest = line[word.len()..].trim();
        match word {
            "wait" | "close" => {
                self.skip_line();
                let connection = rest.to_owned();
                Ok(match word {
                    "wait" => Action::Wait { connection },
                    _ => Action::Close { connection },
                })
            }
            "let" => {
                self.skip_line();
                let (name, path) = rest.split_once('=').context("let NAME = PATH")?;
                Ok(Action::Let {
                    name: name.trim().to_owned(),
                    path: path.trim().to_owned(),
                })
            }
            "sleep" => {
                self.skip_line();
                let ms = rest.strip_suffix("ms").context("sleep 100ms")?.parse()?;
                Ok(Action::Sleep { ms })
            }
            "coordinator" => {
                self.cursor.take("coordinator");
                let Value::Str(group) = self.cursor.value()? else {
                    bail!("coordinator \"GROUP\"");
                };
                Ok(Action::Coordinator { group })
            }
            "create" => {
                self.cursor.take("create");
                let Value::Str(name) = self.cursor.value()? else {
                    bail!("create \"NAME\" PARTITIONS {{configs}}");
                };
                let Value::Int(partitions) = self.cursor.value()? else {
                    bail!("create \"NAME\" PARTITIONS {{configs}}");
                };
                self.cursor.blanks();
                let configs = match self.cursor.rest().starts_with('{') {
                    true => self.cursor.value()?,
                    false => Value::Map(Vec::new()),
                };
                Ok(Action::Create {
                    name,
                    partitions,
                    configs,
                })
            }
            _ => self.request(word),
        }
    }

    fn skip_line(&mut self) {
        self.cursor.take_while(|c| c != '\n');
    }

    fn request(&mut self, word: &str) -> Result<Action> {
        let connection = word
            .strip_suffix('>')
            .with_context(|| format!("{word:?} starts no statement"))?;
        self.cursor.take(word);
        self.cursor.blanks();
        let api = self.cursor.take_while(char::is_alphanumeric).to_owned();
        self.cursor.blanks();
        let payload = if api == "raw" || api == "bare" {
            let mut hex = String::new();
            loop {
                self.cursor.blanks();
                let mut probe = self.cursor.clone();
                let token = probe.take_while(|c| !c.is_whitespace());
                if token.is_empty() || token.contains(|c: char| !c.is_ascii_hexdigit()) {
                    break;
                }
                hex.push_str(token);
                self.cursor = probe;
            }
            let mut answer = None;
            if self.cursor.take("as ") {
                let api = self.cursor.take_while(char::is_alphanumeric).to_owned();
                self.cursor.blanks();
                self.cursor.take("v");
                let version = self.cursor.take_while(|c| c.is_ascii_digit()).parse()?;
                answer = Some((api, version));
            }
            Payload::Raw {
                bytes: super::value::unhex(&hex)?,
                bare: api == "bare",
                answer,
            }
        } else {
            let version = self.version()?;
            self.cursor.blanks();
            let body = match self.cursor.rest().starts_with('{') {
                true => self.cursor.value()?,
                false => Value::Map(Vec::new()),
            };
            Payload::Message {
                api,
                version,
                body,
                cut: 0,
                append: Vec::new(),
            }
        };
        let mut request = Request {
            connection: connection.to_owned(),
            payload,
            until: None,
            sorted: Vec::new(),
            no_answer: false,
            later: false,
        };
        loop {
            self.cursor.blanks();
            if self.cursor.rest().is_empty() || self.cursor.rest().starts_with('\n') {
                return Ok(Action::Request(request));
            }
            let modifier = self.cursor.take_while(|c| c.is_alphanumeric() || c == '_');
            self.cursor.blanks();
            match modifier {
                "until" => {
                    let path = self.path()?;
                    self.cursor.blanks();
                    if !self.cursor.take("=") {
                        bail!("until PATH = VALUE");
                    }
                    request.until = Some((path, self.cursor.value()?));
                }
                "sorted" => {
                    request.sorted.push(self.path()?);
                    while self.cursor.take(",") {
                        self.cursor.blanks();
                        request.sorted.push(self.path()?);
                    }
                }
                "no_answer" => request.no_answer = true,
                "later" => request.later = true,
                "cut" | "append" => {
                    let value = self.cursor.value()?;
                    let Payload::Message { cut, append, .. } = &mut request.payload else {
                        bail!("raw bytes are cut by hand");
                    };
                    match value {
                        Value::Int(bytes) => *cut = usize::try_from(bytes)?,
                        Value::Bytes(bytes) => *append = bytes,
                        other => bail!("{modifier} {}", other.flat()),
                    }
                }
                other => bail!("{other:?} is no modifier"),
            }
        }
    }

    fn path(&mut self) -> Result<String> {
        match self
            .cursor
            .take_while(|c| c.is_alphanumeric() || "[].".contains(c))
        {
            "" => bail!("a path is missing"),
            path => Ok(path.to_owned()),
        }
    }

    fn version(&mut self) -> Result<Version> {
        if self.cursor.take("vmin(") {
            let inside = self.cursor.take_while(|c| c != ')');
            self.cursor.take(")");
            let most = inside
                .strip_prefix("$v,")
                .context("vmin($v,MOST)")?
                .trim()
                .parse()?;
            return Ok(Version::Loop(most));
        }
        if !self.cursor.take("v") {
            bail!("a version is missing");
        }
        if self.cursor.take("$v") {
            return Ok(Version::Loop(i64::MAX));
        }
        let text = self.cursor.take_while(|c| c.is_ascii_digit() || c == '.');
        Ok(match text.split_once("..") {
            Some((from, to)) => Version::Range(from.parse()?, to.parse()?),
            None => Version::Fixed(text.parse()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# A comment.
server auto.create.topics.enable=false

create "t" 3 {retention.ms: "5"}
> Metadata v0..3 {Topics: [{Name: "t"}]} until Topics[0].ErrorCode = NONE sorted Brokers, Topics
< v0 {Brokers: [{NodeId: 1}]}
< v1-3 {Brokers: [], Topics: [{ErrorCode: NONE}]}
a> raw 0012 0063 as ApiVersions v0
< closed
for v in 2..4
  b> JoinGroup v$v {GroupId: "g-$v"} later
  wait b
  < v2-4 {MemberId: "x"}
  let member = MemberId
  > SyncGroup vmin($v,3) {
      GroupId: "g"} cut 3
  sleep 10ms
end
close b
"#;

    #[test]
    fn a_session_is_written_as_it_was_read() {
        let session = Session::parse("s", TEXT).unwrap();
        assert_eq!(session.render(), TEXT);
        assert!(session.fresh);
        assert_eq!(session.steps().len(), 9);
        assert_eq!(
            session.steps()[1].answer(Some(2)).unwrap().flat(),
            "{Brokers: [], Topics: [{ErrorCode: NONE}]}"
        );
        assert_eq!(session.steps()[1].answer(Some(4)), None);
    }

    #[test]
    fn equal_neighbours_are_told_once() {
        let mut session = Session::parse("s", "> Metadata v0..3\n").unwrap();
        let answers: Vec<_> = [5, 5, 6, 6]
            .into_iter()
            .enumerate()
            .map(|(v, n)| (Some(v as i64), Value::Int(n)))
            .collect();
        session.steps_mut()[0].set_answers(&answers);
        assert_eq!(session.render(), "> Metadata v0..3\n< v0-1 5\n< v2-3 6\n");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [
            ("# x\nnonsense\n", 2),
            ("> Metadata\n", 1),
            ("\n\n> Metadata v0 {Topics: }\n", 3),
            ("for v in 0..3\n> X v$v\n", 3),
            ("< closed\n", 1),
        ] {
            let error = format!("{:#}", Session::parse("s", text).unwrap_err());
            assert!(error.contains(&format!("line {line}")), "{text:?}: {error}");
        }
    }
}
