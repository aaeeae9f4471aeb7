//! Nanoseconds from a message's bytes to its fingerprint, for each method, including parsing.
//!
//! Methods with cached lists are measured with new lists and with cached lists. Each figure is the best round over many
//! messages.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ja4::wire::dhcp4::Dhcp4Message;
use ja4::wire::dhcp6::Dhcp6Message;
use ja4::wire::http1::Http1Stream;
use ja4::wire::tcp::SynFields;
use ja4::wire::tls::{Carrier, HandshakeMessage, ServerHello};
use ja4::wire::x509::X509Certificate;
use ja4::{Forms, Hashers, Input, Retransmissions, SshWindow};
use tests::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS};
use tests::random::SplitMix64;
use tests::{certificate, dhcp, hello, http};

use crate::Scale;
use crate::figure::{Figure, least};

/// Messages in a round: many more than the number of lists that hashers cache.
const MESSAGES: u16 = 4096;

/// DER contents of object identifiers: the attribute type in both names, and an extension.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const POLICIES: &[u8] = &[0x55, 29, 32];

/// Flags of a bare ACK.
const ACK: u16 = 0x10;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut random = SplitMix64::new(1);
    let mut figures = Vec::new();
    let mut hashers = Hashers::new(Forms::Value);

    let hellos: Vec<Vec<u8>> = (0..MESSAGES).map(|_| hello::server_hello_12(&mut random)).collect();
    let fresh = hellos.iter().zip(0..).map(|(hello, number)| {
        // Replaces the type of an extension without a body.
        unlike_others(hello, last(hello, &[0x00, 0x17, 0, 0]), number)
    });
    for (what, hellos) in [("fresh", fresh.collect()), ("repeated", hellos)] {
        let time = best(scale, &hellos, |hello| {
            let body = hello.get(HandshakeMessage::HEADER_LEN..).unwrap_or_default();
            let Ok(hello) = ServerHello::parse(body, Carrier::Tcp) else { return 0 };
            length(&mut hashers, Input::ServerHello(&hello))
        })?;
        figures.push(Figure::new(format!("ServerHello → JA4S, {what}"), time, "ns"));
    }

    let requests: Vec<Vec<u8>> =
        (0..MESSAGES).map(|_| http::browser_request("www.example.org", "/", &mut random)).collect();
    let fresh = requests.iter().zip(0..).map(|(request, number)| unlike_names(request, number));
    for (what, requests) in [("fresh names", fresh.collect()), ("repeated names", requests)] {
        let time = best(scale, &requests, |request| {
            let mut written = 0;
            let _ = Http1Stream::new().push(request, |request| {
                if let Ok(request) = request {
                    written = length(&mut hashers, Input::Request(&request));
                }
                std::ops::ControlFlow::Continue(())
            });
            written
        })?;
        let note = format!("{} bytes, 18 fields, 7 cookies", requests[0].len());
        figures.push(Figure::new(format!("HTTP request → JA4H, {what}"), time, "ns").note(note));
    }

    let leaf = certificate::leaf("www.example.org").build();
    let fresh = (0..MESSAGES).map(|number| {
        // Replaces the last two bytes of the attribute type in each name and of an extension's identifier.
        let places = [first(&leaf, COMMON_NAME), last(&leaf, COMMON_NAME), first(&leaf, POLICIES)];
        places.into_iter().fold(leaf.clone(), |leaf, place| unlike_others(&leaf, place + 1, number))
    });
    for (what, leaves) in [("fresh", fresh.collect()), ("repeated", vec![leaf.clone(); MESSAGES.into()])] {
        let time = best(scale, &leaves, |leaf| {
            let Ok(certificate) = X509Certificate::parse(leaf) else { return 0 };
            length(&mut hashers, Input::Certificate(&certificate))
        })?;
        figures
            .push(Figure::new(format!("certificate → JA4X, {what}"), time, "ns").note(format!("{} bytes", leaf.len())));
    }

    figures.extend(ssh(scale));

    for (what, window, options) in
        [("SYN → JA4T", 64_240, LINUX_SYN_OPTIONS), ("SYN-ACK → JA4TS", 65_160, LINUX_SYN_ACK_OPTIONS)]
    {
        let syns = vec![options.to_vec(); MESSAGES.into()];
        let time = best(scale, &syns, |options| {
            length(&mut hashers, Input::SynAck(&SynFields::parse(window, options), &Retransmissions::default()))
        })?;
        figures.push(Figure::new(what, time, "ns"));
    }
    let between: Vec<Vec<u8>> = (0..MESSAGES).map(|number| number.to_be_bytes().to_vec()).collect();
    let time = best(scale, &between, |between| {
        length(&mut hashers, Input::ClientLatency(Duration::from_micros(between.len() as u64 * 7_919), 64))
    })?;
    figures.push(Figure::new("two times → JA4L", time, "ns"));

    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|_| dhcp::client_v4(3, random.bytes())).collect();
    let time = best(scale, &messages, |message| {
        let Ok(message) = Dhcp4Message::parse(message) else { return 0 };
        length(&mut hashers, Input::Dhcp4(&message))
    })?;
    figures.push(Figure::new("DHCPv4 request → JA4D", time, "ns"));
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|_| dhcp::client_v6(3, random.bytes())).collect();
    let time = best(scale, &messages, |message| {
        let Ok(message) = Dhcp6Message::parse(message) else { return 0 };
        length(&mut hashers, Input::Dhcp6(&message))
    })?;
    figures.push(Figure::new("DHCPv6 request → JA4D6", time, "ns"));
    Ok(figures)
}

