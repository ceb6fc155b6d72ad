//! The living mutant is the whole process's: tests that would meet it run one at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Until the guard is dropped nobody else is.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
