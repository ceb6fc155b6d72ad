//! Durations and points in time, as people write them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A duration in milliseconds: `10s`, `1h30m`, `500ms`, `2d`, `1w`. A number alone is seconds.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is no duration: write 500ms, 10s, 5m, 1h30m, 2d or 1w");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: i64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "" if digits == text.trim().len() => 1_000,
            _ => return Err(bad()),
        };
        rest = &rest[letters..];
        let ms = number.checked_mul(unit).ok_or_else(bad)?;
        total = total.checked_add(ms).ok_or_else(bad)?;
    }
    Ok(total)
}

/// A point in time in milliseconds since 1970. Times without a zone are UTC.
pub(crate) fn timestamp_ms(text: &str, now: Timestamp) -> Result<i64, String> {
    let text = text.trim();
    let bad = || {
        format!(
            "`{text}` is no point in time: write 2026-01-31, 2026-01-31T12:00:00Z, -48h, now, or the seconds (10 \
             digits) or milliseconds (13 digits) since 1970"
        )
    };
    if text == "now" {
        return Ok(now.as_millisecond());
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = SignedDuration::from_millis(duration_ms(ago).map_err(|_| bad())?);
        return Ok(now.checked_sub(ago).map_err(|_| bad())?.as_millisecond());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| bad())?;
        return match text.len() {
            9 | 10 => Ok(number * 1000),
            12 | 13 => Ok(number),
            _ => Err(bad()),
        };
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let civil = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => date.to_datetime(jiff::civil::Time::midnight()),
        _ => text.parse::<DateTime>().map_err(|_| bad())?,
    };
    let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_| bad())?;
    Ok(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("10s", 10_000),
            ("10", 10_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for bad in [
            "",
            "s",
            "10x",
            "1h30",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "9999999999999999w",
        ] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn points_in_time() {
        let now: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
        let at = |text: &str| timestamp_ms(text, now);
        assert_eq!(at("1622505600"), Ok(1_622_505_600_000));
        assert_eq!(at("1622505600123"), Ok(1_622_505_600_123));
        assert_eq!(at("2021-06-01"), Ok(1_622_505_600_000));
        assert_eq!(at("2021-06-01T00:00:00"), Ok(1_622_505_600_000));
        assert_eq!(at("2021-06-01T02:00:00+02:00"), Ok(1_622_505_600_000));
        assert_eq!(at("now"), Ok(now.as_millisecond()));
        assert_eq!(at("-1h"), Ok(now.as_millisecond() - 3_600_000));
        for bad in ["", "12", "yesterday", "2021-13-01", "-", "-x"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
