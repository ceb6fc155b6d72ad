//! Whoever destroys something is shown what, and says yes.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::sync::oneshot;

use crate::connect::Deadline;
use crate::exit::{Exit, Failure};
use crate::output::Output;

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
    /// Shows the plan on stderr. Returns whether to carry it out. The command's time stands still while it is asked.
    ///
    /// # Errors
    /// Nobody said yes: there is no terminal to ask at, or the answer was no.
    pub(crate) async fn to(self, plan: &str, output: Output, deadline: &Deadline) -> Result<bool> {
        let plan = plan.trim_end();
        if self.shows_plan(output, io::stdout().is_terminal()) {
            eprintln!("{plan}");
        }
        if self.dry_run {
            eprintln!("nothing was done (--dry-run)");
            return Ok(false);
        }
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
        let answer = deadline.while_asking(answer("go on? [y/N] ")).await?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            _ => Err(declined("the answer was not yes").into()),
        }
    }

    /// Whoever need not be asked sees the same in the result at once, if that is a table on the terminal.
    fn shows_plan(self, output: Output, stdout_is_terminal: bool) -> bool {
        let asks = !self.yes && !self.dry_run;
        asks || !stdout_is_terminal || !output.is_text()
    }
}

/// Asks at the terminal. A read of it cannot be broken off, so a thread of its own does it and the command hears
/// signals meanwhile; when nobody waits for the answer any more, the thread ends with the process.
async fn answer(question: &str) -> Result<String> {
    let mut line = Line { is_open: true };
    eprint!("{question}");
    io::stderr().flush()?;
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        // Nobody waits any more: the command was interrupted.
        let _ = sender.send(read.map(|_| answer));
    };
    let spawned = std::thread::Builder::new()
        .name("answer".to_owned())
        .spawn(read);
    spawned.context("a thread for the answer cannot be started")?;
    let answer = receiver.await.context("the answer cannot be read")??;
    line.is_open = !answer.ends_with('\n');
    Ok(answer)
}

/// The line of a question. What is told next starts on a line of its own, even if nobody pressed Enter.
struct Line {
    is_open: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_open {
            eprintln!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_not_shown_beside_the_same_result() {
        let consent = |yes, dry_run| Consent { yes, dry_run };
        for done in [consent(true, false), consent(false, true)] {
            assert!(!done.shows_plan(Output::Table, true));
            assert!(done.shows_plan(Output::Table, false));
            assert!(done.shows_plan(Output::Json, true));
        }
        assert!(consent(false, false).shows_plan(Output::Table, true));
    }
}
