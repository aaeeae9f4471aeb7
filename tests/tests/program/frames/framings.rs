//! TLS, DTLS and HTTP inside framings, in every cut and order.

use tests::framing::{PROXY_1, PROXY_1_LONGEST, PROXY_1_UNKNOWN, proxy_2};
use tests::hello::{self, Shape};
use tests::random::SplitMix64;

use super::hello_record;
use super::setting::{Setting, Talks};

/// PROXY protocol headers, whole and cut, before what a client may send.
pub(super) fn proxy(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let flight = hello::server_flight_13(&mut SplitMix64::new(1), 700);
    let mut talks = Talks::new(setting, (51_300, 443));
    let (short, long, endless) = (proxy_2(0), proxy_2(3000), [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat());
    let unknown = [&short[..12], &[0x31], &short[13..]].concat();
    let headers = [PROXY_1, PROXY_1_UNKNOWN, PROXY_1_LONGEST, &short, &long, &endless, &unknown];
    let behind: [&[u8]; 6] =
        [&hello, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO a\r\n", PROXY_1, b""];
    for header in headers {
        for behind in behind {
            let stream = [header, behind].concat();
            talks.tell(|talk| talk.client(&stream).server(&flight).client(&hello));
            for at in [1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 16, header.len(), header.len() + 3, header.len() + 700] {
                let Some((first, second)) = stream.split_at_checked(at) else {
                    continue;
                };
                talks.tell(|talk| talk.client(first).client(second).server(&flight));
                talks.tell(|talk| talk.client_at(at as u32, second).client_at(0, first).client_at(0, &stream));
            }
        }
        // From the other side, behind a dialogue, and of an unknown connection.
        let stream = [header, &hello].concat();
        talks.tell(|talk| talk.server(&stream).client(&stream));
        talks.tell(|talk| talk.client(b"hello\r\n").client(&stream));
        talks.tell(|talk| talk.client(b"GET / HTTP/1.1\r\n\r\n").client(&stream));
        talks.stray(&stream);
    }
    talks.frames
}
