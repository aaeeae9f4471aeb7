//! Any bytes as the datagrams of one DTLS direction.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::dtls(data));
