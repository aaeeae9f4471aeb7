//! QUIC datagrams of one flow, and Initial packets encrypted from frames of the input.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::quic(data));
