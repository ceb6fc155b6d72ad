//! The simulator's command line; `ottla sim` is the same.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(ottla_sim::cli::main(std::env::args_os().skip(1)))
}
