//! `ja4sensor version`.

use super::failure::Failure;
use super::lookup::print;
use crate::capture::ebpf::Program;
use crate::capture::object;

/// Prints the version, the digest of the BPF object, and what was compiled in.
pub(super) fn run() -> Result<(), Failure> {
    let methods = crate::model::Method::ALL.map(crate::model::Method::name).join(", ");
    let hooks = Program::HOOKS.map(|program| format!("{} ({})", program.name(), program.hook())).join(", ");
    print(&format!("ja4sensor {}\nprograms: {hooks}\nmethods: {methods}\n", object::VERSION))
}
