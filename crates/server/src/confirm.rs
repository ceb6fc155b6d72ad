//! Whoever destroys something is shown what, and says yes.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Result;
use clap::Args;

use crate::exit::{Exit, Failure};

/// Consent.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Consent {
    /// Do it without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

impl Consent {
    /// Shows the plan on stderr. Returns whether to carry it out.
    ///
    /// # Errors
    /// Nobody said yes: there is no terminal to ask at, or the answer was no.
    pub(crate) fn to(self, plan: &str) -> Result<bool> {
        let plan = plan.trim_end();
        if self.dry_run {
            eprintln!("{plan}\nnothing was done (--dry-run)");
            return Ok(false);
        }
        eprintln!("{plan}");
        if self.yes {
            return Ok(true);
        }
        let declined = |why: &str| {
            Failure::new(Exit::Precondition, format!("nothing was done: {why}"))
                .next("`--yes` does it without asking")
        };
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(declined("this needs a yes, and there is no terminal to ask at").into());
        }
        eprint!("go on? [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            _ => Err(declined("the answer was not yes").into()),
        }
    }
}
