//! Any bytes as HPACK blocks, one after the other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::hpack(data));
