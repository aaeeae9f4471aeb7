//! Support library of the integration tests.
//!
//! | module | contents |
//! |---|---|
//! | [`sensor`] | run the binary until it exits, check its status and output |
//! | [`live`] | run the binary on an interface in the background, stop it, kill it |
//! | [`events`] | event fields, comparison of the fingerprints of two runs |
//! | [`privilege`], [`bpf`] | required privileges and tools; attached BPF programs |
//! | [`netns`], [`vlan`] | two network namespaces connected by a veth pair, VLAN devices |
//! | [`cgroup`] | control groups with limits of CPU time and memory |
//! | [`tunnel`] | a tunnel between the two hosts |
//! | [`peers`], [`python`] | real clients and servers on those hosts |
//! | [`scenes`] | traffic between the hosts, one function per protocol |
//! | [`flood`] | floods from forged addresses, with real handshakes at the same time |
//! | [`small_disk`] | a disk that is soon full |
//! | [`tmux`] | a terminal, its screen and its keys |
//! | [`tcpdump`] | tcpdump capture in parallel with the sensor |
//! | [`packets`], [`conversation`], [`hello`] | crafted frames, TCP streams, TLS hellos |
//! | [`hello_builder`] | TLS hellos built extension by extension |
//! | [`dtls`], [`certificate`] | crafted DTLS records, X.509 certificates |
//! | [`quic`], [`http`], [`ssh`], [`dhcp`] | crafted QUIC packets, HTTP requests, SSH messages, DHCP messages |
//! | [`datagram`], [`outer_layer`], [`fragment`] | crafted datagrams, encapsulated frames, IP fragments |
//! | [`pcapng`] | pcapng files with several sections and interfaces |
//! | [`generate`] | large deterministic captures for benchmarks |
//!
//! Only `generate` and its dependencies are used by programs (`xtask bench`); `generate` returns its errors. The other
//! modules are for tests only. They panic on failure, with a message that names the command and its output.
pub mod bpf;
pub mod certificate;
pub mod cgroup;
pub mod conversation;
pub mod datagram;
pub mod dhcp;
pub mod dtls;
pub mod events;
pub mod flood;
pub mod fragment;
pub mod framing;
pub mod generate;
pub mod hello;
pub mod hello_builder;
pub mod http;
pub mod live;
pub mod log;
pub mod netns;
pub mod outer_layer;
pub mod packets;
pub mod pcapng;
pub mod peers;
pub mod privilege;
pub mod process;
pub mod python;
pub mod quic;
pub mod random;
pub mod round_robin;
pub mod scenes;
pub mod sensor;
pub mod sinks;
pub mod small_disk;
pub mod ssh;
pub mod tcpdump;
pub mod tmux;
pub mod tunnel;
mod tuntap;
pub mod vlan;

pub use events::{assert_same_fingerprints, fingerprints, stats_u64, values};
pub use live::RunningSensor;
pub use netns::{Namespace, Wire};
pub use privilege::{require_bpf, require_root, require_tools};
pub use python::{optional_python, require_python};
pub use sensor::{Outcome, Sensor};
