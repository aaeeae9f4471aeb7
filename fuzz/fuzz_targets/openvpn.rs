//! Packets of an OpenVPN control channel, over UDP and in a TCP stream.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::openvpn(data));
