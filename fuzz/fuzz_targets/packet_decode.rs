//! Ethernet frames through filter and shard, and one record of the kernel program.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::packet_decode(data));
