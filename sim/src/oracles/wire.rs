//! The wire: one answer for each request, in the order of the requests, and none that makes no sense.

use std::collections::VecDeque;

use super::Judge;

/// One connection as its client sees it.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    expected: VecDeque<i32>,
}

impl Wire {
    /// A request that is answered was sent.
    pub fn sent(&mut self, correlation_id: i32) {
        self.expected.push_back(correlation_id);
    }

    /// An answer came.
    pub fn answered(&mut self, correlation_id: i32, judge: &mut Judge) {
        let expected = self.expected.pop_front();
        judge.check("W2", expected.is_some(), || {
            format!("an answer with correlation id {correlation_id}, but nothing was asked")
        });
        if let Some(expected) = expected {
            judge.check("W1", expected == correlation_id, || {
                format!("the answer to {correlation_id} came where that to {expected} was due")
            });
        }
    }

    /// Nothing came for so long that nothing will. Only a connection that was closed owes nothing.
    pub fn silent(&self, closed: bool, judge: &mut Judge) {
        judge.check("W2", closed || self.expected.is_empty(), || {
            format!("{:?} were asked and never answered", self.expected)
        });
    }
}

/// An answer was read by a client that says of it what is wrong, if something is.
pub fn understood(result: Result<(), &str>, judge: &mut Judge) {
    judge.check("W2", result.is_ok(), || {
        format!(
            "an answer makes no sense: {}",
            result.expect_err("it does not")
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_of_answers() {
        let verdict = |answers: &[i32]| {
            let (mut wire, mut judge) = (Wire::default(), Judge::default());
            wire.sent(1);
            wire.sent(2);
            for answer in answers {
                wire.answered(*answer, &mut judge);
            }
            judge.violation.map(|violation| violation.invariant)
        };
        assert_eq!(verdict(&[1, 2]), None);
        assert_eq!(verdict(&[2]), Some("W1"));
        assert_eq!(verdict(&[1, 2, 3]), Some("W2"));
        let silent = |answers: &[i32], closed| {
            let (mut wire, mut judge) = (Wire::default(), Judge::default());
            wire.sent(1);
            wire.sent(2);
            for answer in answers {
                wire.answered(*answer, &mut judge);
            }
            wire.silent(closed, &mut judge);
            judge.violation.map(|violation| violation.invariant)
        };
        assert_eq!(silent(&[1, 2], false), None);
        assert_eq!(silent(&[1], true), None);
        assert_eq!(silent(&[1], false), Some("W2"));
        let mut judge = Judge::default();
        understood(Err("half a frame"), &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("W2"));
    }
}
