//! A capture file (pcap or pcapng).
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::capture_reader(data));
