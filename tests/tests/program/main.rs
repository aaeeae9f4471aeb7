//! The kernel programs under `BPF_PROG_TEST_RUN`, and the selection rules that they share with a replay.
//!
//! | module | shows |
//! |---|---|
//! | `captures`, `crafted` | kernel and user space produce the same verdict, record and flow for the same frames |
//! | `conservation` | every lost record is counted, on ring overflow and on rate limiting |
//! | `rules` | packets that the rules require are selected |
//! | `properties` | both directions are one flow; fast path and slow path agree; nothing panics |
//! | `verifier` | the programs stay far from the verifier's limits |
mod captures;
mod comparison;
mod conservation;
mod crafted;
mod frames;
mod model;
mod properties;
mod rules;
mod verifier;

use std::io::{self, Write};

/// Prints the coverage of a passing test to stderr. The test harness captures the output of `eprintln!`.
fn report(coverage: &str) {
    writeln!(io::stderr(), "{coverage}").ok();
}
