//! `selvedge completion`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::failure::Outcome;
use crate::cli::output::raw;

pub(super) const AFTER_HELP: &str = "\
bash: selvedge completion bash > /etc/bash_completion.d/selvedge
zsh:  selvedge completion zsh > \"${fpath[1]}/_selvedge\"
fish: selvedge completion fish > ~/.config/fish/completions/selvedge.fish

Exit codes: 0 fine, 1 failure, 64 usage.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Outcome {
    raw(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

/// Made in memory: the generator takes a writer that fails for a bug.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "selvedge", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use clap_complete::Shell;

    use super::script;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in ["deploy", "dead-letters", "completion", "rollback"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
