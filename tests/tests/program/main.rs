//! The kernel's programs under `BPF_PROG_TEST_RUN`, and the rules that they share with a replay.
//!
//! | module | shows |
//! |---|---|
//! | `captures`, `crafted` | kernel and user space come to the same verdict, record and flow over the same frames |
//! | `conservation` | no record disappears uncounted, whether rings overflow or the rate limiter drops them |
//! | `rules` | what is to be selected is |
//! | `properties` | both directions are one flow; the short way is the long way; nothing panics |
//! | `verifier` | the programs stay far from the verifier's limits |
mod captures;
mod conservation;
mod crafted;
mod duel;
mod frames;
mod model;
mod properties;
mod rules;
mod verifier;

use std::io::{self, Write};

/// Tells the user what a passing test has covered; not `eprintln!`, which the harness swallows.
fn say(what: &str) {
    writeln!(io::stderr(), "{what}").ok();
}
