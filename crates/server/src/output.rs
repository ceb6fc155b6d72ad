//! How a command shows its result: one typed value, several renderers.

use clap::ValueEnum;

/// The form of a result on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}
