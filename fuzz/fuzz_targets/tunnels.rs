//! Frames with tunnels, through filter, shard and decapsulation.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::tunnels(data));
