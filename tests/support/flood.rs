//! Floods from forged addresses, and TLS handshakes between real TCP stacks at the same time.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::conversation::LINUX_SYN_OPTIONS;
use crate::datagram::Datagram;
use crate::fragment::Fragments;
use crate::hello::{self, Shape};
use crate::netns::{Namespace, Wire};
use crate::outer_layer::{OuterLayer, TunnelKind};
use crate::packets::{ACK, ETHERNET, Envelope, PSH, PcapWriter, SYN, Sender, TcpSegment};
use crate::process::Spawned;
use crate::quic::{self, QuicEnds};
use crate::random::SplitMix64;

/// Port of the forged packets' destination.
const FORGED_PORT: u16 = 443;

/// Clients that connect at the same time.
const CLIENTS: usize = 4;

/// Pause of a client between two handshakes, so that they last longer than a queue.
const PAUSE: Duration = Duration::from_millis(20);

/// Timeout of a read, with room for the retransmissions of a lossy wire.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the first fragment of a datagram.
const FRAGMENT: usize = 480;

/// The kind of a flood. Every packet of a flood starts another flow, and no flow is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodKind {
    /// TCP SYNs.
    Syn,
    /// TLS ClientHellos without a TCP handshake.
    Hello,
    /// QUIC Initial packets with a ClientHello.
    QuicInitial,
    /// First fragments of IP datagrams that stay incomplete.
    Fragment,
    /// SYNs in a tunnel inside another tunnel.
    Nested,
}

impl FloodKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Syn, Self::Hello, Self::QuicInitial, Self::Fragment, Self::Nested];

    /// The name of the class of its records.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Hello => "tls",
            Self::QuicInitial => "quic",
            Self::Fragment => "fragment",
            Self::Nested => "nested",
        }
    }

    /// Writes a capture file with `packets` packets.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(self, path: &Path, packets: u32) -> io::Result<()> {
        let mut random = SplitMix64::new(1);
        let hello = Shape::Browser.client_hello("www.example.org", &mut random);
        let record = hello::records(&hello, usize::MAX);
        let initial = QuicEnds::new(b"8 bytes.", b"8 others").initial(Sender::Client, 0, &quic::crypto(0, &hello));
        let tunnels = [1, 2].map(|network| OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(network)));
        let mut pcap = PcapWriter::new(BufWriter::new(File::create(path)?), ETHERNET)?;
        for number in 0..packets {
            let flow = ForgedFlow::new(number);
            let frame = match self {
                Self::Syn => flow.segment(SYN, LINUX_SYN_OPTIONS, &[]),
                Self::Hello => flow.segment(PSH | ACK, &[], &record),
                Self::QuicInitial => flow.datagram(&initial),
                Self::Fragment => {
                    Fragments::of(&flow.segment(PSH | ACK, &[], &record)).numbered(number).piece(0..FRAGMENT)
                }
                Self::Nested => OuterLayer::wrap_all(&tunnels, flow.segment(SYN, LINUX_SYN_OPTIONS, &[])),
            };
            pcap.packet(u64::from(number) * 1000, &frame)?;
        }
        pcap.finish()
    }
}

/// A flow from a forged address to a host that does not exist.
struct ForgedFlow {
    from: SocketAddr,
    to: SocketAddr,
    number: u32,
}

impl ForgedFlow {
    fn new(number: u32) -> Self {
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 1)) + (number >> 8));
        let from = SocketAddr::new(client.into(), 20_000 + (number & 0xff) as u16);
        Self { from, to: SocketAddr::new(Ipv4Addr::new(198, 51, 100, 7).into(), FORGED_PORT), number }
    }

    fn segment(&self, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let Self { from, to, number } = *self;
        let mut frame = Vec::new();
        TcpSegment { from, to, ttl: 64, seq: number, ack: 0, flags, window: 64_240, options, payload }
            .write(&Envelope::default(), &mut frame);
        frame
    }

    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        Datagram { from: self.from, to: self.to, ttl: 64, payload }.frame()
    }
}

/// tcpreplay, which sends a flood in a loop until this is dropped.
#[derive(Debug)]
pub struct RunningFlood {
    tcpreplay: Spawned,
    _folder: TempDir,
}

impl RunningFlood {
    /// Starts a flood of `packets` different packets from `host`, as fast as tcpreplay can send them, and waits for the first
    /// of them.
    ///
    /// # Panics
    /// If the capture file cannot be written, or tcpreplay cannot be started.
    pub fn start(host: &Namespace, kind: FloodKind, packets: u32) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path: PathBuf = folder.path().join("flood.pcap");
        kind.write(&path, packets).expect("the capture can be written");
        let path = path.to_str().expect("temporary folders have text as name");
        let mut tcpreplay = host.spawn(&[
            "tcpreplay",
            "--quiet",
            "--topspeed",
            "--preload-pcap",
            "--loop=0",
            "-i",
            host.interface(),
            path,
        ]);
        let counter = format!("/sys/class/net/{}/statistics/tx_packets", host.interface());
        let sent = || host.run(&["cat", &counter]).ok().stdout().trim().parse::<u64>().expect("a number");
        let before = sent();
        tcpreplay.wait_until("sending", |_| sent() > before + u64::from(packets / 2));
        Self { tcpreplay, _folder: folder }
    }

    /// Returns the process ID of tcpreplay.
    pub fn id(&self) -> u32 {
        self.tcpreplay.id()
    }
}

/// Performs `count` TLS handshakes over TCP between the hosts, with a server on `port`. The messages are fixed, and the TCP stacks are those of
/// the kernel.
///
/// # Panics
/// If a connection fails.
pub fn tls_handshakes(wire: &Wire, port: u16, count: usize) {
    let mut random = SplitMix64::new(2);
    let hello = hello::records(&Shape::Browser.client_hello("www.example.org", &mut random), usize::MAX);
    let flight = hello::server_flight_13(&mut random, 900);
    let address = SocketAddr::new(wire.server().v4(), port);
    let listener = wire.server().with(|| TcpListener::bind(address).expect("the port is free"));
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let (started, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        scope.spawn(|| answer(stream, hello.len(), &flight));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        wire.client().with(|| {
            thread::scope(|clients| {
                for _ in 0..CLIENTS {
                    clients.spawn(|| {
                        while started.fetch_add(1, Ordering::Relaxed) < count {
                            request(address, &hello, flight.len());
                            thread::sleep(PAUSE);
                        }
                    });
                }
            });
        });
        is_done.store(true, Ordering::Relaxed);
    });
}

/// The server's side of a handshake.
fn answer(mut stream: TcpStream, hello: usize, flight: &[u8]) {
    stream.set_nonblocking(false).expect("no O_NONBLOCK");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.read_exact(&mut vec![0; hello]).expect("the client sends its hello");
    stream.write_all(flight).expect("the client reads");
    // The client closes first, so that the port of the server stays free.
    stream.read_to_end(&mut Vec::new()).expect("the client closes");
}

/// The client's side of a handshake.
fn request(address: SocketAddr, hello: &[u8], flight: usize) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(hello).expect("the server reads");
    stream.read_exact(&mut vec![0; flight]).expect("the server answers");
}
