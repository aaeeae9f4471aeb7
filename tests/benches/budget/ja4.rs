//! Nanoseconds from a ClientHello's bytes to its JA4, including parsing.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use ja4::wire::tls::{Carrier, ClientHello, HandshakeMessage, extension_type};
use ja4::{Forms, Hashers, Input};
use tests::hello::Shape;
use tests::random::SplitMix64;

use crate::Scale;
use crate::figure::{Figure, least};

/// Number of hellos: many more than the number of lists that hashers cache.
const HELLOS: u32 = 4096;

/// Offset of the first cipher suite after the GREASE suite in a ClientHello with a session ID of 32 bytes: the message
/// header, version, random, session ID, length of the cipher suites, and the GREASE suite.
const SECOND_SUITE: usize = 4 + 2 + 32 + 1 + 32 + 2 + 2;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut random = SplitMix64::new(1);
    let repeated: Vec<Vec<u8>> =
        (0..HELLOS).map(|_| Shape::Browser.client_hello("www.example.org", &mut random)).collect();
    let mut fresh = repeated.clone();
    for (number, hello) in (0..).zip(&mut fresh) {
        make_unique(hello, number).context("a hello without signature algorithms")?;
    }
    Ok(vec![
        Figure::new("ClientHello → JA4, fresh lists", nanoseconds(&fresh, scale), "ns").at_most(450.0),
        Figure::new("ClientHello → JA4, repeated (permuted, GREASE)", nanoseconds(&repeated, scale), "ns")
            .at_most(150.0),
    ])
}

/// Returns the best round over all hellos, nanoseconds per hello.
fn nanoseconds(hellos: &[Vec<u8>], scale: Scale) -> f64 {
    let mut hashers = Hashers::new(Forms::Value);
    let rounds = (0..scale.of(100, 5)).map(|_| {
        let begun = Instant::now();
        for hello in hellos {
            let body = black_box(hello).get(HandshakeMessage::HEADER_LEN..).unwrap_or_default();
            if let Ok(hello) = ClientHello::parse(body, Carrier::Tcp) {
                black_box(hashers.compute(Input::ClientHello(&hello)));
            }
        }
        begun.elapsed().as_nanos() as f64 / hellos.len() as f64
    });
    least(rounds.collect::<Vec<_>>())
}

/// Writes a unique cipher suite and signature algorithm into a hello, so that its lists are not cached.
fn make_unique(hello: &mut [u8], number: u16) -> Option<()> {
    let value = (0xe000 | number).to_be_bytes();
    let body = hello.get(HandshakeMessage::HEADER_LEN..)?;
    let parsed = ClientHello::parse(body, Carrier::Tcp).ok()?;
    let algorithms =
        parsed.extensions.iter().find(|extension| extension.kind == extension_type::SIGNATURE_ALGORITHMS)?;
    let place = algorithms.body.as_ptr() as usize - hello.as_ptr() as usize;
    hello.get_mut(SECOND_SUITE..)?.first_chunk_mut().map(|suite: &mut [u8; 2]| *suite = value)?;
    hello.get_mut(place + 2..)?.first_chunk_mut().map(|algorithm: &mut [u8; 2]| *algorithm = value)
}
