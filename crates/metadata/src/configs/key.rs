//! One key: its type, default, range, and what Ottla makes of it; and the parsing of its values.
//!
//! Parsing and the words of refusals are those of Kafka's `ConfigDef`.

use std::fmt;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is shown to nobody.
    Password,
}

impl Kind {
    /// Kafka's number in a DescribeConfigs answer.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        })
    }
}

/// Which values are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// All.
    Any,
    /// A number from here up.
    AtLeast(i64),
    /// A number from the first to the second, both included.
    Between(i64, i64),
    /// As `Between`, or the third.
    BetweenOr(i64, i64, i64),
    /// A fraction from the first to the second, both included; written as in refusals.
    Fraction(&'static str, &'static str),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, in capitals or not.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list of these.
    ListOf(&'static [&'static str]),
    /// Not empty.
    NonEmpty,
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// `earliest`, `latest` or `by_duration:` and an ISO 8601 duration.
    OffsetReset,
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Valid::Any => Ok(()),
            Valid::AtLeast(min) => write!(f, "[{min},...]"),
            Valid::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Valid::BetweenOr(min, max, or) => write!(f, "[{min},...,{max}] or {or}"),
            Valid::Fraction(min, max) => write!(f, "[{min},...,{max}]"),
            Valid::OneOf(these) | Valid::ListOf(these) => write!(f, "[{}]", these.join(", ")),
            Valid::OneOfIgnoringCase(these) => {
                write!(f, "(case insensitive) [{}]", these.join(", "))
            }
            Valid::NonEmpty => f.write_str("non-empty string"),
            Valid::ThrottledReplicas => {
                f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],...")
            }
            Valid::OffsetReset => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}

/// How much a key matters to most people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    /// Look at it.
    High,
    /// Know that it is there.
    Medium,
    /// Leave it alone.
    Low,
}

/// When a key can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Update {
    /// Only when the broker starts.
    ReadOnly,
    /// At runtime, for one broker.
    PerBroker,
    /// At runtime, for one broker or for all.
    ClusterWide,
}

