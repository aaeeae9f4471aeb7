//! Cost of verification of the programs.

use std::fs;

use ja4_common::capture_filter::CaptureFilter;
use ja4_common::filter_config::FilterConfig;
use ja4_common::tunnel::TunnelPorts;
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use tests::privilege::require_bpf;

use crate::comparison::{ALL_PROGRAMS, SEED};
use crate::frames::{EIGHT_TERMS, OTHER_PORTS, capture_filter};
use crate::report;

/// Limit of verified instructions. The verifier gives up after a million, and its time is proportional to their number.
/// Linux 6.1 verifies more than 6.18: 270,934 for the largest program with a filter of eight terms.
const MAX_INSTRUCTIONS: u32 = 350_000;

/// Returns the version of the running kernel.
fn kernel_release() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn verified_instructions_stay_below_the_limit() {
    if !require_bpf() {
        return;
    }
    let filters = [CaptureFilter::NONE, capture_filter(EIGHT_TERMS)];
    for (tunnel_ports, capture_filter) in [TunnelPorts::NONE, OTHER_PORTS].into_iter().zip(filters) {
        assert_verified(FilterConfig { tunnel_ports, capture_filter, ..FilterConfig::new(SEED) });
    }
}

fn assert_verified(filter_config: FilterConfig) {
    let settings = KernelSettings { filter_config, ring_bytes: 1 << 16, flows: 1024 };
    let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
    let kernel_has_xdp_frags = kernel_release() >= (5, 18);
    for program in ALL_PROGRAMS {
        if matches!(program, Program::Xdp | Program::Empty) && !kernel_has_xdp_frags {
            report(&format!("{}: needs Linux 5.18", program.name()));
            continue;
        }
        let info = match program {
            Program::Xdp | Program::Empty => kernel.xdp(program).unwrap().info(),
            _ => kernel.tc(program).unwrap().info(),
        };
        // Only Linux 5.16 and newer report the number.
        let Some(verified) = info.unwrap().verified_instruction_count() else {
            report(&format!("{}: loads", program.name()));
            continue;
        };
        report(&format!("{}: {verified} instructions verified", program.name()));
        assert!(verified < MAX_INSTRUCTIONS, "{}: {verified} instructions verified", program.name());
    }
}
