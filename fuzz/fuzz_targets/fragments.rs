//! IP fragments of a few datagrams, in any order, with overlaps and duplicates.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::fragments(data));
