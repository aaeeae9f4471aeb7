//! Any bytes as frames with headers inside headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::tunnels(data));
