//! Historic bugs planted on purpose, so that the judges can be judged.
//!
//! `if mutant!("STO-01") { wrong } else { right }` compiles to the right branch alone in a normal
//! build. With the cargo feature `mutants` one build holds every planted bug, and [`activate`] chooses
//! which one is alive. A mutant is named after its row in the catalogue of historic bugs; a second
//! site of the same row gets a suffix (`STO-01/b`).

/// The 64-bit FNV-1a hash of a mutant's name.
#[must_use]
pub const fn hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

#[cfg(feature = "mutants")]
mod alive {
    use std::sync::atomic::{AtomicU64, Ordering};

    static ACTIVE: AtomicU64 = AtomicU64::new(0);

    /// Brings the mutant called `name` to life, and lays every other to rest; `None` lays all to rest.
    pub fn activate(name: Option<&str>) {
        ACTIVE.store(name.map_or(0, super::hash), Ordering::Relaxed);
    }

    /// Whether the mutant with this hash is alive.
    #[inline]
    #[must_use]
    pub fn is_active(hash: u64) -> bool {
        ACTIVE.load(Ordering::Relaxed) == hash
    }
}

#[cfg(feature = "mutants")]
pub use alive::{activate, is_active};

/// Whether the mutant with this hash is alive: never, in a build without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn is_active(_hash: u64) -> bool {
    false
}

/// Whether the named historic bug is planted and alive.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {{
        const HASH: u64 = $crate::mutants::hash($name);
        $crate::mutants::is_active(HASH)
    }};
}
