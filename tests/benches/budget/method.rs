//! Nanoseconds from a message's bytes to its fingerprint, for each method, parsing included.
//!
//! Where an engine remembers lists, messages are measured whose lists it has not seen, and messages whose lists it has.
//! The best of the rounds over many messages.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ja4::fingerprint::ja4h::{Ja4hEngine, Ja4hValues};
use ja4::fingerprint::ja4s::{Ja4sEngine, Ja4sValues};
use ja4::fingerprint::ja4ssh::{self, DEFAULT_WINDOW, Window};
use ja4::fingerprint::ja4t::{Retransmissions, SynFields};
use ja4::fingerprint::ja4x::{Ja4xEngine, Ja4xValues};
use ja4::fingerprint::{Carrier, Forms, ja4d, ja4d6, ja4l};
use ja4::wire::http1::Http1Stream;
use ja4::wire::tls::{HandshakeMessage, ServerHello};
use ja4::wire::x509::Certificate;
use ja4::wire::{dhcp4, dhcp6};
use tests::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS};
use tests::random::SplitMix64;
use tests::{certificate, dhcp, hello, http};

use crate::Scale;
use crate::figure::{Figure, least};

/// Messages of a round: more than an engine remembers lists of, by far.
const MESSAGES: u16 = 4096;

/// Object identifiers, as the content of their DER: one in each name, and that of an extension.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const POLICIES: &[u8] = &[0x55, 29, 32];

/// Flags of a bare ACK.
const ACK: u16 = 0x10;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut random = SplitMix64::new(1);
    let mut figures = Vec::new();

    let hellos: Vec<Vec<u8>> = (0..MESSAGES).map(|_| hello::server_hello_12(&mut random)).collect();
    let fresh = hellos.iter().zip(0..).map(|(hello, number)| {
        // The type of an extension without a body.
        unlike_others(hello, last(hello, &[0x00, 0x17, 0, 0]), number)
    });
    let mut engine = Ja4sEngine::new();
    let mut values = Ja4sValues::default();
    for (what, hellos) in [("fresh", fresh.collect()), ("repeated", hellos)] {
        let time = best(scale, &hellos, |hello| {
            let body = hello.get(HandshakeMessage::HEADER_LEN..).unwrap_or_default();
            if let Ok(hello) = ServerHello::parse(body) {
                engine.ja4s(&hello, Carrier::Tcp, Forms::Value, &mut values);
            }
            values.value.len()
        })?;
        figures.push(Figure::new(format!("ServerHello → JA4S, {what}"), time, "ns"));
    }

    let requests: Vec<Vec<u8>> =
        (0..MESSAGES).map(|_| http::browser_request("www.example.org", "/", &mut random)).collect();
    let fresh = requests.iter().zip(0..).map(|(request, number)| unlike_names(request, number));
    let mut engine = Ja4hEngine::new();
    let mut values = Ja4hValues::default();
    for (what, requests) in [("fresh names", fresh.collect()), ("repeated names", requests)] {
        let time = best(scale, &requests, |request| {
            let _ = Http1Stream::new().push(request, |request| {
                if let Ok(request) = request {
                    engine.ja4h(&request, Forms::Value, &mut values);
                }
                std::ops::ControlFlow::Continue(())
            });
            values.value.len()
        })?;
        let note = format!("{} bytes, 18 fields, 7 cookies", requests[0].len());
        figures.push(Figure::new(format!("HTTP request → JA4H, {what}"), time, "ns").note(note));
    }

    let leaf = certificate::leaf("www.example.org").build();
    let fresh = (0..MESSAGES).map(|number| {
        // An attribute's type in each name, and an extension's: the last two bytes of their identifiers.
        let places = [first(&leaf, COMMON_NAME), last(&leaf, COMMON_NAME), first(&leaf, POLICIES)];
        places.into_iter().fold(leaf.clone(), |leaf, place| unlike_others(&leaf, place + 1, number))
    });
    let mut engine = Ja4xEngine::new();
    let mut values = Ja4xValues::default();
    for (what, leaves) in [("fresh", fresh.collect()), ("repeated", vec![leaf.clone(); MESSAGES.into()])] {
        let time = best(scale, &leaves, |leaf| {
            if let Ok(certificate) = Certificate::parse(leaf) {
                engine.ja4x(&certificate, Forms::Value, &mut values);
            }
            values.value.len()
        })?;
        figures
            .push(Figure::new(format!("certificate → JA4X, {what}"), time, "ns").note(format!("{} bytes", leaf.len())));
    }

    figures.extend(ssh(scale));

    let mut text = String::new();
    for (what, window, options) in
        [("SYN → JA4T", 64_240, LINUX_SYN_OPTIONS), ("SYN-ACK → JA4TS", 65_160, LINUX_SYN_ACK_OPTIONS)]
    {
        let syns = vec![options.to_vec(); MESSAGES.into()];
        let time = best(scale, &syns, |options| {
            text.clear();
            SynFields::parse(window, options).write_with(&Retransmissions::default(), &mut text);
            text.len()
        })?;
        figures.push(Figure::new(what, time, "ns"));
    }
    let between: Vec<Vec<u8>> = (0..MESSAGES).map(|number| number.to_be_bytes().to_vec()).collect();
    let time = best(scale, &between, |between| {
        text.clear();
        ja4l::write(Duration::from_micros(between.len() as u64 * 7_919), 64, &mut text);
        text.len()
    })?;
    figures.push(Figure::new("two times → JA4L", time, "ns"));

    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|_| dhcp::client_v4(3, random.bytes())).collect();
    let time = best(scale, &messages, |message| {
        text.clear();
        if let Ok(message) = dhcp4::Message::parse(message) {
            ja4d::write(&message, &mut text);
        }
        text.len()
    })?;
    figures.push(Figure::new("DHCPv4 request → JA4D", time, "ns"));
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|_| dhcp::client_v6(3, random.bytes())).collect();
    let time = best(scale, &messages, |message| {
        text.clear();
        if let Ok(message) = dhcp6::Message::parse(message) {
            ja4d6::write(&message, &mut text);
        }
        text.len()
    })?;
    figures.push(Figure::new("DHCPv6 request → JA4D6", time, "ns"));
    Ok(figures)
}

/// A counted packet, bare ACKs beside it, and what a window costs once it is full.
fn ssh(scale: Scale) -> [Figure; 2] {
    const WINDOWS: u32 = 64;
    let packets = u32::from(DEFAULT_WINDOW.get());
    let mut window = Window::new(DEFAULT_WINDOW);
    let mut text = String::new();
    let (mut counted, mut written) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..scale.of(200, 5) {
        let (mut counting, mut writing) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..WINDOWS {
            let begun = Instant::now();
            for number in 0..packets {
                // One side types, the other answers, in a handful of lengths.
                let length = black_box([36, 36, 52, 100, 36, 1448, 44, 36][number as usize % 8]);
                black_box(window.packet(number % 2 == 0, length));
                if ja4ssh::is_bare_ack(black_box(ACK), 0) {
                    window.ack(number % 2 == 1);
                }
            }
            let full = Instant::now();
            text.clear();
            window.write(&mut text);
            black_box(&text);
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

/// Best of the rounds over all messages, nanoseconds for one. `fingerprint` gives the length of the value.
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

/// The message with two bytes at this place that no other number gives: a code point of its own.
fn unlike_others(message: &[u8], place: usize, number: u16) -> Vec<u8> {
    let mut message = message.to_vec();
    message[place..place + 2].copy_from_slice(&(0xe000 | number).to_be_bytes());
    message
}

/// The request with a field name of its own in place of `DNT`.
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
