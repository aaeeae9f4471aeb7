//! Any bytes as datagrams behind their lengths in a TCP stream, split in any way.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::rfc4571(data));
