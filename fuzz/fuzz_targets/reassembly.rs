//! Any order, overlap and repetition of segments.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::reassembly(data));
