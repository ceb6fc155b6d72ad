//! A file: what calls see, what the medium holds, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::disk::image::{Image, PAGE};

/// A change of a file that is not durable yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: u64, data: Bytes },
    SetLen(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) sequence: u64,
    pub(crate) change: Change,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FileNode {
    /// What the medium holds.
    pub(crate) durable: Image,
    /// What calls see.
    pub(crate) visible: Image,
    /// What leads from `durable` to `visible`, in order.
    pub(crate) pending: Vec<Pending>,
    pub(crate) sequence: u64,
    /// Pages, as ranges from start to end, that have been reserved.
    reserved: BTreeMap<u64, u64>,
    /// Pages in which the cache differs from the medium although they are marked clean: what a failed
    /// sync left behind.
    pub(crate) phantom: BTreeSet<u64>,
}

/// The pages that a range of bytes touches.
pub(crate) fn pages_of(offset: u64, len: u64) -> std::ops::Range<u64> {
    if len == 0 {
        0..0
    } else {
        offset / PAGE..(offset + len).div_ceil(PAGE)
    }
}

impl FileNode {
    fn record(&mut self, change: Change) -> u64 {
        self.sequence += 1;
        self.pending.push(Pending {
            sequence: self.sequence,
            change,
        });
        self.sequence
    }

    pub(crate) fn write(&mut self, offset: u64, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let sequence = self.record(Change::Write {
            offset,
            data: data.clone(),
        });
        self.visible.write(offset, &data, sequence);
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        let sequence = self.record(Change::SetLen(len));
        self.visible.set_len(len, sequence);
        let first_gone = len.div_ceil(PAGE);
        self.phantom.split_off(&first_gone);
        self.reserved.split_off(&first_gone);
        if let Some(mut last) = self.reserved.last_entry() {
            let end = (*last.get()).min(first_gone);
            *last.get_mut() = end;
        }
    }

    /// Makes durable every change up to `upto`.
    pub(crate) fn sync(&mut self, upto: u64) {
        if self.pending.last().is_none_or(|last| last.sequence <= upto) && self.phantom.is_empty() {
            // Everything: the common case needs no look at the order.
            for pending in std::mem::take(&mut self.pending) {
                match pending.change {
                    Change::SetLen(len) => {
                        self.durable.set_len(len, pending.sequence);
                    }
                    Change::Write { offset, data } => {
                        for index in pages_of(offset, data.len() as u64) {
                            self.durable
                                .put_page(index, self.visible.page(index).cloned());
                        }
                        self.durable.grow(offset + data.len() as u64);
                    }
                }
            }
            self.durable.set_len(self.visible.len(), upto);
            return;
        }
        let rest = self
            .pending
            .partition_point(|pending| pending.sequence <= upto);
        let done: Vec<Pending> = self.pending.drain(..rest).collect();
        for pending in done {
            self.apply_to_medium(&pending, upto);
        }
    }

    fn apply_to_medium(&mut self, pending: &Pending, upto: u64) {
        match &pending.change {
            Change::SetLen(len) => {
                self.durable.set_len(*len, pending.sequence);
            }
            Change::Write { offset, data } => {
                let end = offset + data.len() as u64;
                for index in pages_of(*offset, data.len() as u64) {
                    match self.visible.page(index) {
                        // The page has no later change: the cache writes it whole.
                        Some(page) if page.sequence <= upto => {
                            self.durable.put_page(index, Some(page.clone()));
                            self.phantom.remove(&index);
                        }
                        _ => {
                            let from = (*offset).max(index * PAGE);
                            let until = end.min((index + 1) * PAGE);
                            let part = &data[(from - offset) as usize..(until - offset) as usize];
                            self.durable.write(from, part, pending.sequence);
                        }
                    }
                }
                self.durable.grow(end);
            }
        }
    }

    /// Bytes that a sync would have to write.
    pub(crate) fn dirty_bytes(&self) -> u64 {
        self.pending
            .iter()
            .map(|pending| match &pending.change {
                Change::Write { data, .. } => data.len() as u64,
                Change::SetLen(_) => 0,
            })
            .sum()
    }

    fn is_reserved(&self, page: u64) -> bool {
        self.reserved
            .range(..=page)
            .next_back()
            .is_some_and(|(_, end)| *end > page)
    }

    /// Pages of a range for which there is no room yet.
    pub(crate) fn pages_missing(&self, offset: u64, len: u64) -> u64 {
        let range = pages_of(offset, len);
        let written = self
            .visible
            .pages_within(range.clone())
            .filter(|page| !self.is_reserved(*page))
            .count() as u64;
        let reserved: u64 = self
            .reserved
            .range(..range.end)
            .rev()
            .take_while(|(_, end)| **end > range.start)
            .map(|(start, end)| (*end).min(range.end) - (*start).max(range.start))
            .sum();
        range.end - range.start - written - reserved
    }

    pub(crate) fn reserve(&mut self, offset: u64, len: u64) {
        let range = pages_of(offset, len);
        let (mut start, mut end) = (range.start, range.end);
        if start == end {
            return;
        }
        while let Some((&known_start, &known_end)) = self.reserved.range(..=end).next_back() {
            if known_end < start {
                break;
            }
            self.reserved.remove(&known_start);
            (start, end) = (start.min(known_start), end.max(known_end));
        }
        self.reserved.insert(start, end);
    }

    /// Pages that the file takes up.
    pub(crate) fn pages_used(&self) -> u64 {
        let reserved: u64 = self.reserved.iter().map(|(start, end)| end - start).sum();
        let others = self
            .visible
            .page_indexes()
            .filter(|page| !self.is_reserved(*page))
            .count();
        reserved + others as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, Mixer};

    #[test]
    fn a_sync_makes_durable_what_came_before_and_nothing_after() {
        for seed in 0..200u64 {
            let mut rng = Mixer::new(seed).with("file").stream();
            let mut file = FileNode::default();
            let (mut upto, mut expected) = (0, Image::default());
            for step in 0..30u8 {
                if rng.below(5) == 0 {
                    file.set_len(rng.below(12_000));
                } else {
                    let data = vec![step + 1; rng.index(6000)];
                    file.write(rng.below(10_000), data.into());
                }
                if step == 14 {
                    (upto, expected) = (file.sequence, file.visible.clone());
                }
            }
            let visible = file.visible.read(0, 1 << 20);
            file.sync(upto);
            assert_eq!(
                file.durable.read(0, 1 << 20),
                expected.read(0, 1 << 20),
                "seed {seed}"
            );
            assert_eq!(file.durable.len(), expected.len());
            assert_eq!(file.visible.read(0, 1 << 20), visible);
            file.sync(file.sequence);
            assert_eq!(file.durable.read(0, 1 << 20), visible, "seed {seed}");
            assert!(file.pending.is_empty());
        }
    }

    #[test]
    fn room_is_counted_once() {
        let mut file = FileNode::default();
        file.reserve(0, 3 * PAGE);
        file.reserve(5 * PAGE, 1);
        assert_eq!(file.pages_used(), 4);
        file.reserve(2 * PAGE, 3 * PAGE);
        assert_eq!(file.pages_used(), 6);
        file.write(5 * PAGE, vec![1; 2 * PAGE as usize].into());
        assert_eq!(file.pages_used(), 7);
        assert_eq!(file.pages_missing(0, 8 * PAGE), 1);
        file.set_len(PAGE + 1);
        assert_eq!(file.pages_used(), 2);
    }
}
