//! Crafted frames, processed by each program and by user space.

use std::time::Duration;

use ja4_common::filter_config::FilterConfig;
use ja4_common::reason::{Malformed, PassReason, RecordClass};
use ja4_user::capture::ebpf::Program;
use tests::privilege::require_bpf;
use tests::random::SplitMix64;

use crate::comparison::{ALL_PROGRAMS, FilterComparison, SEED, SHORTEST, as_received, fits};
use crate::frames::{
    FILTERS, OTHER_PORTS, Setting, all_series, capture_filter, carriers, client_hello, frames_to_truncate, segment,
    series_in, syn,
};
use crate::report;

/// Number of frames with random bytes, per program.
const CORRUPTED: usize = 8000;

/// Returns the configurations that change the selection, one of them with a membership filter so small that all flows
/// share a slot.
fn configurations() -> Vec<(&'static str, FilterConfig)> {
    let plain = FilterConfig::new(SEED);
    let with_filter = |expression| (expression, FilterConfig { capture_filter: capture_filter(expression), ..plain });
    let others = [
        ("defaults", plain),
        ("no accounting", FilterConfig { accounting: 0, ..plain }),
        ("other tunnel ports", FilterConfig { tunnel_ports: OTHER_PORTS, ..plain }),
        ("eight slots", FilterConfig { membership_mask: 7, ..plain }),
        ("small budgets", FilterConfig { undecided_budget: 100, handshake_budget: 700, http2_budget: 3000, ..plain }),
    ];
    others.into_iter().chain(FILTERS.map(with_filter)).collect()
}

#[test]
fn kernel_and_user_space_agree_on_every_crafted_frame() {
    if !require_bpf() {
        return;
    }
    let settings = Setting::all();
    for (name, filter_config) in configurations() {
        // All settings with the default configuration; IPv4 and tagged IPv6 with the others.
        let all_series = if filter_config == FilterConfig::new(SEED) {
            all_series()
        } else {
            series_in(&[settings[0].clone(), settings[3].clone()])
        };
        for program in ALL_PROGRAMS {
            let mut comparison = FilterComparison::new(filter_config);
            let mut omitted = 0;
            for (series_name, frames) in &all_series {
                for (number, frame) in frames.iter().enumerate() {
                    let Some(frame) = as_received(program, frame) else { continue };
                    if fits(program, frame) {
                        comparison.assert_equal(program, frame, || format!("{name}, {series_name}, frame {number}"));
                    } else {
                        omitted += 1;
                    }
                }
            }
            comparison.assert_same_flows();
            assert!(comparison.balanced());
            let is_filtered = filter_config.capture_filter.is_configured();
            assert!(comparison.selected > 0 && (comparison.filtered() > 0) == is_filtered, "{name}");
            report(&format!(
                "{}, {name}: {} crafted frames alike, {omitted} left out",
                program.name(),
                comparison.frames
            ));
        }
    }
}

#[test]
fn kernel_and_user_space_agree_on_truncated_frames() {
    if !require_bpf() {
        return;
    }
    let broken = |result: &crate::model::FilterResult, reason: Malformed| {
        result.counters.iter().any(|counters| counters.unparseable[reason as usize] > 0)
    };
    for program in ALL_PROGRAMS {
        let mut comparison = FilterComparison::with_defaults();
        let mut omitted = 0;
        let mut occurred = [false; Malformed::ALL.len()];
        for (number, frame) in frames_to_truncate().iter().enumerate() {
            let Some(frame) = as_received(program, frame) else { continue };
            for length in SHORTEST..=frame.len() {
                let cut = &frame[..length];
                if !fits(program, cut) {
                    omitted += 1;
                    continue;
                }
                let result = comparison.assert_equal(program, cut, || format!("frame {number} cut to {length} bytes"));
                for (occurred, reason) in occurred.iter_mut().zip(Malformed::ALL) {
                    *occurred |= broken(&result, reason);
                }
            }
        }
        comparison.assert_same_flows();
        assert!(occurred[Malformed::TcpTruncated as usize] && occurred[Malformed::Ipv6Truncated as usize]);
        assert!(occurred[Malformed::UdpTruncated as usize] && occurred[Malformed::TunnelTruncated as usize]);
        report(&format!("{}: {} cut frames alike, {omitted} left out", program.name(), comparison.frames));
    }
}

