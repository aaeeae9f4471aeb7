//! Memory use of a million connections over a day of capture time.
use std::io::{BufWriter, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use tests::hello::{self, Shape};
use tests::packets::{ACK, ETHERNET, Envelope, PSH, PcapWriter, RST, SYN, TcpSegment};
use tests::random::SplitMix64;
use tests::{Sensor, events, stats_u64};

const CONNECTIONS: u32 = 1_000_000;

/// Interval between two connections, nanoseconds: a million connections in a day.
const INTERVAL: u64 = 86_400_000_000_000 / CONNECTIONS as u64;

/// Memory budget of a million connections, MiB.
const BUDGET: i64 = 1024;

/// One of `HELLO` connections sends a ClientHello, and one of `OPEN` is never closed.
const HELLO: u32 = 4;
const OPEN: u32 = 16;

/// Returns the segments of a connection: a SYN, optionally a ClientHello, and the server's RST. Clients are in a /16
/// and vary their options, so that the per-host and per-value state fills up too.
fn segments(number: u32, hello: &[u8]) -> impl Iterator<Item = TcpSegment<'_>> {
    const MSS: [&[u8]; 4] = [&[2, 4, 5, 180], &[2, 4, 5, 172], &[2, 4, 5, 100], &[2, 4, 4, 216]];
    let at = |address: u32, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(address)), port);
    let from = at(0x0a01_0000 | (number % 65_521), 1024 + (number / 65_521 * 997 % 60_000) as u16);
    let to = at(0xc633_6400 | (number % 251), 443);
    let window = (number % 1000) as u16 + 64_000;
    let options = MSS[number as usize % MSS.len()];
    let syn = TcpSegment { from, to, ttl: 64, seq: number, ack: 0, flags: SYN, window, options, payload: &[] };
    let next = number.wrapping_add(1);
    let hello = TcpSegment { seq: next, ack: 1, flags: PSH | ACK, options: &[], payload: hello, ..syn };
    let reset = TcpSegment { from: to, to: from, seq: 0, ack: next, flags: RST | ACK, options: &[], ..syn };
    let (sends_hello, closes) = (number.is_multiple_of(HELLO), !number.is_multiple_of(OPEN));
    [Some(syn), sends_hello.then_some(hello), closes.then_some(reset)].into_iter().flatten()
}

#[test]
fn a_million_connections_of_a_day_stay_within_the_budget() {
    // The capture is piped to stdin and never written to disk.
    let mut sensor = Sensor::new()
        .command(&["replay", "--types", "stats", "--max-connections", "1000000", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, mut stdout) = (sensor.stdin.take().unwrap(), sensor.stdout.take().unwrap());
    let output = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let mut pcap = PcapWriter::new(BufWriter::with_capacity(1 << 18, stdin), ETHERNET).unwrap();
    let mut frame = Vec::new();
    let mut time = 1_795_417_200_000_000_000;
    let hello = hello::records(&Shape::Curl.client_hello("www.example.org", &mut SplitMix64::new(1)), usize::MAX);
    for number in 0..CONNECTIONS {
        for segment in segments(number, &hello) {
            frame.clear();
            segment.write(&Envelope::default(), &mut frame);
            pcap.packet(time, &frame).unwrap();
            time += INTERVAL / 3;
        }
    }
    pcap.finish().unwrap();
    assert!(sensor.wait().unwrap().success());
    let output = events::parse(&output.join().unwrap().unwrap());
    let stats = output.last().unwrap();
    assert_eq!(stats_u64(stats, &["shards", "opened"]), u64::from(CONNECTIONS));
    assert_eq!(stats_u64(stats, &["engine", "ended"]), u64::from(CONNECTIONS));
    assert_eq!(stats_u64(stats, &["shards", "ended", "evicted"]), 0, "connections were evicted below the limit");
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    eprintln!("{peak} MiB at its peak");
    assert!(peak <= BUDGET, "{peak} MiB at its peak");
}
