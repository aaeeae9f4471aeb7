//! TLS, DTLS and HTTP inside framings, in every cut and order.

use tests::framing::{PROXY_1, PROXY_1_LONGEST, PROXY_1_UNKNOWN, TDS_OPTIONS, TDS_PRELOGIN, TDS_RESULT, proxy_2, tds};
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

/// Both sides' hellos in TDS packets of all sizes, cut anywhere, and what is no TDS.
pub(super) fn tds_packets(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let flight = hello::server_flight_13(&mut SplitMix64::new(1), 700);
    let mut talks = Talks::new(setting, (51_400, 1433));
    let (asks, answers) = (tds(TDS_PRELOGIN, TDS_OPTIONS, 4088), tds(TDS_RESULT, TDS_OPTIONS, 10));
    for size in [4088, 504, 100, 9, 1] {
        let (asked, answered) = (tds(TDS_PRELOGIN, &hello, size), tds(TDS_RESULT, &flight, size));
        talks.tell(|talk| talk.client(&asks).server(&answers).client(&asked).server(&answered).client(&hello));
        for at in (1..40).chain([500, 512, 700, asked.len() - 1]) {
            let (first, second) = asked.split_at(at);
            talks.tell(|talk| talk.client(&asks).client(first).client(second).server(&answers).server(&answered));
            talks.tell(|talk| {
                let start = asks.len() as u32;
                talk.client(&asks).client_at(start + at as u32, second).client_at(start, first).server(&answered)
            });
        }
    }
    // Each byte of the header changed; packets in the clear; behind a PROXY protocol header; of an SSH server.
    for place in 0..9 {
        for value in [0, 1, 2, 4, 8, 0x12, 0x80, 0xff] {
            let mut other = asks.clone();
            other[place] = value;
            talks.tell(|talk| talk.client(&other).server(&other).client(&hello));
            talks.tell(|talk| talk.client(&asks).client(&other).client(&hello));
        }
    }
    talks.tell(|talk| talk.client(&asks).server(&answers).client(&tds(1, &hello, 4088)).server(&[4; 1400]));
    let wrapped = [PROXY_1, &asks].concat();
    talks.tell(|talk| talk.client(&wrapped).client(&tds(TDS_PRELOGIN, &hello, 4088)));
    talks.stray(&asks);
    let mut talks_22 = Talks::new(setting, (51_401, 22));
    talks_22.tell(|talk| talk.server(&answers).client(&asks).server(b"SSH-2.0-x\r\n"));
    [talks.frames, talks_22.frames].concat()
}
