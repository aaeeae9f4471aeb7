//! The command line.

mod failure;
mod output;
mod replay;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::failure::Failure;
use crate::object;

/// JA4+ host sensor: fingerprints every TCP and TLS handshake on an interface, or in a capture file.
#[derive(Debug, Parser)]
#[command(name = "ja4sensor", version, long_version = object::VERSION, max_term_width = 100)]
struct Ja4Sensor {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fingerprint live traffic; ends on SIGINT or SIGTERM
    Run(run::Run),
    /// Fingerprint capture files: pcap or pcapng, plain, gzip or zstd
    Replay(replay::Replay),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let done = match Ja4Sensor::parse().command {
        Command::Run(run) => run.run(),
        Command::Replay(replay) => replay.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ja4sensor: {failure}");
            failure.exit_code()
        }
    }
}
