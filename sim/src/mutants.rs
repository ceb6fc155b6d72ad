//! The historic bugs that are planted in the code, with the invariants that each is expected to break.
//!
//! The names are those of the catalogue of historic bugs; `mutant!("…")` marks the spot. A bug is found
//! by the simulator, or by the tests of the crate in which it is planted, or by both.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its name, as at its spot.
    pub name: &'static str,
    /// The crate.
    pub at: &'static str,
    /// What was wrong, in a few words.
    pub what: &'static str,
    /// The invariants, any of which is the right one to break.
    pub expected: &'static [&'static str],
}

/// Every planted bug that a single node can show.
pub const MUTANTS: &[Mutant] = &[];
