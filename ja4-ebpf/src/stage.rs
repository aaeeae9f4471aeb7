//! The stages of the decision, as global BPF functions.
//!
//! The verifier checks a function of global linkage once, and a static function again on each path that calls it
//! (kernel/bpf/verifier.c, `do_check_subprogs`). bpf-linker gives exported functions global linkage. A global function
//! takes integers and the context, and returns an integer; Linux before 5.12 passes it no other pointer. So each stage
//! looks up the limits of the frame and the state of this CPU itself.
//!
//! The traits of `ja4_common` that are implemented here call the stages.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use ja4_common::capture_filter::SenderRole;
use ja4_common::classify::{self, ClassifyStage};
use ja4_common::duplicate::{self, DuplicateStage, RecentTable};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::DirectionState;
use ja4_common::flow_table::Flows;
use ja4_common::headers::{InnerHeader, PacketHeaders};
use ja4_common::link;
use ja4_common::parse::{self, ParseOutcome, ParseStages};
use ja4_common::segment::SegmentPayload;
use ja4_common::select::{PacketOutcome, Scratch, SelectStages, StageArguments};
use ja4_common::signature::{self, SignatureStage, StreamStart};
use ja4_common::stream_select::{self, StreamStages};
use ja4_common::text::{self, TextStage};
use ja4_common::tunnel::TunnelPorts;

use crate::bytes::{Context, Frame, config, cpu, flush, on_copy, with_stage};
use crate::emit::{EmitStage, emit};
use crate::flowstate::{KernelFlows, KernelRecent};
use crate::maps::CpuState;

/// [`signature::text`]. This stage and the next one read no frame.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ja4_text(first: u64) -> u32 {
    signature::text(first) as u32
}

/// [`Scratch::matching_terms`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn ja4_matching_terms(sender: u32) -> u32 {
    match cpu() {
        Some(cpu) => cpu.scratch.matching_terms(SenderRole::from_number(sender), config()),
        None => 0,
    }
}

/// Declares the global functions for one kind of context. Each calls the function of [`run`] with the same name.
macro_rules! stages {
    ($context:ty: $($stage:ident($($argument:ident: $kind:ty),*) as $symbol:ident),+ $(,)?) => {
        $(
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $symbol(context: *mut $context $(, $argument: $kind)*) -> u32 {
                run::$stage(context $(, $argument)*)
            }
        )+

        impl Stages for $context {
            $(
                #[inline(always)]
                fn $stage(context: *mut Self $(, $argument: $kind)*) -> u32 {
                    $symbol(context $(, $argument)*)
                }
            )+
        }
    };
}

/// The stages for one kind of context.
pub(crate) trait Stages: Context + Sized {
    fn syn(context: *mut Self) -> u32;
    fn datagram(context: *mut Self, is_bulk: u32) -> u32;
    fn parse_level(context: *mut Self, ethertype: u32, offset: u32) -> u32;
    fn skip_link_header(context: *mut Self, ethertype: u32, at: u32) -> u32;
    fn skip_extensions(context: *mut Self, at: u32, first: u32) -> u32;
    fn is_duplicate(context: *mut Self, flow: u64, point: u32) -> u32;
    fn read_text(context: *mut Self) -> u32;
    fn classify(context: *mut Self, skip: u32, first: u32) -> u32;
    fn decide(context: *mut Self) -> u32;
    fn follow_records(context: *mut Self) -> u32;
    fn emit(context: *mut Self, egress: u32) -> u32;
}

stages! {
    xdp_md:
    syn() as ja4_xdp_syn,
    datagram(is_bulk: u32) as ja4_xdp_datagram,
    parse_level(ethertype: u32, offset: u32) as ja4_xdp_parse_level,
    skip_link_header(ethertype: u32, at: u32) as ja4_xdp_skip_link_header,
    skip_extensions(at: u32, first: u32) as ja4_xdp_skip_extensions,
    is_duplicate(flow: u64, point: u32) as ja4_xdp_is_duplicate,
    read_text() as ja4_xdp_read_text,
    classify(skip: u32, first: u32) as ja4_xdp_classify,
    decide() as ja4_xdp_decide,
    follow_records() as ja4_xdp_walk,
    emit(egress: u32) as ja4_xdp_emit,
}

