//! DTLS datagrams of both sides of one flow.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::dtls(data));
