//! The kernel half of ja4sensor: entry points only.
//!
//! Every program judges one frame with [`ja4_common::select`] and lets it pass, whatever it is.
#![no_std]
#![no_main]
// The atomic add in `bytes`: inline assembly for BPF is not stable yet.
#![feature(asm_experimental_arch)]
#![allow(missing_docs, reason = "aya's macros make public items without any")]

mod bytes;
mod count;
mod emit;
mod flowstate;
mod maps;
mod stage;

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use ja4_common::parse::ParseStart;

/// Tells of a chosen frame in the programs' debug build; nothing otherwise.
macro_rules! log {
    ($ctx:expr, $class:expr) => {{
        let _class = $class;
        #[cfg(feature = "log")]
        if let Some(class) = _class {
            aya_log_ebpf::debug!($ctx, "selected, class {}", class);
        }
    }};
}

/// `TC_ACT_UNSPEC` and `TCX_NEXT` are one number: go on with the next program, or with none.
const NEXT: i32 = TC_ACT_UNSPEC;

/// Ingress, in the driver or in the kernel's generic hook.
#[xdp(frags)]
fn ja4_xdp(ctx: XdpContext) -> u32 {
    log!(
        &ctx,
        emit::filter_frame(&bytes::Frame::of(ctx.ctx), |_| ParseStart::Ethernet, false, || bytes::xdp_info(&ctx))
    );
    XDP_PASS
}

/// Egress.
#[classifier]
fn ja4_tc(ctx: TcContext) -> i32 {
    log!(
        &ctx,
        emit::filter_frame(
            &bytes::Frame::pulled(&ctx),
            |_| ParseStart::Ethernet,
            true,
            || bytes::skb_info(&ctx, true, false)
        )
    );
    NEXT
}

/// Ingress where XDP cannot attach.
#[classifier]
fn ja4_tc_ingress(ctx: TcContext) -> i32 {
    let frame = bytes::Frame::pulled(&ctx);
    log!(
        &ctx,
        emit::filter_frame(&frame, |cpu| frame.start(cpu), false, || bytes::skb_info(&ctx, false, bytes::no_link()))
    );
    NEXT
}

/// An XDP program that does nothing: what a bench compares with.
#[xdp(frags)]
fn ja4_empty(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Panics are compiled out; the verifier would refuse the loop.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The programs call helpers that the kernel reserves for GPL-compatible code.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
