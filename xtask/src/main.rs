//! `cargo xtask`: builds, runs, tests and measures ja4sensor. `cargo xtask help` lists the commands.

mod bench;
mod build_ebpf;
mod ci;
mod clippy;
mod command;
mod docs;
mod dwarf;
mod layers;
mod long;
mod provenance;
mod requirements;
mod run;
mod test;
mod tool;
mod toolchain;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

fn main() -> ExitCode {
    let done = match Xtask::parse().task {
        Task::BuildEbpf { check, debug, out } => match (check, debug, out) {
            (true, ..) => build_ebpf::check(),
            (false, true, Some(out)) => build_ebpf::debug(&out),
            (false, ..) => build_ebpf::build(),
        },
        Task::Run { args } => run::run(&args),
        Task::Test { install, args } => test::run(install, &args),
        Task::Bench { list: true, .. } => bench::list(),
        Task::Bench { rows, quick, .. } => bench::bench(&rows, quick),
        Task::Docs { check: true } => docs::check(),
        Task::Docs { check: false } => docs::write(),
        Task::Layers { report } => layers::check(report),
        Task::Ci { long: false, install, .. } => ci::ci(install),
        Task::Ci { long: true, install, kernels } => ci::long(install, &kernels),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Build, run, test and measure ja4sensor.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the kernel programs into ja4-ebpf/object, with the record of their sources and tools
    BuildEbpf {
        /// Change nothing: fail unless a build gives the bytes of the committed object
        #[arg(long, conflicts_with_all = ["debug", "out"])]
        check: bool,
        /// Build the programs with their log lines (aya-log) into the file of --out
        #[arg(long, requires = "out")]
        debug: bool,
        /// Write the debug build to FILE; JA4_EBPF_OBJECT=FILE embeds it in a ja4sensor
        #[arg(long, value_name = "FILE", requires = "debug")]
        out: Option<PathBuf>,
    },
    /// Build ja4sensor and run it live as root, through sudo if necessary: cargo xtask run -- -i eth0
    Run {
        /// Arguments of `ja4sensor run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Report what the tests lack on this machine, and run every test that can run
    Test {
        /// Install the missing packages first: Debian's as root or through sudo, Python's into target/test-python
        #[arg(long)]
        install: bool,
        /// Arguments of `cargo test`: a part of a test's name, or -- and flags of the test runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure the figures of the budget table; no figure is an error
    Bench {
        /// Rows to measure; --list prints them [default: all]
        #[arg(value_name = "ROW")]
        rows: Vec<String>,
        /// Print the rows and what each measures, and measure nothing
        #[arg(long, conflicts_with_all = ["rows", "quick"])]
        list: bool,
        /// Measure each row once with little data, to check that it works
        #[arg(long)]
        quick: bool,
    },
    /// Write the generated tables in docs/ from the tables of the sensor
    Docs {
        /// Change nothing: fail unless the tables are up to date
        #[arg(long)]
        check: bool,
    },
    /// Check that no import points to a higher layer and that no folders or files import each other in a circle
    Layers {
        /// Print the graph of folders and the number of circles too
        #[arg(long)]
        report: bool,
    },
    /// Run everything that a change has to pass, in less than 30 minutes on two cores
    Ci {
        /// Run the longer steps instead: 2000 kills during writes, more cases of each property, a soak test
        #[arg(long)]
        long: bool,
        /// Load the kernel programs on another kernel too, in a virtual machine; FOLDER as for tests/vm/run
        #[arg(long = "kernel", value_name = "FOLDER", requires = "long")]
        kernels: Vec<PathBuf>,
        /// Install the missing packages first: Debian's as root or through sudo, Python's into target/test-python
        #[arg(long)]
        install: bool,
    },
}
