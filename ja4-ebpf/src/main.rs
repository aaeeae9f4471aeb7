//! ja4sensor: the kernel programs.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    reason = "the program macros generate public items without documentation"
)]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Passes every packet on.
#[xdp(frags)]
fn ja4_xdp(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    let end = ctx.data_end();
    if start + 64 > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: 64 bytes are there.
    let head: [u8; 40] = unsafe { (start as *const [u8; 40]).read_unaligned() };
    if ja4_common::ports(&head) == 0x1234_5678 {
        #[cfg(feature = "log")]
        aya_log_ebpf::info!(&ctx, "seen");
        return xdp_action::XDP_ABORTED;
    }
    xdp_action::XDP_PASS
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
