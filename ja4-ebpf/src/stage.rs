//! The stages of the decision that are global BPF functions.
//!
//! The verifier checks a function of global linkage once, and a static function again on each path that calls it
//! (kernel/bpf/verifier.c, `do_check_subprogs`). bpf-linker gives global linkage to what is exported. A global function
//! takes integers and the context, and returns an integer; Linux before 5.12 passes it no other pointer. So each stage
//! finds the frame's limits and this CPU's state by itself.
//!
//! Generic code calls them through `ja4_common::Bytes`, which `bytes.rs` implements.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use ja4_common::select::{Outcome, StageArguments};
use ja4_common::{begin, duplicate, headers, hunger, look, text};

use crate::bytes::{SkbFrame, XdpFrame, cpu, knobs};
use crate::emit::emit;
use crate::flowstate::{KernelFlows, KernelRecent};

/// The stage that reads no frame: [`begin::text`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ja4_text(first: u64) -> u32 {
    begin::text(first) as u32
}

/// Whether upper-case text begins something; see [`begin::text`].
pub(crate) fn text(first: u64) -> begin::Begin {
    begin::Begin::from_number(ja4_text(first) as u8)
}

/// The stages that read a frame, for one kind of context.
macro_rules! stages {
    (
        $frame:ident, $context:ty, opening: $opening:ident, datagram: $datagram:ident, level: $level:ident,
        is_duplicate: $is_duplicate:ident, read_text: $read_text:ident, look: $look:ident,
        extensions: $extensions:ident, decide: $decide:ident, walk: $walk:ident, emit: $emit:ident,
    ) => {
        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $opening(context: *mut $context) -> u32 {
            let Some(cpu) = cpu() else {
                return Outcome::Stranger as u32;
            };
            let knobs = knobs();
            cpu.work.opening(&$frame::of(context), &mut KernelFlows::new(knobs), knobs) as u32
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $datagram(context: *mut $context, is_bulk: u32) -> u32 {
            let Some(cpu) = cpu() else {
                return Outcome::Stranger as u32;
            };
            let knobs = knobs();
            cpu.work.datagram(&$frame::of(context), is_bulk != 0, &mut KernelFlows::new(knobs), knobs) as u32
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $level(context: *mut $context, ethertype: u32, offset: u32) -> u32 {
            let Some(cpu) = cpu() else {
                return 0;
            };
            let StageArguments { headers, .. } = cpu.work.stage();
            headers::level(&$frame::of(context), ethertype as u16, offset, headers).number()
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $is_duplicate(context: *mut $context, flow: u64, point: u32) -> u32 {
            let Some(cpu) = cpu() else {
                return 0;
            };
            let StageArguments { headers, direction, .. } = cpu.work.stage();
            let mut recent = KernelRecent::new();
            duplicate::is_duplicate(&$frame::of(context), headers, flow, point, direction, &mut recent).into()
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $read_text(context: *mut $context) -> u32 {
            if let Some(cpu) = cpu() {
                let StageArguments { segment, words, .. } = cpu.work.stage();
                text::read(&$frame::of(context), segment, words);
            }
            0
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $look(context: *mut $context, skip: u32, first: u32) -> u32 {
            let Some(cpu) = cpu() else {
                return 0;
            };
            let StageArguments { segment, .. } = cpu.work.stage();
            look::look(&$frame::of(context), segment, skip, first != 0).into()
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $extensions(context: *mut $context, at: u32, first: u32) -> u32 {
            headers::extensions(&$frame::of(context), at, first as u8)
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $decide(context: *mut $context) -> u32 {
            let Some(cpu) = cpu() else {
                return 0;
            };
            let StageArguments { segment, direction, .. } = cpu.work.stage();
            hunger::decide(&$frame::of(context), direction, segment, knobs()).into()
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $walk(context: *mut $context) -> u32 {
            let Some(cpu) = cpu() else {
                return 0;
            };
            let StageArguments { segment, direction, .. } = cpu.work.stage();
            hunger::walk(&$frame::of(context), direction, segment).into()
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $emit(context: *mut $context, egress: u32) -> u32 {
            match cpu() {
                Some(cpu) => emit(&$frame::of(context), cpu, egress != 0).into(),
                None => 0,
            }
        }
    };
}

stages! {
    XdpFrame, xdp_md, opening: ja4_xdp_opening, datagram: ja4_xdp_datagram, level: ja4_xdp_level,
    is_duplicate: ja4_xdp_is_duplicate, read_text: ja4_xdp_read_text, look: ja4_xdp_look,
    extensions: ja4_xdp_extensions, decide: ja4_xdp_decide, walk: ja4_xdp_walk, emit: ja4_xdp_emit,
}

stages! {
    SkbFrame, __sk_buff, opening: ja4_tc_opening, datagram: ja4_tc_datagram, level: ja4_tc_level,
    is_duplicate: ja4_tc_is_duplicate, read_text: ja4_tc_read_text, look: ja4_tc_look,
    extensions: ja4_tc_extensions, decide: ja4_tc_decide, walk: ja4_tc_walk, emit: ja4_tc_emit,
}
