//! The project's own commands: codegen, layers, tidy, ci, fix.

fn main() {}
