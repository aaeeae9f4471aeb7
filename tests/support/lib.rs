//! What the integration tests are written in.
//!
//! | module | a test says |
//! |---|---|
//! | [`sensor`] | run the binary to its end, and what it then printed |
//! | [`live`] | run it on an interface in the background, stop it, kill it |
//! | [`events`] | what is in an event, and which fingerprints two runs share |
//! | [`privilege`], [`bpf`] | may this test run here at all; what is attached |
//! | [`netns`], [`vlan`] | two hosts and a wire between them |
//! | [`tunnel`] | a tunnel between them |
//! | [`peers`], [`python`] | real clients and servers on those hosts |
//! | [`scenes`] | what they say to each other: the traffic of a test |
//! | [`tape`] | tcpdump beside the sensor |
//! | [`packets`], [`conversation`], [`hello`] | crafted frames, TCP streams, TLS hellos |
//! | [`handmade`] | hellos extension by extension |
//! | [`dtls`], [`certificate`] | crafted DTLS records, X.509 certificates |
//! | [`quic`], [`http`], [`ssh`], [`dhcp`] | crafted QUIC packets, requests, SSH openings, DHCP messages |
//! | [`udp`], [`carrier`], [`fragment`] | crafted datagrams, tunnels around a frame, frames in IP fragments |
//! | [`pcapng`] | capture files of several sections and interfaces |
//! | [`generate`] | the large deterministic captures that benches replay |
//!
//! Only `generate` and what it stands on is for programs (`xtask bench`); it returns its errors. The rest
//! speaks to a test, so what goes wrong there panics with a message that names the command and its output.
pub mod bpf;
pub mod carrier;
pub mod certificate;
pub mod conversation;
pub mod dhcp;
pub mod dtls;
pub mod events;
pub mod fragment;
pub mod framing;
pub mod generate;
pub mod handmade;
pub mod hello;
pub mod http;
pub mod live;
pub mod netns;
pub mod packets;
pub mod pcapng;
pub mod peers;
pub mod privilege;
pub mod process;
pub mod python;
pub mod quic;
pub mod random;
pub mod scenes;
pub mod sensor;
pub mod sinks;
pub mod spread;
pub mod ssh;
pub mod tape;
pub mod tunnel;
mod tuntap;
pub mod udp;
pub mod vlan;

pub use events::{assert_same_fingerprints, fingerprints, stats_u64, values};
pub use live::LiveSensor;
pub use netns::{Namespace, Wire};
pub use privilege::{require_bpf, require_root, require_tools};
pub use python::{optional_python, require_python};
pub use sensor::{Outcome, Sensor};
