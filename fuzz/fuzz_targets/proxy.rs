//! Any bytes as the first of a client, behind which its stream may begin, split in any way.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::proxy(data));
