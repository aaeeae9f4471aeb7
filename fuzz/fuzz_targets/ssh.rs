//! Any bytes as one direction of an SSH connection, split in any way, and as its packets' lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::ssh(data));
