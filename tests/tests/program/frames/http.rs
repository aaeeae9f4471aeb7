//! HTTP requests in the clear, and similar payloads.

use tests::hello::Shape;

use super::hello_record;
use super::setting::{Setting, Talks};

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
    let mut talks = Talks::new(setting, (51_300, 80));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    talks.tell(|talk| talk.client(GET).server_ack().server(answer).client(GET).server(answer).client(GET));
    // Every early split, in order and out of order, and the first segment repeated with the rest.
    for at in (1..=24).chain(GET.len() - 5..GET.len()) {
        let (first, second) = GET.split_at(at);
        talks.tell(|talk| talk.client(first).client(second).server(answer).client(GET));
        talks.tell(|talk| talk.client_at(at as u32, second).client_at(0, first).client(GET));
        talks.tell(|talk| talk.client(first).client_at(0, GET).client(GET));
    }
    talks.tell(|talk| GET.iter().fold(talk, |talk, byte| talk.client(&[*byte])));
    // Pipelined requests: all in one segment, and the last one split.
    talks.tell(|talk| talk.client(&[GET, GET, GET].concat()).client(GET));
    talks.tell(|talk| talk.client(&[GET, &GET[..30]].concat()).client(&GET[30..]).client(GET));
    // A body within the budget and one beyond it, with a part that looks like a request; then another request.
    for length in [100, 20_000] {
        talks.tell(|talk| {
            talk.client(&post(length));
            for part in vec![b'x'; length].chunks(1400) {
                talk.client(part);
            }
            talk.client(GET).server(answer)
        });
        talks.tell(|talk| {
            talk.client(&[&post(length)[..], &[b'x'; 100]].concat());
            for _ in 0..length / 1400 {
                talk.client(&[b"GET me outta here ", &[b'y'; 1382][..]].concat());
            }
            talk.client(GET)
        });
    }
    // Between two requests: other data, an out-of-order request, the end of a body with the next request, and a gap.
    let between: [&[u8]; 7] =
        [b"\r\n", b"\r\nGET / HTTP/1.1\r\n\r\n", b"\n", b"G", b"BREW / HTTP/1.1\r\n\r\n", &[7; 300], b""];
    for odd in between {
        talks.tell(|talk| talk.client(odd).client(GET).client(odd).client(GET));
        talks.tell(|talk| {
            talk.client(GET).client_at((GET.len() + odd.len()) as u32, GET).client_at(GET.len() as u32, odd)
        });
        talks.tell(|talk| talk.client(&post(50)).client(&[&[b'x'; 50][..], odd, GET].concat()).client(GET));
        talks.tell(|talk| talk.client(GET).client_at(3000, odd).client_at(3000 + odd.len() as u32, GET).client(GET));
    }
    // Headers beyond the budget.
    let long = [b"GET / HTTP/1.1\r\nCookie: ", &[b'c'; 20_000][..], b"\r\n\r\n"].concat();
    talks.tell(|talk| long.chunks(1000).fold(talk, |talk, part| talk.client(part)).client(GET));
    // Tunnels and upgrades.
    let hello = hello_record(Shape::Curl);
    talks.tell(|talk| talk.client(b"CONNECT a:443 HTTP/1.1\r\n\r\n").server(answer).client(&hello).client(GET));
    talks.tell(|talk| talk.client(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n").server(answer).client(PREFACE));
    // The server sends requests and the client sends responses.
    talks.tell(|talk| talk.server(GET).client(answer).server(GET));
    talks.join(|talk| talk.server(GET).client(answer).server(GET).client(GET));
    talks.frames
}

/// Returns HTTP/2 prefaces: complete, split, in the middle of a connection, and followed by more than the budget.
pub(super) fn prefaces(setting: &Setting) -> Vec<Vec<u8>> {
    let mut talks = Talks::new(setting, (51_400, 80));
    for at in 1..=PREFACE.len() {
        let (first, second) = PREFACE.split_at(at);
        talks.tell(|talk| talk.client(first).client(second).server(b"\0\0\0\x04\0\0\0\0\0"));
        talks.stray(first);
    }
    talks.tell(|talk| {
        talk.client(PREFACE);
        for _ in 0..60 {
            talk.client(&[&[0, 4, 0, 0, 0, 0, 0, 0, 1][..], &[b'h'; 1391]].concat());
        }
        talk.client(GET).client(PREFACE)
    });
    talks.join(|talk| talk.client(PREFACE).server(b"\0\0\0\x04\0\0\0\0\0").client(GET).server_ack());
    talks.frames
}

/// Returns first segments with every method and with similar words, in new and in unknown connections.
pub(super) fn methods(setting: &Setting) -> Vec<Vec<u8>> {
    let mut talks = Talks::new(setting, (1024, 80));
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
        talks.stray(word);
        if number % 6 == 0 {
            talks.tell(|talk| talk.client(word));
        }
    }
    talks.frames
}
