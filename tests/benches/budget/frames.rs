//! Frames of numbered TCP flows, for `BPF_PROG_TEST_RUN` and for tcpreplay.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tests::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS, TIMESTAMP_OPTIONS};
use tests::hello::{self, Shape};
use tests::packets::{ACK, ETHERNET, Envelope, PSH, PcapWriter, SYN, TcpSegment};
use tests::random::SplitMix64;

/// Lowest client port of the flows.
const FIRST_PORT: u16 = 20_000;

/// Sequence number before the client's first byte.
const CLIENT_ISN: u32 = 0x1000_0000;

/// Sequence number before the server's first byte.
const SERVER_ISN: u32 = 0x8000_0000;

/// 2026-11-23 07:00:00 UTC, nanoseconds.
const EPOCH: u64 = 1_795_417_200_000_000_000;

/// One flow, identified by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow(pub(crate) u32);

impl Flow {
    /// The client's SYN.
    pub(crate) fn syn(self) -> Vec<u8> {
        self.frame(true, SYN, CLIENT_ISN, LINUX_SYN_OPTIONS, &[])
    }

    /// The server's SYN-ACK.
    pub(crate) fn syn_ack(self) -> Vec<u8> {
        self.frame(false, SYN | ACK, SERVER_ISN, LINUX_SYN_ACK_OPTIONS, &[])
    }

    /// The client's first ACK.
    pub(crate) fn ack(self) -> Vec<u8> {
        self.frame(true, ACK, CLIENT_ISN + 1, TIMESTAMP_OPTIONS, &[])
    }

    /// The client's first payload.
    pub(crate) fn first(self, payload: &[u8]) -> Vec<u8> {
        self.frame(true, PSH | ACK, CLIENT_ISN + 1, TIMESTAMP_OPTIONS, payload)
    }

    /// A full segment of the client, about 1 MB after the start of its stream.
    pub(crate) fn bulk(self) -> Vec<u8> {
        self.frame(true, ACK, CLIENT_ISN + 1_000_000, TIMESTAMP_OPTIONS, &[0; 1448])
    }

    /// A segment of the server with `payload` at `offset` of its stream.
    pub(crate) fn server(self, offset: u32, payload: &[u8]) -> Vec<u8> {
        self.frame(false, PSH | ACK, SERVER_ISN.wrapping_add(1 + offset), TIMESTAMP_OPTIONS, payload)
    }

    fn frame(self, from_client: bool, flags: u8, seq: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
        // 256 flows per client address, so that both addresses and ports vary.
        let client = u32::from(Ipv4Addr::new(10, 64, 0, 1)) + (self.0 >> 8);
        let client = SocketAddr::new(Ipv4Addr::from(client).into(), FIRST_PORT + (self.0 & 0xff) as u16);
        let server = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 7).into(), 443);
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        let mut frame = Vec::new();
        TcpSegment { from, to, ttl: 64, seq, ack: 0, flags, window: 64_240, options, payload }
            .write(&Envelope::default(), &mut frame);
        frame
    }
}

/// Returns a browser's ClientHello in TLS records: 517 bytes, randomized on each call.
pub(crate) fn client_hello(random: &mut SplitMix64) -> Vec<u8> {
    let name = format!("www.site-{:04}.example", random.below(4096));
    hello::records(&Shape::Browser.client_hello(&name, random), usize::MAX)
}

/// Writes a capture file with one frame of each of `flows` flows.
pub(crate) fn capture(path: &Path, flows: u32, mut frame: impl FnMut(Flow) -> Vec<u8>) -> io::Result<()> {
    let mut pcap = PcapWriter::new(BufWriter::new(File::create(path)?), ETHERNET)?;
    for flow in 0..flows {
        pcap.packet(EPOCH + u64::from(flow) * 1_000, &frame(Flow(flow)))?;
    }
    pcap.finish()
}
