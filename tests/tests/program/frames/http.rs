//! HTTP requests in the clear, and similar payloads.

use tests::hello::Shape;

use super::hello_record;
use super::setting::{ConnectionSeries, Setting};

/// All methods that are identified by their first five bytes.
pub(crate) const METHODS: [&str; 40] = [
    "GET",
    "PUT",
    "ACL",
    "HEAD",
    "POST",
    "COPY",
    "MOVE",
    "LOCK",
    "LINK",
    "BIND",
    "OPTIONS",
    "DELETE",
    "PATCH",
    "CONNECT",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "SEARCH",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "NOTIFY",
    "PURGE",
    "REPORT",
    "MERGE",
    "CHECKIN",
    "CHECKOUT",
    "UNCHECKOUT",
    "UNLOCK",
    "UNLINK",
    "UNBIND",
    "REBIND",
    "UPDATE",
    "LABEL",
    "VERSION-CONTROL",
    "M-SEARCH",
];

/// Connection preface of an HTTP/2 client (RFC 9113, section 3.4), and its SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.org\r\nCookie: a=1; b=2\r\nReferer: /\r\n\r\n";

fn post(length: usize) -> Vec<u8> {
    format!("POST /form HTTP/1.1\r\nHost: example.org\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

/// Returns requests in one segment and in several, with bodies, and pipelined.
pub(super) fn requests(setting: &Setting) -> Vec<Vec<u8>> {
    let mut series = ConnectionSeries::new(setting, (51_300, 80));
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    series.add_connection(|conversation| {
        conversation.client(GET).server_ack().server(reply).client(GET).server(reply).client(GET)
    });
    // Every early split, in order and out of order, and the first segment repeated with the rest.
    for at in (1..=24).chain(GET.len() - 5..GET.len()) {
        let (first, second) = GET.split_at(at);
        series.add_connection(|conversation| conversation.client(first).client(second).server(reply).client(GET));
        series.add_connection(|conversation| conversation.client_at(at as u32, second).client_at(0, first).client(GET));
        series.add_connection(|conversation| conversation.client(first).client_at(0, GET).client(GET));
    }
    series.add_connection(|conversation| {
        GET.iter().fold(conversation, |conversation, byte| conversation.client(&[*byte]))
    });
    // Pipelined requests: all in one segment, and the last one split.
    series.add_connection(|conversation| conversation.client(&[GET, GET, GET].concat()).client(GET));
    series
        .add_connection(|conversation| conversation.client(&[GET, &GET[..30]].concat()).client(&GET[30..]).client(GET));
    // A body within the budget and one beyond it, with a part that looks like a request; then another request.
    for length in [100, 20_000] {
        series.add_connection(|conversation| {
            conversation.client(&post(length));
            for part in vec![b'x'; length].chunks(1400) {
                conversation.client(part);
            }
            conversation.client(GET).server(reply)
        });
        series.add_connection(|conversation| {
            conversation.client(&[&post(length)[..], &[b'x'; 100]].concat());
            for _ in 0..length / 1400 {
                conversation.client(&[b"GET me outta here ", &[b'y'; 1382][..]].concat());
            }
            conversation.client(GET)
        });
    }
    // Between two requests: other data, an out-of-order request, the end of a body with the next request, and a gap.
    let between: [&[u8]; 7] =
        [b"\r\n", b"\r\nGET / HTTP/1.1\r\n\r\n", b"\n", b"G", b"BREW / HTTP/1.1\r\n\r\n", &[7; 300], b""];
    for other in between {
        series.add_connection(|conversation| conversation.client(other).client(GET).client(other).client(GET));
        series.add_connection(|conversation| {
            conversation.client(GET).client_at((GET.len() + other.len()) as u32, GET).client_at(GET.len() as u32, other)
        });
        series.add_connection(|conversation| {
            conversation.client(&post(50)).client(&[&[b'x'; 50][..], other, GET].concat()).client(GET)
        });
        series.add_connection(|conversation| {
            conversation.client(GET).client_at(3000, other).client_at(3000 + other.len() as u32, GET).client(GET)
        });
    }
    // Headers beyond the budget.
    let long = [b"GET / HTTP/1.1\r\nCookie: ", &[b'c'; 20_000][..], b"\r\n\r\n"].concat();
    series.add_connection(|conversation| {
        long.chunks(1000).fold(conversation, |conversation, part| conversation.client(part)).client(GET)
    });
    // Tunnels and upgrades.
    let hello = hello_record(Shape::Curl);
    series.add_connection(|conversation| {
        conversation.client(b"CONNECT a:443 HTTP/1.1\r\n\r\n").server(reply).client(&hello).client(GET)
    });
    series.add_connection(|conversation| {
        conversation.client(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n").server(reply).client(PREFACE)
    });
    // The server sends requests and the client sends responses.
    series.add_connection(|conversation| conversation.server(GET).client(reply).server(GET));
    series.add_midstream(|conversation| conversation.server(GET).client(reply).server(GET).client(GET));
    series.frames
}

/// Returns HTTP/2 prefaces: complete, split, in the middle of a connection, and followed by more than the budget.
pub(super) fn prefaces(setting: &Setting) -> Vec<Vec<u8>> {
    let mut series = ConnectionSeries::new(setting, (51_400, 80));
    for at in 1..=PREFACE.len() {
        let (first, second) = PREFACE.split_at(at);
        series.add_connection(|conversation| conversation.client(first).client(second).server(b"\0\0\0\x04\0\0\0\0\0"));
        series.add_segment(first);
    }
    series.add_connection(|conversation| {
        conversation.client(PREFACE);
        for _ in 0..60 {
            conversation.client(&[&[0, 4, 0, 0, 0, 0, 0, 0, 1][..], &[b'h'; 1391]].concat());
        }
        conversation.client(GET).client(PREFACE)
    });
    series.add_midstream(|conversation| {
        conversation.client(PREFACE).server(b"\0\0\0\x04\0\0\0\0\0").client(GET).server_ack()
    });
    series.frames
}

/// Returns first segments with every method and with similar words, in new and in unknown connections.
pub(super) fn methods(setting: &Setting) -> Vec<Vec<u8>> {
    let mut series = ConnectionSeries::new(setting, (1024, 80));
    let mut words: Vec<Vec<u8>> = Vec::new();
    for method in METHODS {
        let line = format!("{method} /a HTTP/1.1\r\n\r\n").into_bytes();
        // One byte changed, at each of the first five positions.
        for at in 0..5 {
            for change in [line[at] + 1, line[at] ^ 0x20] {
                let mut near = line.clone();
                near[at] = change;
                words.push(near);
            }
        }
        words.push(method.as_bytes().to_vec());
        words.push(line.to_ascii_lowercase());
        words.extend((4..12).map(|length| line[..length].to_vec()));
        words.push(line);
    }
    for word in
        ["BREW /pot HTTP/1.1", "X / HTTP/1.1", "XY / HTTP/1.1", "A-B / HTTP/1.1", "ABC_D / HTTP/1.1", "HTTP/1.1 200"]
    {
        words.push(word.as_bytes().to_vec());
    }
    words.extend((0..=255).map(|first| [&[first], &GET[1..]].concat()));
    words.sort();
    words.dedup();
    for (number, word) in words.iter().enumerate() {
        series.add_segment(word);
        if number % 6 == 0 {
            series.add_connection(|conversation| conversation.client(word));
        }
    }
    series.frames
}
