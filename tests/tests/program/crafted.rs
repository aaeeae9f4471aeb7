//! Crafted frames, processed by each program and by user space.

use std::time::Duration;

use ja4_common::filter_config::FilterConfig;
use ja4_common::reason::{Malformed, PassReason, RecordClass};
use ja4_user::capture::ebpf::Program;
use tests::privilege::require_bpf;
use tests::random::SplitMix64;

use crate::duel::{Duel, PROGRAMS, SEED, SHORTEST, fits};
use crate::frames::{Setting, client_hello, segment, stories, stories_in, syn, worth_cutting};
use crate::say;

/// Number of frames with random bytes, per program.
const BENT: usize = 8000;

/// Returns the configurations that change the selection, one of them with a membership filter so small that all flows
/// share a slot.
fn configurations() -> [(&'static str, FilterConfig); 4] {
    let plain = FilterConfig::new(SEED);
    [
        ("defaults", plain),
        ("no accounting", FilterConfig { accounting: 0, ..plain }),
        ("eight slots", FilterConfig { membership_mask: 7, ..plain }),
        ("small budgets", FilterConfig { undecided_budget: 100, handshake_budget: 700, http2_budget: 3000, ..plain }),
    ]
}

#[test]
fn every_crafted_frame_is_judged_alike() {
    if !require_bpf() {
        return;
    }
    let settings = Setting::all();
    for (name, filter_config) in configurations() {
        // All settings with the default configuration; IPv4 and tagged IPv6 with the others.
        let stories = if filter_config == FilterConfig::new(SEED) {
            stories()
        } else {
            stories_in(&[settings[0].clone(), settings[3].clone()])
        };
        for program in PROGRAMS {
            let mut duel = Duel::new(filter_config);
            let mut left_out = 0;
            for (story, frames) in &stories {
                for (number, frame) in frames.iter().enumerate() {
                    if fits(program, frame) {
                        duel.agree(program, frame, || format!("{name}, {story}, frame {number}"));
                    } else {
                        left_out += 1;
                    }
                }
            }
            duel.same_flows();
            assert!(duel.balanced());
            say(&format!("{}, {name}: {} crafted frames alike, {left_out} left out", program.name(), duel.frames));
        }
    }
}

#[test]
fn frames_cut_at_every_length_are_judged_alike() {
    if !require_bpf() {
        return;
    }
    let broken = |judgement: &crate::model::Judgement, reason: Malformed| {
        judgement.counters.iter().any(|counters| counters.unparseable[reason as usize] > 0)
    };
    for program in PROGRAMS {
        let mut duel = Duel::plain();
        let mut left_out = 0;
        let mut met = [false; Malformed::ALL.len()];
        for (number, frame) in worth_cutting().iter().enumerate() {
            for length in SHORTEST..=frame.len() {
                let cut = &frame[..length];
                if !fits(program, cut) {
                    left_out += 1;
                    continue;
                }
                let judgement = duel.agree(program, cut, || format!("frame {number} cut to {length} bytes"));
                for (met, reason) in met.iter_mut().zip(Malformed::ALL) {
                    *met |= broken(&judgement, reason);
                }
            }
        }
        duel.same_flows();
        assert!(met[Malformed::TcpTruncated as usize] && met[Malformed::Ipv6Truncated as usize]);
        assert!(met[Malformed::UdpTruncated as usize] && met[Malformed::TunnelTruncated as usize]);
        say(&format!("{}: {} cut frames alike, {left_out} left out", program.name(), duel.frames));
    }
}

#[test]
fn bent_frames_are_judged_alike() {
    if !require_bpf() {
        return;
    }
    let whole: Vec<Vec<u8>> = stories().into_iter().flat_map(|(_, frames)| frames).collect();
    for program in PROGRAMS {
        let mut duel = Duel::plain();
        let mut random = SplitMix64::new(program as u64);
        for number in 0..BENT {
            let mut frame = whole[random.below(whole.len() as u64) as usize].clone();
            for _ in 0..=random.below(3) {
                let end = frame.len().min(120) as u64;
                // The EtherType's first byte is not changed: almost no frame would be IP.
                let at = random.between(13, end) as usize;
                frame[at] = random.next() as u8;
            }
            if fits(program, &frame) {
                duel.agree(program, &frame, || format!("bent frame {number}"));
            }
        }
        duel.same_flows();
    }
}

#[test]
fn a_packet_counts_at_one_hook_only() {
    if !require_bpf() {
        return;
    }
    let mut duel = Duel::plain();
    let duplicates =
        |judgement: &crate::model::Judgement| judgement.counters[1].unselected[PassReason::Duplicate as usize];
    let frames = [syn(), client_hello(), segment(0x1000_0800, 0x10, &[], &[23; 80])];
    for frame in &frames {
        duel.agree(Program::TcIngress, frame, || "first hook".into());
        let judgement = duel.agree(Program::TcEgress, frame, || "second hook".into());
        assert_eq!(duplicates(&judgement), 1, "{judgement:?}");
    }
    // The direction moved to the other hook, which reports it after an idle period.
    duel.wait(Duration::from_secs(2));
    for frame in &frames {
        let judgement = duel.agree(Program::TcEgress, frame, || "second hook, later".into());
        assert_eq!(duplicates(&judgement), 0, "{judgement:?}");
    }
    duel.same_flows();
}

#[test]
fn a_flow_is_forgotten_when_it_was_silent_for_long() {
    if !require_bpf() {
        return;
    }
    let bulk = segment(0x1000_0800, 0x10, &[], &[23; 80]);
    let untracked =
        |judgement: &crate::model::Judgement| judgement.counters[0].unselected[PassReason::Untracked as usize];
    for program in [Program::Xdp, Program::TcIngress] {
        let mut duel = Duel::plain();
        let mut forgotten = None;
        for minutes in 0..8 {
            duel.agree(program, &syn(), || "opening".into());
            duel.agree(program, &segment(0x1000_0001, 0x10, &[], &[23; 80]), || "known".into());
            duel.wait(Duration::from_secs(60 * minutes));
            let judgement = duel.agree(program, &bulk, || format!("after {minutes} minutes"));
            if untracked(&judgement) == 1 {
                forgotten = forgotten.or(Some(minutes));
            }
        }
        assert!(forgotten.is_some_and(|minutes| minutes >= 2), "forgotten after {forgotten:?} minutes");
        duel.same_flows();
    }
}

#[test]
fn the_comparison_sees_a_difference() {
    if !require_bpf() {
        return;
    }
    let kernel = FilterConfig::new(SEED);
    let user = FilterConfig { undecided_budget: 100, ..kernel };
    let mut duel = Duel::uneven(kernel, user);
    // Two segments that arrive before the stream's first: the second exceeds the smaller budget of user space.
    let early = [segment(0x1000_0101, 0x18, &[], &[7; 200]), segment(0x1000_0201, 0x18, &[], &[7; 200])];
    let (left, right) = duel.both(Program::Xdp, &syn());
    assert_eq!(left, right, "the SYN's record does not depend on the budget");
    assert_eq!(duel.different_flows().len(), 1, "the flow's entry does");
    duel.agree(Program::Xdp, &early[0], || "within both budgets".into());
    let (left, right) = duel.both(Program::Xdp, &early[1]);
    assert_eq!(left.counters[0].selected[RecordClass::Tls as usize], 1);
    assert_eq!(right.counters[0].unselected[PassReason::OverBudget as usize], 1);
    assert_ne!(left, right);
}