stages! {
    __sk_buff:
    syn() as ja4_tc_syn,
    datagram(is_bulk: u32) as ja4_tc_datagram,
    parse_level(ethertype: u32, offset: u32) as ja4_tc_parse_level,
    skip_link_header(ethertype: u32, at: u32) as ja4_tc_skip_link_header,
    skip_extensions(at: u32, first: u32) as ja4_tc_skip_extensions,
    is_duplicate(flow: u64, point: u32) as ja4_tc_is_duplicate,
    read_text() as ja4_tc_read_text,
    classify(skip: u32, first: u32) as ja4_tc_classify,
    decide() as ja4_tc_decide,
    follow_records() as ja4_tc_walk,
    emit(egress: u32) as ja4_tc_emit,
}

/// Bodies of the global functions.
mod run {
    use super::*;

    #[inline(always)]
    pub(super) fn syn<C: Stages>(context: *mut C) -> u32 {
        let Some(cpu) = cpu() else {
            return PacketOutcome::Untracked as u32;
        };
        let config = config();
        cpu.scratch.syn(&Frame::of(context), &mut KernelFlows::new(config), config) as u32
    }

    #[inline(always)]
    pub(super) fn datagram<C: Stages>(context: *mut C, is_bulk: u32) -> u32 {
        let Some(cpu) = cpu() else {
            return PacketOutcome::Untracked as u32;
        };
        let config = config();
        cpu.scratch.datagram(&Frame::of(context), is_bulk != 0, &mut KernelFlows::new(config), config) as u32
    }

    #[inline(always)]
    pub(super) fn parse_level<C: Stages>(context: *mut C, ethertype: u32, offset: u32) -> u32 {
        let Some(cpu) = cpu() else {
            return 0;
        };
        let StageArguments { headers, .. } = cpu.scratch.stage();
        parse::parse_level(&Frame::of(context), ethertype as u16, offset, &config().tunnel_ports, headers).number()
    }

    #[inline(always)]
    pub(super) fn skip_link_header<C: Stages>(context: *mut C, ethertype: u32, at: u32) -> u32 {
        link::skip_header(&Frame::of(context), ethertype as u16, at).number()
    }

    #[inline(always)]
    pub(super) fn skip_extensions<C: Stages>(context: *mut C, at: u32, first: u32) -> u32 {
        parse::skip_extensions(&Frame::of(context), at, first as u8)
    }

    #[inline(always)]
    pub(super) fn is_duplicate<C: Stages>(context: *mut C, flow: u64, point: u32) -> u32 {
        let Some(cpu) = cpu() else {
            return 0;
        };
        let StageArguments { headers, direction, .. } = cpu.scratch.stage();
        let mut recent = KernelRecent::new();
        duplicate::is_duplicate(&Frame::of(context), headers, flow, point, direction, &mut recent).into()
    }

    #[inline(always)]
    pub(super) fn read_text<C: Stages>(context: *mut C) -> u32 {
        if let Some(cpu) = cpu() {
            let StageArguments { segment, words, .. } = cpu.scratch.stage();
            text::read(&Frame::of(context), segment, words);
        }
        0
    }

    #[inline(always)]
    pub(super) fn classify<C: Stages>(context: *mut C, skip: u32, first: u32) -> u32 {
        let Some(cpu) = cpu() else {
            return 0;
        };
        let StageArguments { segment, .. } = cpu.scratch.stage();
        classify::classify(&Frame::of(context), segment, skip, first != 0).into()
    }

    #[inline(always)]
    pub(super) fn decide<C: Stages>(context: *mut C) -> u32 {
        let Some(cpu) = cpu() else {
            return 0;
        };
        let StageArguments { segment, direction, .. } = cpu.scratch.stage();
        stream_select::decide(&Frame::of(context), direction, segment, config()).into()
    }

    #[inline(always)]
    pub(super) fn follow_records<C: Stages>(context: *mut C) -> u32 {
        let Some(cpu) = cpu() else {
            return 0;
        };
        let StageArguments { segment, direction, .. } = cpu.scratch.stage();
        stream_select::follow_records(&Frame::of(context), direction, segment).into()
    }

