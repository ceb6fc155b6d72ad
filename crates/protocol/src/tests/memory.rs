//! What decoding takes from the allocator, measured.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;

use super::each;
use crate::codec::dice::Dice;
use crate::*;

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one only counts"
)]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `work` holds at one time, in bytes.
fn peak(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).expect("the peak is not below the start")
}

#[test]
fn the_counter_counts() {
    let array = |len: usize| peak(|| drop(std::hint::black_box(vec![1u8; len])));
    assert_eq!(array(1000), 1000);
    assert_eq!(array(70_000), 70_000);
}

/// A growing array is there twice for a moment, and the new half is empty at first: up to three
/// times what its elements take. A shared frame has a counter of its own.
fn allowed(frame: usize) -> usize {
    3 * DecodeLimits::for_frame(frame).decoded_bytes_max + 64
}

/// Frames that look like many small elements, which is where memory grows most.
#[test]
fn no_frame_takes_more_than_its_share() {
    let mut dice = Dice::new(7);
    let (mut decoded, mut worst) = (0, 0.0f64);
    each(|codec, version| {
        for round in 0..60u64 {
            let len = [40, 400, 4000, 20_000][round as usize % 4];
            let small = 1 + dice.next() % 3;
            let mut frame: Vec<u8> = match round % 3 {
                // Lengths that fit, in both encodings, at a place where a message may have one.
                0 => vec![0; len],
                1 => (0..len).map(|_| (dice.next() % small) as u8).collect(),
                _ => (codec.round_trip)(round, version).to_vec(),
            };
            for _ in 0..1 + dice.next() % 3 {
                if frame.len() > 8 {
                    let at = (dice.next() % 12 % (frame.len() as u64 - 4)) as usize;
                    let elements = (dice.next() % len as u64) as u32;
                    if version >= codec.flexible_from {
                        frame[at] = elements as u8 | 0x80;
                        frame[at + 1] = (elements >> 7) as u8 & 0x7f;
                    } else {
                        frame[at..at + 4].copy_from_slice(&elements.to_be_bytes());
                    }
                }
            }
            let frame = Bytes::from(frame);
            let mut r = Reader::new(frame.clone());
            let peak = peak(|| decoded += usize::from((codec.decode)(&mut r, version).is_ok()));
            let allowed = allowed(frame.len());
            let (name, len) = (codec.name, frame.len());
            assert!(
                peak <= allowed,
                "{name} v{version}: {peak} bytes held for a frame of {len}"
            );
            worst = worst.max(peak as f64 / (len as f64 + 1.0));
        }
    });
    // The frames are no good if they are all refused at once, or none makes anything grow.
    assert!(decoded > 2000, "{decoded} decoded");
    assert!(worst > 10.0, "{worst} bytes for a byte");
}

/// Decoded arrays take a bounded multiple of the bytes that were received.
#[test]
fn memory_is_bounded_by_the_frame() {
    // One million topics of one letter in Metadata v9: 3 bytes each on the wire, 48 in memory.
    let topics = |count: usize| {
        let mut w = Writer::new();
        w.uvarint(count as u32 + 1);
        let mut bytes = w.into_bytes().to_vec();
        bytes.extend((0..count).flat_map(|_| [2, b't', 0]));
        bytes.extend_from_slice(&[0, 0, 0, 0]);
        Bytes::from(bytes)
    };
    let decode = |count| MetadataRequest::decode(&mut Reader::new(topics(count)), 9);
    assert_eq!(decode(100_000).unwrap().topics.unwrap().len(), 100_000);
    let frame = topics(1_000_000).len();
    assert_eq!(
        decode(1_000_000),
        Err(DecodeError::TooLargeDecoded { frame })
    );

    let limits = DecodeLimits {
        decoded_bytes_max: usize::MAX,
        ..DecodeLimits::for_frame(frame)
    };
    let mut r = Reader::with_limits(topics(1_000_000), limits);
    assert!(MetadataRequest::decode(&mut r, 9).is_ok());
    for (len, memory) in [(0, 65_536), (100, 67_136), (100 << 20, 432_078_848)] {
        assert_eq!(DecodeLimits::for_frame(len).decoded_bytes_max, memory);
    }
}
