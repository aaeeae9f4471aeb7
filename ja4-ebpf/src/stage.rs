//! The stages of the decision that are global BPF functions.
//!
//! The verifier checks a function of global linkage once, and a static function again on each path that calls it
//! (kernel/bpf/verifier.c, `do_check_subprogs`). bpf-linker gives global linkage to what is exported. A global function
//! takes at most five arguments: integers, the context, and pointers to memory of a known size, which may be null
//! (Linux 5.12). It returns an integer. A packet pointer cannot be passed, so each stage reads the frame's limits again.

use ja4_common::flow::Direction;
use ja4_common::headers::Transport;
use ja4_common::look::Segment;
use ja4_common::{begin, headers, hunger, look};

use aya_ebpf::bindings::{__sk_buff, xdp_md};

use crate::bytes::{SkbFrame, XdpFrame, behind, behind_mut, knobs};

/// Classifies upper-case text: [`begin::text`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ja4_text(first: u64) -> u32 {
    begin::text(first) as u32
}

/// The stages that read a frame, for one kind of context.
macro_rules! stages {
    ($frame:ident, $context:ty, $level:ident, $look:ident, $extensions:ident, $decide:ident, $walk:ident, $wants:ident) => {
        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $level(
            context: *mut $context,
            ethertype: u32,
            offset: u32,
            out: *mut Transport,
        ) -> u32 {
            match behind_mut(out) {
                Some(out) => headers::level(&$frame::of(context), ethertype as u16, offset, out).number(),
                None => 0,
            }
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $look(context: *mut $context, segment: *const Segment, skip: u32, first: u32) -> u32 {
            match behind(segment) {
                Some(segment) => look::look(&$frame::of(context), segment, skip, first != 0).into(),
                None => 0,
            }
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $extensions(context: *mut $context, at: u32, first: u32) -> u32 {
            headers::extensions(&$frame::of(context), at, first as u8)
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $decide(
            context: *mut $context,
            direction: *mut Direction,
            segment: *const Segment,
        ) -> u32 {
            match (behind_mut(direction), behind(segment)) {
                (Some(direction), Some(segment)) => {
                    hunger::decide(&$frame::of(context), direction, segment, knobs()).into()
                }
                _ => 0,
            }
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $walk(
            context: *mut $context,
            direction: *mut Direction,
            segment: *const Segment,
        ) -> u32 {
            match (behind_mut(direction), behind(segment)) {
                (Some(direction), Some(segment)) => hunger::walk(&$frame::of(context), direction, segment).into(),
                _ => 0,
            }
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $wants(
            context: *mut $context,
            direction: *mut Direction,
            segment: *const Segment,
        ) -> u32 {
            match (behind_mut(direction), behind(segment)) {
                (Some(direction), Some(segment)) => {
                    hunger::wants(&$frame::of(context), direction, segment, knobs()).into()
                }
                _ => 0,
            }
        }
    };
}

stages!(XdpFrame, xdp_md, ja4_xdp_level, ja4_xdp_look, ja4_xdp_extensions, ja4_xdp_decide, ja4_xdp_walk, ja4_xdp_wants);
stages!(SkbFrame, __sk_buff, ja4_tc_level, ja4_tc_look, ja4_tc_extensions, ja4_tc_decide, ja4_tc_walk, ja4_tc_wants);

/// Whether upper-case text begins something; see [`begin::text`].
pub(crate) fn text(first: u64) -> begin::Begin {
    begin::Begin::from_number(ja4_text(first) as u8)
}
