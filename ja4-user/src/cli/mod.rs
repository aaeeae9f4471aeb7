//! The command line.

mod check;
mod delivery_log;
mod failure;
mod flags;
mod history;
mod labels;
mod lookup;
mod output;
mod pipeline;
mod replay;
mod run;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::failure::Failure;
use crate::capture::object;

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
    Run(run::RunCommand),
    /// Fingerprint capture files: pcap or pcapng, plain, gzip or zstd
    Replay(replay::ReplayCommand),
    /// Say whether a sensor could run as configured, without running it
    Check(check::CheckCommand),
    /// Ask a database what was seen: connections, fingerprints or alerts
    Query(history::Query),
    /// Compare two windows of time of a database
    Diff(history::Diff),
    /// Write connections of a database to a file, with their fingerprints
    Export(history::Export),
    /// List or forget what a database knows as seen
    FirstSeen(history::FirstSeenCommand),
    /// Print the behaviour profiles of a database, as JSON lines
    ExportProfiles(history::ExportProfiles),
    /// Take over behaviour profiles of other sensors; again is no more than once
    Seed(history::Seed),
    /// Say what is known of a fingerprint
    Lookup(lookup::LookupCommand),
    /// Look into databases of labels, and convert them
    Labels(labels::LabelsCommand),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let done = match Ja4Sensor::parse().command {
        Command::Run(run) => run.run(),
        Command::Replay(replay) => replay.run(),
        Command::Check(check) => check.run(),
        Command::Query(query) => query.run(),
        Command::Diff(diff) => diff.run(),
        Command::Export(export) => export.run(),
        Command::FirstSeen(command) => command.run(),
        Command::ExportProfiles(export) => export.run(),
        Command::Seed(seed) => seed.run(),
        Command::Lookup(lookup) => lookup.run(),
        Command::Labels(labels) => labels.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ja4sensor: {failure}");
            failure.exit_code()
        }
    }
}
