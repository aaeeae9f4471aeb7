//! Any bytes as TURN messages, in a TCP stream and alone.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::turn(data));
