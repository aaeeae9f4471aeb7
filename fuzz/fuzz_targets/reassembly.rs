//! TCP segments of one direction, in any order, with overlaps and duplicates.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::reassembly(data));
