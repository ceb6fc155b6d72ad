//! Prints the page of settings, for `cargo xtask settings`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(ottla_metadata::configs::page::page().as_bytes())
}
