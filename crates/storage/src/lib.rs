//! One partition's log on a disk.
pub mod claims;
pub mod config;
pub mod epochs;
pub mod error;
mod files;
pub mod index;
pub mod names;
pub mod state;
pub mod tail;
pub mod verdict;
