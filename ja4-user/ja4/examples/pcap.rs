//! Prints the fingerprints of a classic pcap or pcapng file: JA4, and with the feature `ja4plus` JA4S, JA4X and JA4T.
//!
//! ```sh
//! cargo run --example pcap --features ja4plus -- capture.pcapng
//! ```
//! It reads TCP over Ethernet, in the order of the file: segments that are reordered or repeated are not reassembled.
#![allow(clippy::print_stdout, reason = "prints its results")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::ops::ControlFlow;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ja4::wire::tcp::SynFields;
use ja4::wire::tls::{
    Carrier, CertificateList, ClientHello, HandshakeMessage, HandshakeStream, HandshakeType, ServerHello,
};
use ja4::wire::x509::X509Certificate;
use ja4::{Forms, Hashers, Input};
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

/// The TLS handshakes of each direction, by its addresses.
#[derive(Default)]
struct PcapFingerprinter {
    directions: HashMap<String, HandshakeStream>,
    hashers: Hashers,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: pcap FILE")?;
    let mut reader = create_reader(1 << 20, File::open(path)?).map_err(|error| error.to_string())?;
    let mut fingerprinter = PcapFingerprinter { hashers: Hashers::new(Forms::Value), ..PcapFingerprinter::default() };
    loop {
        match reader.next() {
            Ok((length, block)) => {
                match block {
                    PcapBlockOwned::Legacy(packet) => fingerprinter.packet(packet.data),
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => fingerprinter.packet(packet.data),
                    PcapBlockOwned::NG(_) | PcapBlockOwned::LegacyHeader(_) => {}
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => reader.refill().map_err(|error| error.to_string())?,
            Err(error) => return Err(error.to_string().into()),
        }
    }
}

impl PcapFingerprinter {
    fn packet(&mut self, frame: &[u8]) {
        let Ok(SlicedPacket { net: Some(net), transport: Some(TransportSlice::Tcp(tcp)), .. }) =
            SlicedPacket::from_ethernet(frame)
        else {
            return;
        };
        let (source, destination) = match net {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string()),
            NetSlice::Arp(_) => return,
        };
        let direction = format!("{source} {} -> {destination} {}", tcp.source_port(), tcp.destination_port());
        if tcp.syn() && !tcp.ack() {
            let fields = SynFields::parse(tcp.window_size(), tcp.options());
            print(&mut self.hashers, &direction, Input::Syn(&fields));
        }
        let stream = self.directions.entry(direction.clone()).or_default();
        stream.push(tcp.payload(), |message| {
            handshake(&mut self.hashers, &direction, &message);
            ControlFlow::Continue(())
        });
    }
}

fn handshake(hashers: &mut Hashers, direction: &str, message: &HandshakeMessage<'_>) {
    match message.kind {
        HandshakeType::CLIENT_HELLO => {
            if let Ok(hello) = ClientHello::parse(message.body, Carrier::Tcp) {
                print(hashers, direction, Input::ClientHello(&hello));
            }
        }
        HandshakeType::SERVER_HELLO => {
            if let Ok(hello) = ServerHello::parse(message.body, Carrier::Tcp) {
                print(hashers, direction, Input::ServerHello(&hello));
            }
        }
        HandshakeType::CERTIFICATE => {
            for der in CertificateList::parse(message.body).into_iter().flatten().flatten() {
                if let Ok(certificate) = X509Certificate::parse(der) {
                    print(hashers, direction, Input::Certificate(&certificate));
                }
            }
        }
        _ => {}
    }
}

/// Prints a fingerprint, if this build has its method.
fn print(hashers: &mut Hashers, direction: &str, input: Input<'_>) {
    if let Some(fingerprint) = hashers.compute(input) {
        println!("{direction} {} {fingerprint}", fingerprint.method().name());
    }
}
