//! Who runs next, and when.
//!
//! One thread, virtual time in nanoseconds. Time moves only when no task is ready (and, in some seeds, a
//! little with every poll); which of the ready tasks is polled next is the seed's choice. Tasks belong to
//! a process: when it dies they are dropped, wherever they were suspended.
//!
//! This module holds the parts; [`crate::World`] turns the crank.

pub(crate) mod ready;
pub(crate) mod task;
pub(crate) mod timers;

pub use ready::Schedule;
pub(crate) use ready::{ReadyQueue, Scheduler};
pub(crate) use task::{TaskKey, Tasks};
pub(crate) use timers::{Due, TimerId, Timers};
