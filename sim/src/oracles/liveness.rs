//! After the storm: everybody who was waiting for something gets it within a bound.

use super::Judge;

/// Judges who has finished when the time is over.
pub fn judge_finish(
    unfinished: &[String],
    bound_ms: u64,
    last_start_error: Option<&str>,
    judge: &mut Judge,
) {
    judge.check("V1", unfinished.is_empty(), || {
        let error = last_start_error.map_or(String::new(), |error| {
            format!("; the broker's last start failed: {error}")
        });
        format!(
            "{} ms after the last fault {} has not finished{error}",
            bound_ms,
            unfinished.join(", ")
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hangs_is_named() {
        let mut judge = Judge::default();
        judge_finish(&[], 100, None, &mut judge);
        assert_eq!(judge.violation, None);
        judge_finish(&["producer 3".to_owned()], 100, Some("no"), &mut judge);
        let violation = judge.violation.expect("broken");
        assert_eq!(violation.invariant, "V1");
        assert!(violation.detail.contains("producer 3"));
    }
}