/// Measures the counting of a packet, including bare ACKs, and the fingerprint of a full window.
fn ssh(scale: Scale) -> [Figure; 2] {
    const WINDOWS: u32 = 64;
    let packets = u32::from(SshWindow::DEFAULT_SIZE.get());
    let mut window = SshWindow::default();
    let mut hashers = Hashers::new(Forms::Value);
    let (mut counted, mut written) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..scale.of(200, 5) {
        let (mut counting, mut writing) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..WINDOWS {
            let begun = Instant::now();
            for number in 0..packets {
                // Client and server alternate, with five distinct lengths.
                let length = black_box([36, 36, 52, 100, 36, 1448, 44, 36][number as usize % 8]);
                black_box(window.packet(number % 2 == 0, length));
                if SshWindow::is_bare_ack(black_box(ACK), 0) {
                    window.ack(number % 2 == 1);
                }
            }
            let full = Instant::now();
            black_box(hashers.compute(Input::SshWindow(&mut window)));
            counting += full - begun;
            writing += full.elapsed();
        }
        counted = counted.min(counting.as_nanos() as f64 / f64::from(WINDOWS * packets));
        written = written.min(writing.as_nanos() as f64 / f64::from(WINDOWS));
    }
    [
        Figure::new("SSH packet and ACK → counted", counted, "ns"),
        Figure::new("full window → JA4SSH", written, "ns").note(format!("{packets} packets, five lengths")),
    ]
}

/// Returns the length of the fingerprint of `input`, bytes.
fn length(hashers: &mut Hashers, input: Input<'_>) -> usize {
    hashers.compute(input).map_or(0, |fingerprint| fingerprint.as_str().len())
}

/// Returns the best round over all messages, nanoseconds per message. `fingerprint` returns the length of the value.
fn best(scale: Scale, messages: &[Vec<u8>], mut fingerprint: impl FnMut(&[u8]) -> usize) -> Result<f64> {
    let length = fingerprint(&messages[0]);
    ensure!(length > 0, "no fingerprint");
    let rounds = (0..scale.of(60, 5)).map(|_| {
        let begun = Instant::now();
        for message in messages {
            black_box(fingerprint(black_box(message)));
        }
        begun.elapsed().as_nanos() as f64 / messages.len() as f64
    });
    Ok(least(rounds.collect::<Vec<_>>()))
}

/// Returns the message with the two bytes at `place` replaced by a code point unique to `number`.
fn unlike_others(message: &[u8], place: usize, number: u16) -> Vec<u8> {
    let mut message = message.to_vec();
    message[place..place + 2].copy_from_slice(&(0xe000 | number).to_be_bytes());
    message
}

/// Returns the request with `DNT` replaced by a field name unique to `number`.
fn unlike_names(request: &[u8], number: u16) -> Vec<u8> {
    let letters = [number, number >> 4, number >> 8].map(|bits| b'a' + (bits % 16) as u8);
    let mut request = request.to_vec();
    let place = first(&request, b"DNT:");
    request[place..place + 3].copy_from_slice(&letters);
    request
}

fn first(message: &[u8], what: &[u8]) -> usize {
    message.windows(what.len()).position(|bytes| bytes == what).expect("it is in the message")
}

fn last(message: &[u8], what: &[u8]) -> usize {
    message.windows(what.len()).rposition(|bytes| bytes == what).expect("it is in the message")
}
