//! The command line.

mod attach;
mod attach_socket;
mod check;
mod delivery_log;
mod examples;
mod failure;
mod flags;
mod history;
mod labels;
mod log_flags;
mod lookup;
mod output;
mod pipeline;
mod replay;
mod run;
mod settings;
#[cfg(feature = "top")]
mod top;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::failure::Failure;
use crate::capture::object;

/// JA4+ host sensor: fingerprints the handshakes on network interfaces and in capture files
#[derive(Debug, Parser)]
#[command(name = "ja4sensor", version, long_version = object::VERSION, after_long_help = format!("{}\n\n{EXIT_STATUS}", examples::section(examples::SENSOR)), max_term_width = 100)]
struct Ja4Sensor {
    #[command(subcommand)]
    command: Command,
}

/// Exit statuses, in the long help.
const EXIT_STATUS: &str = "\
Exit status: 0 success; 1 failure at run time; 2 wrong usage or configuration; 3 missing privilege or kernel feature; \
130 interrupted by a signal.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Fingerprint live traffic until SIGINT or SIGTERM
    #[command(after_long_help = examples::section(examples::RUN))]
    Run(run::RunCommand),
    /// Fingerprint capture files (pcap or pcapng, plain or compressed with gzip or zstd)
    #[command(after_long_help = examples::section(examples::REPLAY))]
    Replay(replay::ReplayCommand),
    /// Print the events of a running sensor
    #[command(after_long_help = examples::section(examples::ATTACH))]
    Attach(attach::AttachCommand),
    /// View connections, fingerprints and alerts live in the terminal
    #[cfg(feature = "top")]
    #[command(after_long_help = examples::section(examples::TOP))]
    Top(top::TopCommand),
    /// Check whether the sensor can run with a configuration
    #[command(after_long_help = examples::section(examples::CHECK))]
    Check(check::CheckCommand),
    /// Query connections, fingerprints or alerts of a database
    #[command(after_long_help = examples::section(examples::QUERY))]
    Query(history::Query),
    /// Compare the fingerprints of two time windows of a database
    #[command(after_long_help = examples::section(examples::DIFF))]
    Diff(history::Diff),
    /// Export connections of a database with their fingerprints
    #[command(after_long_help = examples::section(examples::EXPORT))]
    Export(history::Export),
    /// List or delete first-seen values of a database
    #[command(after_long_help = examples::section(examples::FIRST_SEEN))]
    FirstSeen(history::FirstSeenCommand),
    /// Export or import behaviour profiles
    #[command(after_long_help = examples::section(examples::PROFILES))]
    Profiles(history::ProfilesCommand),
    /// Look up the label and the known-bad match of a fingerprint
    #[command(after_long_help = examples::section(examples::LOOKUP))]
    Lookup(lookup::LookupCommand),
    /// Inspect or convert label databases
    #[command(after_long_help = examples::section(examples::LABELS))]
    Labels(labels::LabelsCommand),
    /// Print the version, the digest of the kernel programs and the built-in features
    #[command(after_long_help = examples::section(examples::VERSION))]
    Version,
}

/// Runs the command given by the process arguments.
pub fn main() -> ExitCode {
    let command = Ja4Sensor::parse().command;
    let started = match &command {
        Command::Run(run) => run.log().start(),
        Command::Replay(replay) => replay.log().start(),
        _ => log_flags::start_plain(),
    };
    if started.is_err() {
        // The failure is reported without the log that could not be started.
        let _plain = log_flags::start_plain();
    }
    match started.and_then(|()| execute(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit_code()
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(run) => run.run(),
        Command::Replay(replay) => replay.run(),
        Command::Attach(attach) => attach.run(),
        #[cfg(feature = "top")]
        Command::Top(top) => top.run(),
        Command::Check(check) => check.run(),
        Command::Query(query) => query.run(),
        Command::Diff(diff) => diff.run(),
        Command::Export(export) => export.run(),
        Command::FirstSeen(command) => command.run(),
        Command::Profiles(profiles) => profiles.run(),
        Command::Lookup(lookup) => lookup.run(),
        Command::Labels(labels) => labels.run(),
        Command::Version => version::run(),
    }
}