/// What Ottla makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It does what it says.
    Implemented,
    /// It does a part of what Kafka's does; and which part is missing.
    Partly(&'static str),
    /// It may be set, and nothing comes of it; and why.
    NoEffect(&'static str),
    /// Any value but the default is an error; and why.
    Refused(&'static str),
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The value if none is set; `None` if it then has none.
    pub default: Option<&'static str>,
    /// Whether a broker cannot start without it.
    pub is_required: bool,
    /// Which values are allowed.
    pub valid: Valid,
    /// How much it matters.
    pub importance: Importance,
    /// When it can be set.
    pub update: Update,
    /// Whether DescribeConfigs lists it although it is not set.
    pub is_listed: bool,
    /// What it is for.
    pub doc: &'static str,
    /// What Ottla makes of it.
    pub status: Status,
}

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a [`Kind::Boolean`].
    Boolean(bool),
    /// Of a [`Kind::Int`], [`Kind::Short`] or [`Kind::Long`].
    Integer(i64),
    /// Of a [`Kind::Double`].
    Double(f64),
    /// Of a [`Kind::List`].
    List(Vec<String>),
    /// Of a [`Kind::String`], [`Kind::Class`] or [`Kind::Password`].
    Text(String),
}

impl ConfigKey {
    /// Whether its value is shown to nobody.
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// Parses a value and checks its range.
    ///
    /// # Errors
    /// What is wrong with it, in Kafka's words.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let value = self.parse_type(text)?;
        self.check_range(&value)?;
        Ok(value)
    }

    fn parse_type(&self, text: &str) -> Result<Value, String> {
        let wrong = |why: &str| {
            let shown = if self.is_sensitive() {
                "[hidden]"
            } else {
                text
            };
            Err(format!(
                "Invalid value {shown} for configuration {}: {why}",
                self.name
            ))
        };
        let trimmed = text.trim();
        let integer = |min: i64, max: i64| match trimmed.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
            _ => wrong(&format!("Not a number of type {}", self.kind)),
        };
        match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => wrong("Expected value to be either true or false"),
            Kind::Short => integer(i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Int => integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Long => integer(i64::MIN, i64::MAX),
            Kind::Double => match trimmed.parse::<f64>() {
                Ok(number) => Ok(Value::Double(number)),
                Err(_) => wrong("Not a number of type DOUBLE"),
            },
            Kind::List if trimmed.is_empty() => Ok(Value::List(Vec::new())),
            Kind::List => Ok(Value::List(
                trimmed
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .collect(),
            )),
            Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(trimmed.to_owned())),
        }
    }

    fn check_range(&self, value: &Value) -> Result<(), String> {
        let name = self.name;
        let wrong = |shown: &dyn fmt::Display, why: &str| {
            Err(format!(
                "Invalid value {shown} for configuration {name}: {why}"
            ))
        };
        match (self.valid, value) {
            (Valid::AtLeast(min), Value::Integer(n)) if *n < min => {
                wrong(n, &format!("Value must be at least {min}"))
            }
            (Valid::AtLeast(min), Value::Double(n)) if n.is_nan() || *n < min as f64 => {
                wrong(&Shown(*n), &format!("Value must be at least {min}"))
            }
            (Valid::Between(min, _), Value::Integer(n)) if *n < min => {
                wrong(n, &format!("Value must be at least {min}"))
            }
            (Valid::Between(_, max), Value::Integer(n)) if *n > max => {
                wrong(n, &format!("Value must be no more than {max}"))
            }
            (Valid::BetweenOr(min, max, or), Value::Integer(n))
                if !(min..=max).contains(n) && *n != or =>
            {
                let why = format!("Value must be between {min} and {max} or equal to {or}");
                wrong(n, &why)
            }
            (Valid::Fraction(min, max), Value::Double(n)) => {
                let bound = |text: &str| text.parse::<f64>().expect("the table has numbers");
                if n.is_nan() || *n < bound(min) {
                    wrong(&Shown(*n), &format!("Value must be at least {min}"))
                } else if *n > bound(max) {
                    wrong(&Shown(*n), &format!("Value must be no more than {max}"))
                } else {
                    Ok(())
                }
            }
            (Valid::OneOf(these), Value::Text(text)) if !these.contains(&text.as_str()) => wrong(
                text,
                &format!("String must be one of: {}", these.join(", ")),
            ),
            (Valid::OneOfIgnoringCase(these), Value::Text(text))
                if !these.iter().any(|this| this.eq_ignore_ascii_case(text)) =>
            {
                let why = format!(
                    "String must be one of (case insensitive): {}",
                    these.join(", ")
                );
                wrong(text, &why)
            }
            (Valid::ListOf(_), Value::List(list)) if list.iter().any(String::is_empty) => {
                Err(format!("Configuration '{name}' values must not be empty."))
            }
            (Valid::ListOf(these), Value::List(list)) => {
                match list.iter().find(|part| !these.contains(&part.as_str())) {
                    Some(part) => wrong(
                        part,
                        &format!("String must be one of: {}", these.join(", ")),
                    ),
                    None => Ok(()),
                }
            }
            (Valid::NonEmpty, Value::Text(text)) if text.is_empty() => {
                wrong(text, "String must be non-empty")
            }
            (Valid::ThrottledReplicas, Value::List(list)) if !are_throttled_replicas(list) => {
                wrong(
                    &format!("[{}]", list.join(", ")),
                    &format!(
                        "{name} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    ),
                )
            }
            (Valid::OffsetReset, Value::Text(text)) if !is_offset_reset(text) => wrong(
                text,
                &format!(
                    "Invalid value `{text}` for configuration {name}. The value must be either \
                     'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// A floating-point number as Java shows it: `2.0`, not `2`.
struct Shown(f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn are_throttled_replicas(list: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |part: &String| {
        part.split_once(':')
            .is_some_and(|(left, right)| is_number(left) && is_number(right))
    };
    list.iter().all(is_pair) || matches!(list, [star] if star == "*")
}

fn is_offset_reset(text: &str) -> bool {
    matches!(text, "earliest" | "latest")
        || text.strip_prefix("by_duration:").is_some_and(is_duration)
}

/// Whether this is an ISO 8601 duration of days, hours, minutes and seconds: `P1DT2H3M4.5S`.
fn is_duration(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix('P') else {
        return false;
    };
    let mut units = "DTHMS";
    let mut numbers = 0;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if !units.contains('T') || time.is_empty() {
                return false;
            }
            units = "HMS";
            rest = time;
            continue;
        }
        let digits = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (number, unit) = rest.split_at(digits);
        let Some(unit) = unit.chars().next() else {
            return false;
        };
        let Some(place) = units.find(unit) else {
            return false;
        };
        let is_whole = number.bytes().all(|b| b.is_ascii_digit());
        if number.is_empty()
            || !(is_whole || unit == 'S' && number.parse::<f64>().is_ok())
            || (units.contains('T') && unit != 'D')
        {
            return false;
        }
        numbers += 1;
        units = &units[place + 1..];
        rest = &rest[digits + 1..];
    }
    numbers > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for good in ["P1D", "PT1H", "PT0.5S", "P1DT2H3M4S", "PT36H"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in [
            "", "P", "PT", "1D", "P1H", "P1DT", "PT1D", "PTS", "PT1.5H", "PT1M1H", "P-1D",
        ] {
            assert!(!is_duration(bad), "{bad}");
        }
    }

    #[test]
    fn throttled_replicas() {
        let list = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert!(are_throttled_replicas(&list(&[])));
        assert!(are_throttled_replicas(&list(&["*"])));
        assert!(are_throttled_replicas(&list(&["0:1", "12:34"])));
        assert!(!are_throttled_replicas(&list(&["*", "0:1"])));
        assert!(!are_throttled_replicas(&list(&["0:"])));
        assert!(!are_throttled_replicas(&list(&["x"])));
    }
}
