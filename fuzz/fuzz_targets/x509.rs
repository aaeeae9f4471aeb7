//! Any bytes as a certificate, and as a certificate message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::x509(data));
