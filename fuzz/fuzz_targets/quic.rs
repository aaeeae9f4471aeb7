//! Any datagrams, and Initials that are sealed over any frames.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::quic(data));
