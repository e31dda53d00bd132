//! The gateway binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    selvedge::cli::main()
}
