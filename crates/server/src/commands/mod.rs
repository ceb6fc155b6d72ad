//! One file, or folder, per command.

pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod consume;
pub(crate) mod explain;
pub(crate) mod format;
pub(crate) mod group;
pub(crate) mod log;
pub(crate) mod produce;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod simulator;
pub(crate) mod topic;
pub(crate) mod version;
