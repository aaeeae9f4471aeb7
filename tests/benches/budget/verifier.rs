//! Instructions processed by the eBPF verifier for each program. Its limit is one million.

use anyhow::{Context, Result, bail};
use ja4_common::filter_config::FilterConfig;
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use ja4_user::capture::object;

use crate::Scale;
use crate::figure::Figure;

pub(crate) fn measure(_: Scale) -> Result<Vec<Figure>> {
    if !tests::require_bpf() {
        bail!("needs root and BPF");
    }
    let filter_config = FilterConfig::new([3, 5]);
    let mut kernel =
        Kernel::load(object::bytes(), &KernelSettings { filter_config, ring_bytes: 1 << 16, flows: 1024 })?;
    [Program::Xdp, Program::TcIngress, Program::TcEgress, Program::TcIpIngress, Program::TcIpEgress]
        .into_iter()
        .map(|program| {
            let info = match program {
                Program::Xdp | Program::Empty => kernel.xdp(program)?.info()?,
                _ => kernel.tc(program)?.info()?,
            };
            let verified = info.verified_instruction_count().context("Linux 5.16 and newer count them")?;
            let note = format!("{} bytes jitted", info.size_jitted());
            Ok(Figure::new(program.name(), verified.into(), "instructions").note(note))
        })
        .collect()
}
