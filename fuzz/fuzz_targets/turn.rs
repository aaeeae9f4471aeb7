//! TURN messages in a TCP stream, split into chunks, and one TURN message over UDP.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::turn(data));