#[test]
fn kernel_and_user_space_agree_on_corrupted_frames() {
    if !require_bpf() {
        return;
    }
    let originals: Vec<Vec<u8>> = all_series().into_iter().flat_map(|(_, frames)| frames).collect();
    for program in ALL_PROGRAMS {
        let mut comparison = FilterComparison::with_defaults();
        let mut random = SplitMix64::new(program as u64);
        for number in 0..CORRUPTED {
            let mut frame = originals[random.below(originals.len() as u64) as usize].clone();
            for _ in 0..=random.below(3) {
                let end = frame.len().min(120) as u64;
                // The EtherType's first byte is not changed: almost no frame would be IP.
                let at = random.between(13, end) as usize;
                frame[at] = random.next() as u8;
            }
            if let Some(frame) = as_received(program, &frame)
                && fits(program, frame)
            {
                comparison.assert_equal(program, frame, || format!("corrupted frame {number}"));
            }
        }
        comparison.assert_same_flows();
    }
}

/// As received on an IP tunnel before Linux 5.14.
#[test]
fn frames_with_outer_headers_are_read_on_interfaces_without_link_headers() {
    if !require_bpf() {
        return;
    }
    for program in [Program::TcIpIngress, Program::TcIpEgress] {
        let config = FilterConfig { tunnel_ports: OTHER_PORTS, ..FilterConfig::new(SEED) };
        let mut comparison = FilterComparison::new(config);
        for carrier in carriers() {
            let frame = carrier.wrap(&syn());
            let is_ip = frame[12..14] == [0x08, 0x00] || frame[12..14] == [0x86, 0xdd];
            let result = comparison.assert_equal(program, &frame, || format!("{carrier:?}"));
            assert!(result.record.is_some() || !is_ip, "{carrier:?}: {result:?}");
        }
        assert!(comparison.selected > 8, "{}", comparison.selected);
    }
}

#[test]
fn a_packet_is_counted_at_one_hook_only() {
    if !require_bpf() {
        return;
    }
    let mut comparison = FilterComparison::with_defaults();
    let duplicates =
        |result: &crate::model::FilterResult| result.counters[1].unselected[PassReason::Duplicate as usize];
    let frames = [syn(), client_hello(), segment(0x1000_0800, 0x10, &[], &[23; 80])];
    for frame in &frames {
        comparison.assert_equal(Program::TcIngress, frame, || "first hook".into());
        let result = comparison.assert_equal(Program::TcEgress, frame, || "second hook".into());
        assert_eq!(duplicates(&result), 1, "{result:?}");
    }
    // The direction moved to the other hook, which reports it after an idle period.
    comparison.wait(Duration::from_secs(2));
    for frame in &frames {
        let result = comparison.assert_equal(Program::TcEgress, frame, || "second hook, later".into());
        assert_eq!(duplicates(&result), 0, "{result:?}");
    }
    comparison.assert_same_flows();
}

#[test]
fn an_idle_flow_becomes_untracked() {
    if !require_bpf() {
        return;
    }
    let bulk = segment(0x1000_0800, 0x10, &[], &[23; 80]);
    let untracked = |result: &crate::model::FilterResult| result.counters[0].unselected[PassReason::Untracked as usize];
    for program in [Program::Xdp, Program::TcIngress] {
        let mut comparison = FilterComparison::with_defaults();
        let mut untracked_after = None;
        for minutes in 0..8 {
            comparison.assert_equal(program, &syn(), || "SYN".into());
            comparison.assert_equal(program, &segment(0x1000_0001, 0x10, &[], &[23; 80]), || "known flow".into());
            comparison.wait(Duration::from_secs(60 * minutes));
            let result = comparison.assert_equal(program, &bulk, || format!("after {minutes} minutes"));
            if untracked(&result) == 1 {
                untracked_after = untracked_after.or(Some(minutes));
            }
        }
        assert!(untracked_after.is_some_and(|minutes| minutes >= 2), "untracked after {untracked_after:?} minutes");
        comparison.assert_same_flows();
    }
}

#[test]
fn the_comparison_detects_a_difference() {
    if !require_bpf() {
        return;
    }
    let kernel = FilterConfig::new(SEED);
    let user = FilterConfig { undecided_budget: 100, ..kernel };
    let mut comparison = FilterComparison::with_configs(kernel, user);
    // Two segments that arrive before the stream's first: the second exceeds the smaller budget of user space.
    let early = [segment(0x1000_0101, 0x18, &[], &[7; 200]), segment(0x1000_0201, 0x18, &[], &[7; 200])];
    let (left, right) = comparison.both(Program::Xdp, &syn());
    assert_eq!(left, right, "the SYN's record does not depend on the budget");
    assert_eq!(comparison.different_flows().len(), 1, "the flow's entry does not depend on the budget");
    comparison.assert_equal(Program::Xdp, &early[0], || "within both budgets".into());
    let (left, right) = comparison.both(Program::Xdp, &early[1]);
    assert_eq!(left.counters[0].selected[RecordClass::Tls as usize], 1);
    assert_eq!(right.counters[0].unselected[PassReason::OverBudget as usize], 1);
    assert_ne!(left, right);
}
