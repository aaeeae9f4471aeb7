//! Datagrams in a TCP stream (RFC 4571), split into chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::rfc4571(data));
