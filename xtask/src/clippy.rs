//! Lints of both halves: the host half with this toolchain, the kernel half with the one that builds it.

use anyhow::Result;

use crate::build_ebpf::for_bpf;
use crate::command::{cargo, succeed};
use crate::toolchain::Toolchain;

/// Every target of the workspace, then those of the libraries without the methods of the FoxIO License.
pub(crate) fn host() -> Result<()> {
    succeed(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"]))?;
    succeed(cargo().args([
        "clippy",
        "--package",
        "ja4",
        "--package",
        "ja4-user",
        "--all-targets",
        "--no-default-features",
        "--locked",
        "--",
        "-Dwarnings",
    ]))
}

/// The kernel programs and ja4-common as their dependency, with the log lines and without.
pub(crate) fn bpf() -> Result<()> {
    let toolchain = Toolchain::find()?;
    for features in [&[][..], &["--features", "log"]] {
        let mut command = toolchain.cargo_clippy()?;
        command.args(["--workspace", "--locked"]).args(features);
        succeed(for_bpf(command, &toolchain)?.args(["--", "-Dwarnings"]))?;
    }
    Ok(())
}
