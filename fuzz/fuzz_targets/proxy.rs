//! A PROXY protocol header at the start of a client's stream, split into chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::proxy(data));
