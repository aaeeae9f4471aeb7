//! Any bytes as one side's TDS packets, split in any way.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::tds(data));
