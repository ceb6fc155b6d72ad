//! The one binary: `ottla`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "native: this crate is where the program meets the operating system"
)]

mod cli;
mod commands;
mod confirm;
mod connect;
mod exit;
mod formats;
mod logging;
mod output;
mod progress;
mod range;
mod settings;
mod shapes;
mod when;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
