//! The packet filter of ja4sensor, shared by the XDP and tc programs (`ja4-ebpf`) and the sensor (`ja4-user`).
//!
//! Both compile the same sources, so a capture file is filtered by the rules that run in the kernel. A packet passes
//! the modules from top to bottom, and a module imports only modules below it:
//!
//! | module | holds |
//! |---|---|
//! | [`select`] | the decision over one frame |
//! | `fast_path` | the decision over a bulk packet of an untracked flow |
//! | [`parse`] | link, network and transport headers of a frame |
//! | [`tunnel`] | headers of tunnels |
//! | [`datagram`] | which UDP datagrams are selected |
//! | [`stream_select`] | which payload segments of a TCP direction are selected |
//! | [`classify`] | what the first bytes of a stream are |
//! | [`framing`] | headers between TCP or UDP and TLS or DTLS |
//! | [`text`] | a segment read as lines of text |
//! | [`segment`] | payload of one segment; TLS records and header blocks in it |
//! | [`signature`] | protocols by their first eight bytes |
//! | [`duplicate`] | packets that another capture point has seen |
//! | [`capture_filter`] | the filter expression of the operator, tested for each new flow |
//! | [`flow_table`] | the table of flows, as each host of the filter implements it |
//! | [`record`] | the record that carries a selected frame to userspace |
//! | [`verdict`] | the result for one frame |
//! | [`flow`] | flow key, symmetric hash, entry of a flow |
//! | [`vlan`] | VLAN tags of a packet |
//! | [`headers`] | header fields of one packet |
//! | [`counter`] | one counter for every outcome, and the laws they obey |
//! | [`limit`] | limits of records by class, which userspace adapts |
//! | [`filter_config`] | configuration, fixed when the programs are loaded |
//! | [`reason`] | why a frame is selected, not selected or malformed |
//! | [`bytes`] | checked reads from one frame |
#![no_std]
#![forbid(unsafe_code)]

pub mod bytes;
pub mod capture_filter;
pub mod classify;
pub mod counter;
pub mod datagram;
pub mod duplicate;
mod fast_path;
pub mod filter_config;
pub mod flow;
pub mod flow_table;
pub mod framing;
pub mod headers;
pub mod limit;
pub mod link;
pub mod parse;
pub mod reason;
pub mod record;
pub mod segment;
pub mod select;
pub mod signature;
pub mod stream_select;
pub mod text;
pub mod tunnel;
pub mod verdict;
pub mod vlan;
