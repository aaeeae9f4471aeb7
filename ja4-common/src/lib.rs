//! ja4sensor: ja4-common
#![no_std]
#![forbid(unsafe_code)]

/// Placeholder.
#[inline(never)]
pub fn ports(head: &[u8; 40]) -> u32 {
    let [.., a, b, c, d, _, _] = *head;
    u32::from_be_bytes([a, b, c, d])
}
