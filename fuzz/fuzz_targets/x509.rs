//! An X.509 certificate, and the certificate list of a TLS Certificate message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::x509(data));
