//! The client direction of an HTTP/1 connection, split into chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::http1(data));
