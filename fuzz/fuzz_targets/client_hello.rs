//! Any bytes as the body of a ClientHello.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::client_hello(data));
