//! Prints what the models visited and, with the feature `mutants`, which planted bugs they see.

#![allow(clippy::disallowed_macros, reason = "a program that prints its result")]

use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use ottla_specs::board::Subject;

fn main() -> ExitCode {
    // A core that panics is a finding, told in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let control = control();
    let hunted = hunted();
    if control && hunted {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Every model without a mutant.
fn control() -> bool {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["model", "bounds", "states", "depth", "seconds", "verdict"]);
    let mut clean = true;
    for subject in Subject::ALL {
        let outcome = subject.check(true, false);
        clean &= outcome.is_clean();
        let verdict = if outcome.is_clean() {
            "clean, all states".to_string()
        } else {
            format!("{:?} {:?}", outcome.broken, outcome.never_seen)
        };
        table.add_row([
            subject.name().to_string(),
            subject.bounds(true),
            outcome.states.to_string(),
            outcome.depth.to_string(),
            format!("{:.1}", outcome.took.as_secs_f64()),
            verdict,
        ]);
    }
    println!("{table}");
    clean
}

#[cfg(feature = "mutants")]
fn hunted() -> bool {
    use ottla_specs::board::{MUST_KILL, hunt};

    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "mutant",
        "what it does",
        "model",
        "bounds",
        "breaks",
        "steps",
        "states",
    ]);
    let mut killed = 0;
    for mutant in MUST_KILL {
        let (outcome, full) = hunt(mutant);
        let (breaks, steps) = match outcome.broken.first() {
            Some(finding) => {
                killed += 1;
                (finding.property, finding.actions.len().to_string())
            }
            None => ("SURVIVED", String::new()),
        };
        table.add_row([
            mutant.name.to_string(),
            mutant.mechanism.to_string(),
            mutant.subject.name().to_string(),
            if full { "full" } else { "small" }.to_string(),
            breaks.to_string(),
            steps,
            outcome.states.to_string(),
        ]);
    }
    println!("{table}");
    println!("{killed} of {} killed", MUST_KILL.len());
    killed == MUST_KILL.len()
}

#[cfg(not(feature = "mutants"))]
fn hunted() -> bool {
    println!("Planted bugs are not in this build; with them: --features mutants");
    true
}
