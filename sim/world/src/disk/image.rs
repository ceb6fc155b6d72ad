//! The bytes of a file, kept sparsely in shared pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Bytes per page.
pub(crate) const PAGE: u64 = 4096;
/// Bytes per sector: what the medium writes in one piece.
pub(crate) const SECTOR: u64 = 512;

pub(crate) type PageBytes = [u8; PAGE as usize];

#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) bytes: Arc<PageBytes>,
    /// The sequence number of the last change to it.
    pub(crate) sequence: u64,
}

/// A file's content at one level: what is on the medium, or what calls see. Pages that are absent are
/// zeros and cost nothing; a clone shares all pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pages: BTreeMap<u64, Page>,
    len: u64,
}

fn zero_page() -> Arc<PageBytes> {
    Arc::new([0; PAGE as usize])
}

impl Image {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn page(&self, index: u64) -> Option<&Page> {
        self.pages.get(&index)
    }

    pub(crate) fn pages_within(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        self.pages.range(range).map(|(index, _)| *index)
    }

    pub(crate) fn page_indexes(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().copied()
    }

    /// Takes over a page; `None` makes it zeros.
    pub(crate) fn put_page(&mut self, index: u64, page: Option<Page>) {
        match page {
            Some(page) => self.pages.insert(index, page),
            None => self.pages.remove(&index),
        };
    }

    /// Writes `data`, and lengthens the file if it ends beyond.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8], sequence: u64) {
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE as usize - within));
            let index = at / PAGE;
            if let Ok(whole) = <&PageBytes>::try_from(now) {
                let bytes = Arc::new(*whole);
                self.pages.insert(index, Page { bytes, sequence });
            } else {
                let page = self.pages.entry(index).or_insert_with(|| Page {
                    bytes: zero_page(),
                    sequence,
                });
                page.sequence = sequence;
                Arc::make_mut(&mut page.bytes)[within..within + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            rest = later;
        }
        if !data.is_empty() {
            self.len = self.len.max(at);
        }
    }

    /// The bytes from `offset` on, at most `len` and not beyond the end of the file.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Bytes {
        let end = self.len.min(offset.saturating_add(len as u64));
        if offset >= end {
            return Bytes::new();
        }
        let mut out = BytesMut::with_capacity((end - offset) as usize);
        let mut at = offset;
        while at < end {
            let within = (at % PAGE) as usize;
            let until = (PAGE as usize).min(within + (end - at) as usize);
            match self.pages.get(&(at / PAGE)) {
                Some(page) => out.extend_from_slice(&page.bytes[within..until]),
                None => out.resize(out.len() + until - within, 0),
            }
            at += (until - within) as u64;
        }
        out.freeze()
    }

    /// Cuts the file or lengthens it with zeros. Gives back the indexes of pages that went.
    pub(crate) fn set_len(&mut self, len: u64, sequence: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        if len < self.len {
            gone.extend(self.pages.split_off(&len.div_ceil(PAGE)).into_keys());
            let within = (len % PAGE) as usize;
            if within != 0
                && let Some(page) = self.pages.get_mut(&(len / PAGE))
            {
                page.sequence = sequence;
                Arc::make_mut(&mut page.bytes)[within..].fill(0);
            }
        }
        self.len = len;
        gone
    }

    /// Lengthens the file to `len` with zeros, if it is shorter.
    pub(crate) fn grow(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Whether a sector may ever have been written.
    pub(crate) fn has_sector(&self, sector: u64) -> bool {
        let at = sector * SECTOR;
        at < self.len && self.pages.contains_key(&(at / PAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Draw, Mixer};

    #[test]
    fn behaves_as_a_vector_of_bytes() {
        for seed in 0..50u64 {
            let mut rng = Mixer::new(seed).with("image").stream();
            let (mut image, mut model) = (Image::default(), Vec::new());
            for step in 0..60u8 {
                match rng.below(4) {
                    0 => {
                        let len = rng.below(20_000);
                        image.set_len(len, 0);
                        model.resize(len as usize, 0);
                    }
                    _ => {
                        let (offset, len) = (rng.below(16_000), rng.below(9_000) as usize);
                        image.write(offset, &vec![step + 1; len], 0);
                        let end = offset as usize + len;
                        if len > 0 && model.len() < end {
                            model.resize(end, 0);
                        }
                        if len > 0 {
                            model[offset as usize..end].fill(step + 1);
                        }
                    }
                }
                if model.is_empty() {
                    continue;
                }
                let (from, len) = (rng.index(model.len()), rng.index(30_000));
                let until = model.len().min(from + len);
                assert_eq!(image.read(from as u64, len), &model[from..until]);
                assert_eq!(image.len(), model.len() as u64);
            }
            assert!(image.read(image.len(), 10).is_empty());
        }
    }
}