    #[inline(always)]
    pub(super) fn emit<C: Stages>(context: *mut C, egress: u32) -> u32 {
        match cpu() {
            Some(cpu) => super::emit(&Frame::of(context), cpu, egress != 0).into(),
            None => 0,
        }
    }
}

impl<C: Stages> SignatureStage for Frame<C> {
    #[inline(always)]
    fn text(first: u64) -> StreamStart {
        StreamStart::from_number(ja4_text(first) as u8)
    }
}

impl<C: Stages> SelectStages for Frame<C> {
    #[inline(always)]
    fn syn<F: Flows>(&self, scratch: &mut Scratch, _flows: &mut F, _config: &FilterConfig) -> PacketOutcome {
        PacketOutcome::from_number(with_stage(scratch, || C::syn(self.context)))
    }

    #[inline(always)]
    fn datagram<F: Flows>(
        &self,
        scratch: &mut Scratch,
        is_bulk: bool,
        _flows: &mut F,
        _config: &FilterConfig,
    ) -> PacketOutcome {
        PacketOutcome::from_number(with_stage(scratch, || C::datagram(self.context, is_bulk.into())))
    }

    #[inline(always)]
    fn matching_terms(&self, scratch: &mut Scratch, sender: SenderRole, _config: &FilterConfig) -> u32 {
        with_stage(scratch, || ja4_matching_terms(sender as u32))
    }
}

impl<C: Stages> ParseStages for Frame<C> {
    #[inline(always)]
    fn parse_level(&self, ethertype: u16, offset: u32, _ports: &TunnelPorts, out: &mut PacketHeaders) -> ParseOutcome {
        ParseOutcome::from_number(with_stage(out, || C::parse_level(self.context, ethertype.into(), offset)))
    }

    #[inline(always)]
    fn skip_link_header(&self, ethertype: u16, at: u32) -> InnerHeader {
        InnerHeader::from_number(C::skip_link_header(self.context, ethertype.into(), at))
    }

    #[inline(always)]
    fn skip_extensions(&self, at: u32, first: u8) -> u32 {
        C::skip_extensions(self.context, at, first.into())
    }
}

impl<C: Stages> DuplicateStage for Frame<C> {
    #[inline(always)]
    fn is_duplicate<R: RecentTable>(
        &self,
        headers: &PacketHeaders,
        flow: u64,
        point: u32,
        direction: &mut DirectionState,
        _recent: &mut R,
    ) -> bool {
        flush(headers);
        let Some(cpu) = cpu() else {
            return false;
        };
        let copy = cpu.scratch.stage().direction;
        (copy.packets, copy.range) = (direction.packets, direction.range);
        let is_duplicate = C::is_duplicate(self.context, flow, point) != 0;
        direction.range = copy.range;
        is_duplicate
    }
}

impl<C: Stages> TextStage for Frame<C> {
    #[inline(always)]
    fn read_text(&self, segment: &mut SegmentPayload, _words: &mut [u64; text::WORDS]) {
        with_stage(segment, || C::read_text(self.context));
    }
}

impl<C: Stages> ClassifyStage for Frame<C> {
    #[inline(always)]
    fn classify(&self, segment: &SegmentPayload, skip: u32, first: bool) -> u8 {
        flush(segment);
        C::classify(self.context, skip, first.into()) as u8
    }
}

impl<C: Stages> StreamStages for Frame<C> {
    #[inline(always)]
    fn decide(&self, direction: &mut DirectionState, segment: &SegmentPayload, _config: &FilterConfig) -> u8 {
        on_copy(direction, segment, || C::decide(self.context)) as u8
    }

    #[inline(always)]
    fn follow_records(&self, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
        on_copy(direction, segment, || C::follow_records(self.context)) as u8
    }
}

impl<C: Stages> EmitStage for Frame<C> {
    #[inline(always)]
    fn emit(&self, cpu: &mut CpuState, egress: bool) -> u8 {
        with_stage(cpu, || C::emit(self.context, egress.into())) as u8
    }
}
