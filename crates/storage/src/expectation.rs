//! What recovery knows about a segment before it looks: from the claims, from `log-state`, from its neighbours.

use records::BatchHeader;
use types::{LeaderEpoch, NextOffset, Offset};

use crate::claims::{Claim, Claims};
use crate::state::{FaultyRange, Mark};
use crate::torn_tail::Claimed;
use crate::transactions::OpenTransaction;

/// What is known.
pub(crate) struct Expectation<'a> {
    pub(crate) base: i64,
    pub(crate) seed: u32,
    pub(crate) interval: u32,
    pub(crate) claims: &'a Claims,
    /// Up to here all was durable and checked when the state was written.
    pub(crate) recovery: Mark,
    /// The latest epoch before the segment.
    pub(crate) epoch: LeaderEpoch,
    /// Whether offsets must follow each other without a gap.
    pub(crate) dense: bool,
    /// Where the next segment starts, if there is one.
    pub(crate) next_base: Option<i64>,
    /// The transactions that are open where it starts.
    pub(crate) open: &'a [OpenTransaction],
    /// What was found before.
    pub(crate) faulty: &'a [FaultyRange],
}

impl Expectation<'_> {
    pub(crate) fn claim(&self) -> Option<&Claim> {
        match self.claims {
            Claims::Intact(claim) => claim.as_ref(),
            Claims::Damaged => None,
        }
    }

    /// The known damage that the record at `offset` is part of.
    pub(crate) fn known(&self, offset: NextOffset) -> Option<&FaultyRange> {
        let holds = |range: &&FaultyRange| range.from.end_before() <= offset && offset < range.to;
        self.faulty.iter().find(holds)
    }

    /// What the claims say about the record at `offset`.
    pub(crate) fn claimed(&self, offset: NextOffset) -> Claimed {
        let confirmed = self
            .claim()
            .map_or(NextOffset(0), |claim| claim.confirmed.offset);
        if offset < self.recovery.offset.max(confirmed) {
            return match self.claims {
                Claims::Damaged => Claimed::ConfirmedLast,
                Claims::Intact(_) => Claimed::Confirmed,
            };
        }
        match self.claims {
            Claims::Damaged => Claimed::Unknown,
            Claims::Intact(Some(claim)) if offset < claim.intended.offset => Claimed::Intended,
            Claims::Intact(_) => Claimed::Absent,
        }
    }

    /// Where the log ends at least, when damage begins at `from` and nothing whole follows.
    pub(crate) fn claimed_end(&self, from: NextOffset, header: Option<BatchHeader>) -> NextOffset {
        let claimed = self
            .claim()
            .map_or(NextOffset(0), |claim| claim.intended.offset);
        let claimed = claimed.max(self.recovery.offset);
        if from < claimed {
            return claimed;
        }
        // The claims are damaged too. A header that looks right is the best guess.
        match header {
            _ if self.next_base.is_some() => NextOffset(self.next_base.unwrap_or_default()),
            Some(header) if header.base_offset == from.position() => header.next_offset(),
            _ => from.position().next(),
        }
    }

    /// Whether a batch may lie there: it is on the same side of every mark by its offsets as by its place, at the
    /// mark by both or by neither, and ends before the next segment. Behind damage nothing else binds a batch to
    /// this log, since the chain is broken; and a batch of another log would take the offsets of those behind it.
    pub(crate) fn fits(&self, position: u64, header: &BatchHeader) -> bool {
        let within = self
            .next_base
            .is_none_or(|next| header.next_offset().0 <= next);
        let claim = self.claim();
        let marks = [
            Some(self.recovery),
            claim.map(|claim| claim.confirmed),
            claim.map(|claim| claim.intended),
        ];
        let end = position + header.total_size() as u64;
        let on_one_side = (marks.into_iter().flatten())
            .filter(|mark| mark.segment == self.base)
            .all(|mark| {
                let marked = u64::from(mark.position);
                let (base, next) = (header.base_offset.end_before(), header.next_offset());
                // Compaction, which our own logs do not know, leaves gaps at a mark.
                let at_mark =
                    |place, offset| !self.dense || (place == marked) == (offset == mark.offset);
                if end <= marked {
                    next <= mark.offset && at_mark(end, next)
                } else {
                    position >= marked && base >= mark.offset && at_mark(position, base)
                }
            });
        within && on_one_side
    }

    /// Marks at which the chain is known, and the first offset that a wrong one accuses.
    pub(crate) fn chain_marks(&self) -> Vec<(Mark, Offset)> {
        let mut marks = vec![(self.recovery, Offset(self.base))];
        if let Some(claim) = self.claim() {
            marks.push((claim.confirmed, self.recovery.offset.position()));
            marks.push((claim.intended, claim.confirmed.offset.position()));
        }
        marks.retain(|(mark, _)| mark.segment == self.base && mark.position > 0);
        marks
    }
}

#[cfg(test)]
mod tests {
    use records::layout::{HEADER_SIZE, MAGIC_AT};

    use super::*;

    #[test]
    fn batches_of_other_logs_do_not_fit_between_the_marks() {
        let mark = |offset, position| Mark {
            offset: NextOffset(offset),
            segment: 0,
            position,
            chain: 0,
        };
        let claims = Claims::Intact(Some(Claim {
            number: 1,
            confirmed: mark(10, 1_000),
            intended: mark(20, 2_000),
            digests_from: 0,
            digests: Vec::new(),
            ends: Vec::new(),
        }));
        let expected = Expectation {
            base: 0,
            seed: 0,
            interval: 4096,
            claims: &claims,
            recovery: mark(5, 500),
            epoch: LeaderEpoch(0),
            dense: true,
            next_base: None,
            open: &[],
            faulty: &[],
        };
        // A batch of two records, from its place on for a hundred bytes.
        let fits = |offset: i64, position: u64| {
            let mut bytes = [0u8; HEADER_SIZE];
            bytes[..8].copy_from_slice(&offset.to_be_bytes());
            bytes[8..12].copy_from_slice(&(100i32 - 12).to_be_bytes());
            bytes[MAGIC_AT] = 2;
            bytes[23..27].copy_from_slice(&1i32.to_be_bytes());
            let header = BatchHeader::parse(&bytes).expect("a header");
            assert_eq!(
                (header.total_size(), header.next_offset().0),
                (100, offset + 2)
            );
            expected.fits(position, &header)
        };
        assert!(fits(3, 400), "it ends at a mark");
        assert!(fits(5, 500), "it begins at a mark");
        assert!(fits(7, 700));
        assert!(fits(30, 3_000), "beyond all marks nothing is known");
        assert!(!fits(54, 700), "too late for its place");
        assert!(
            !fits(12, 700),
            "beyond what is confirmed, and before the mark of it"
        );
        assert!(!fits(3, 700), "too early for its place");
        assert!(!fits(9, 950), "across a mark");
        assert!(
            !fits(3, 380),
            "its offsets end at a mark, and its bytes do not"
        );
        assert!(
            !fits(2, 400),
            "its bytes end at a mark, and its offsets do not"
        );
        assert!(!fits(5, 510), "its offsets begin at a mark alone");
        assert!(!fits(6, 500), "its bytes do");
        assert!(!fits(15, 3_000), "what was intended ends before");
    }
}
