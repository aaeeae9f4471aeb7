//! ja4sensor: see `ja4sensor --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ja4_user::cli::main()
}
