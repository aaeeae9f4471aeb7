//! Any bytes as one client direction of HTTP/1.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::http1(data));
