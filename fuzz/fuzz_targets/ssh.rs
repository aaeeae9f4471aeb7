//! One direction of an SSH connection, split into chunks, and the lengths of its packets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::ssh(data));
