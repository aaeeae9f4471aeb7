//! IP fragments, in any order, overlap and repetition.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::fragments(data));
