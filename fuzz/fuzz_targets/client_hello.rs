//! The body of a ClientHello, over TCP and over DTLS.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::client_hello(data));
