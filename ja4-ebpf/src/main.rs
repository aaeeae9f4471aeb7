//! The kernel programs of ja4sensor: entry points only.
//!
//! Every program filters one frame with [`ja4_common::select`] and passes it.
#![no_std]
#![no_main]
// For the inline assembly in `bytes`: it is not stable for BPF yet.
#![feature(asm_experimental_arch)]
#![allow(missing_docs, reason = "aya's macros make public items without any")]

mod bytes;
mod emit;
mod flowstate;
mod maps;
mod stage;

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use ja4_common::parse::ParseStart;
use ja4_common::record::LinkHeader;

/// Logs a selected frame in the debug build of the programs.
macro_rules! log {
    ($ctx:expr, $class:expr) => {{
        let _class = $class;
        #[cfg(feature = "log")]
        if let Some(class) = _class {
            aya_log_ebpf::debug!($ctx, "selected, class {}", class);
        }
    }};
}

/// `TC_ACT_UNSPEC` and `TCX_NEXT` have the same value: continue with the next program.
const NEXT: i32 = TC_ACT_UNSPEC;

/// Ingress with XDP, native or generic.
#[xdp(frags)]
fn ja4_xdp(ctx: XdpContext) -> u32 {
    log!(
        &ctx,
        emit::filter_frame(&bytes::Frame::of(ctx.ctx), |_| ParseStart::Ethernet, false, || bytes::xdp_info(&ctx))
    );
    XDP_PASS
}

/// Egress with tc.
#[classifier]
fn ja4_tc(ctx: TcContext) -> i32 {
    log!(
        &ctx,
        emit::filter_frame(
            &bytes::Frame::pulled(&ctx),
            |_| ParseStart::Ethernet,
            true,
            || bytes::skb_info(&ctx, true, (LinkHeader::Present, 0))
        )
    );
    NEXT
}

/// Ingress with tc, where XDP cannot attach.
#[classifier]
fn ja4_tc_ingress(ctx: TcContext) -> i32 {
    let frame = bytes::Frame::pulled(&ctx);
    log!(
        &ctx,
        emit::filter_frame(
            &frame,
            |cpu| frame.start(cpu),
            false,
            || { bytes::skb_info(&ctx, false, bytes::first_header(LinkHeader::Removed)) }
        )
    );
    NEXT
}

/// Ingress with tc on an interface without link headers.
#[classifier]
fn ja4_tc_ip_ingress(ctx: TcContext) -> i32 {
    log!(&ctx, filter_ip(&ctx, false));
    NEXT
}

/// Egress with tc on such an interface.
#[classifier]
fn ja4_tc_ip_egress(ctx: TcContext) -> i32 {
    log!(&ctx, filter_ip(&ctx, true));
    NEXT
}

/// Filters a frame of such an interface.
#[inline(always)]
fn filter_ip(ctx: &TcContext, egress: bool) -> Option<u8> {
    let frame = bytes::Frame::pulled(ctx);
    emit::filter_frame(
        &frame,
        |cpu| frame.network_start(cpu),
        egress,
        || bytes::skb_info(ctx, egress, bytes::first_header(LinkHeader::Absent)),
    )
}

/// An XDP program without work, the baseline of benchmarks.
#[xdp(frags)]
fn ja4_empty(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Never called: panics are compiled out, and the verifier would reject the loop.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Licence of the programs: some helpers are reserved for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
