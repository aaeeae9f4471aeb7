//! Requests of streams in one slice and in many.
use core::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::wire::http::{HttpRequest, HttpVersion, find_lf};
use crate::wire::http2::PREFACE;

const CONTINUE: ControlFlow<()> = ControlFlow::Continue(());

/// A request as text: its line, and its fields.
fn shown(request: &HttpRequest<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let version = if request.version() == HttpVersion::Http10 { "1.0" } else { "1.1" };
    let fields = request.fields().map(|field| format!("|{}={}", text(field.name), text(field.value)));
    format!("{} {} {version}{}", text(request.method()), text(request.target()), fields.collect::<String>())
}

/// What a stream yielded, in order; errors by their name.
type SeenRequest = Vec<String>;

fn push<'b>(stream: &mut Http1Stream, bytes: &'b [u8], seen: &mut SeenRequest) -> Http1Status<'b> {
    stream.push(bytes, |found| {
        seen.push(match found {
            Ok(request) => shown(&request),
            Err(error) => error.as_str().to_owned(),
        });
        CONTINUE
    })
}

/// Pushes `bytes` in slices of these sizes, then the rest. Stops when the stream is not open, and returns its status
/// then.
fn run<'b>(bytes: &'b [u8], sizes: &[usize]) -> (Http1Status<'b>, Vec<u8>, SeenRequest) {
    let (mut stream, mut seen, mut rest) = (Http1Stream::new(), SeenRequest::new(), bytes);
    let mut status = Http1Status::Open;
    for &size in sizes.iter().chain([&usize::MAX]) {
        let (slice, after) = rest.split_at(rest.len().min(size));
        rest = after;
        status = push(&mut stream, slice, &mut seen);
        // The returned bytes are followed by those that were not pushed.
        match status {
            Http1Status::Open => {}
            Http1Status::Http2(left) => {
                status = Http1Status::Http2(&bytes[bytes.len() - after.len() - left.len()..]);
                break;
            }
            Http1Status::Tunnel(left) => {
                status = Http1Status::Tunnel(&bytes[bytes.len() - after.len() - left.len()..]);
                break;
            }
            Http1Status::Lost | Http1Status::Ended => break,
        }
    }
    (status, stream.incomplete_block().to_vec(), seen)
}

fn whole(text: &str) -> SeenRequest {
    run(text.as_bytes(), &[]).2
}

#[test]
fn fields_keep_case_order_and_duplicates() {
    let seen = whole("GET /a HTTP/1.1\r\nHost:  b \r\nx-A:1\r\nX-a: \t2\t\r\nUser-Agent:\r\n\r\n");
    assert_eq!(seen, ["GET /a 1.1|Host=b|x-A=1|X-a=2|User-Agent="]);
}

#[test]
fn lines_may_end_in_a_bare_line_feed_and_targets_may_contain_spaces() {
    assert_eq!(whole("GET /a b  c HTTP/1.0\nHost: d\n\n"), ["GET /a b  c 1.0|Host=d"]);
    assert_eq!(whole("\r\n\nGET  HTTP/1.7 \r\n\r\n"), ["GET  1.1"]);
}

#[test]
fn a_malformed_request_line_ends_the_synchronization() {
    let long = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(MAX_METHOD + 1));
    for text in ["GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "G(T / HTTP/1.1\r\n", " / HTTP/1.1\r\n", "\x16\x03", &long]
    {
        let behind = format!("GET / HTTP/1.1\r\n\r\n{text}");
        for sizes in [vec![], vec![1; 100]] {
            let (status, incomplete_block, seen) = run(behind.as_bytes(), &sizes);
            assert_eq!(
                (status, incomplete_block, &seen[1..]),
                (Http1Status::Lost, vec![], &["magic".to_owned()][..]),
                "{text:?}"
            );
        }
    }
    assert_eq!(whole(&long[1..]).len(), 1);
}

#[test]
fn a_stream_of_another_protocol_is_not_an_error() {
    for text in ["EHLO a\r\n", "USER a\r\n", "AUTH LOGIN\r\n", "HELP\r\n", "QUIT\r\n", "A1 LOGIN a b\r\n"] {
        for sizes in [vec![], vec![4], vec![1; 100]] {
            assert_eq!(run(text.as_bytes(), &sizes), (Http1Status::Lost, vec![], SeenRequest::new()), "{text:?}");
        }
    }
}

#[test]
fn a_line_without_colon_is_counted_and_skipped() {
    let seen = whole("GET / HTTP/1.1\r\n lead: 0\r\nHost: a\r\nnonsense\r\n: b\r\nX : c\r\n\r\nPUT / HTTP/1.1\r\n\r\n");
    assert_eq!(seen, ["GET / 1.1|Host=a|X=c", "value", "PUT / 1.1"]);
}

#[test]
fn a_folded_line_continues_the_value() {
    let text = "GET / HTTP/1.1\r\nCookie: a=1;\r\n\t b=2\n  c\r\nHost: d\r\n  \r\n\r\nGET /2 HTTP/1.0\r\n\r\n";
    let seen = whole(text);
    assert_eq!(seen, ["GET / 1.1|Cookie=a=1;  \t b=2   c|Host=d", "GET /2 1.0"]);
    for sizes in [vec![1; 90], vec![40, 3, 9]] {
        assert_eq!(run(text.as_bytes(), &sizes).2, seen);
    }
}

#[test]
fn bodies_are_skipped() {
    let second = "GET /2 HTTP/1.1\r\n\r\n";
    for (fields, body) in [
        ("Content-Length: 20", "GET /no HTTP/1.1\r\n\r\n"),
        ("Content-Length: 2, 2\r\nContent-Length: 2", "ab"),
        ("Transfer-Encoding: gzip, Chunked\r\nContent-Length: 1", "5\r\nab\n\nc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "A;x=\"y\"\r\n0123456789\r\n1 \nz\n000\r\nGET: /\r\nb: c\r\n\r\n"),
    ] {
        let text = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{body}{second}");
        for sizes in [vec![], vec![1; 200], vec![50, 7, 7, 7]] {
            let (status, _, seen) = run(text.as_bytes(), &sizes);
            assert_eq!((status, seen.len()), (Http1Status::Open, 2), "{text}");
            assert_eq!(seen[1], "GET /2 1.1");
        }
    }
}

#[test]
fn a_body_without_a_known_end_ends_the_synchronization() {
    for (fields, body, error) in [
        ("Transfer-Encoding: chunked, gzip", "", "unsupported"),
        ("Content-Length: -1", "", "bad_length"),
        ("Content-Length: 1\r\nContent-Length: 2", "", "bad_length"),
        ("Content-Length: 18446744073709551616", "", "bad_length"),
        ("Transfer-Encoding: chunked", "x", "value"),
        ("Transfer-Encoding: chunked", "1\r\nabc", "value"),
        ("Transfer-Encoding: chunked", "00000000000000001", "too_long"),
    ] {
        let text = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{body}");
        for sizes in [vec![], vec![1; 200]] {
            let (status, _, seen) = run(text.as_bytes(), &sizes);
            assert_eq!((status, seen[1].as_str()), (Http1Status::Lost, error), "{text}");
        }
    }
}

#[test]
fn a_lost_stream_resynchronizes_at_the_start_of_a_push() {
    let mut stream = Http1Stream::new();
    let mut seen = SeenRequest::new();
    assert_eq!(
        push(&mut stream, b"POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\nprefix", &mut seen),
        Http1Status::Open
    );
    assert!(stream.in_body());
    stream.resync();
    assert!(!stream.in_body());
    for noise in
        [&b"some text GET / HTTP/1.1\r\n\r\n"[..], b"\x82\xff", b"TEXT without end", b"\nGET / HTTP/1.1\r\n\r\n"]
    {
        stream.resync();
        push(&mut stream, noise, &mut seen);
    }
    stream.resync();
    assert_eq!(stream.buffered(), 0);
    assert_eq!(push(&mut stream, b"TEXT\r\n", &mut seen), Http1Status::Lost);
    assert_eq!(push(&mut stream, b"GET /2 HTTP/1.1\r\nHo", &mut seen), Http1Status::Open);
    assert_eq!(push(&mut stream, b"st: a\r\n\r\n", &mut seen), Http1Status::Open);
    assert_eq!(seen, ["POST / 1.1|Content-Length=9999", "GET /2 1.1|Host=a"]);
}

#[test]
fn a_gap_of_known_length_inside_a_body_keeps_the_synchronization() {
    for (field, before, after) in
        [("Content-Length: 60", "12345", "12345"), ("Transfer-Encoding: chunked", "37\r\n", "12345\r\n0\r\n\r\n")]
    {
        let mut stream = Http1Stream::new();
        let mut seen = SeenRequest::new();
        push(&mut stream, format!("POST / HTTP/1.1\r\n{field}\r\n\r\n{before}").as_bytes(), &mut seen);
        stream.skip(50);
        push(&mut stream, after.as_bytes(), &mut seen);
        assert_eq!(push(&mut stream, b"GET /2 HTTP/1.1\r\n\r\n", &mut seen), Http1Status::Open);
        assert_eq!(seen[1], "GET /2 1.1");
        stream.skip(0);
        assert_eq!(push(&mut stream, b"GET /3 HTTP/1.1\r\n", &mut seen), Http1Status::Open);
        stream.skip(1);
        assert_eq!(push(&mut stream, b"\r\n", &mut seen), Http1Status::Lost);
    }
}

#[test]
fn the_preface_leads_to_http2_with_or_without_an_upgrade() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: x, H2C\r\n\r\n";
    for before in ["", upgrade] {
        let bytes = [before.as_bytes(), PREFACE, b"\0\0\0\x04"].concat();
        for sizes in [vec![], vec![1; 200], vec![3, 100], vec![before.len() + 10]] {
            let (status, incomplete_block, seen) = run(&bytes, &sizes);
            assert_eq!(
                (status, incomplete_block.len(), seen.len()),
                (Http1Status::Http2(b"\0\0\0\x04"), 0, before.len().min(1))
            );
        }
    }
    let almost = b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n";
    for sizes in [vec![], vec![1; 30]] {
        assert_eq!(run(almost, &sizes), (Http1Status::Lost, vec![], SeenRequest::new()));
    }
}

#[test]
fn after_connect_another_protocol_may_follow() {
    let connect = "CONNECT a:443 HTTP/1.0\r\n\r\n";
    let hello = [connect.as_bytes(), b"\x16\x03\x01"].concat();
    let (status, incomplete_block, seen) = run(&hello, &[]);
    assert_eq!((status, incomplete_block, seen.len()), (Http1Status::Tunnel(b"\x16\x03\x01"), vec![], 1));
    // Bytes that begin like a method are returned.
    let ssh = [connect.as_bytes(), b"SSH-2.0-x y\r\nmore"].concat();
    for sizes in [vec![], vec![connect.len() + 3], vec![1; 100]] {
        let (status, incomplete_block, seen) = run(&ssh, &sizes);
        let Http1Status::Tunnel(rest) = status else { unreachable!("{status:?}") };
        assert_eq!((&[&incomplete_block, rest].concat()[..], seen.len()), (&b"SSH-2.0-x y\r\nmore"[..], 1));
    }
    // A client repeats its request to a proxy that requires a password.
    let again = format!("{connect}CONNECT a:443 HTTP/1.0\r\nProxy-Authorization: b\r\n\r\n");
    assert_eq!(run(again.as_bytes(), &[]).2.len(), 2);
}

#[test]
fn the_receiver_can_end_the_stream() {
    let mut stream = Http1Stream::new();
    let text = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(stream.push(text, |_| ControlFlow::Break(())), Http1Status::Ended);
    assert_eq!(stream.push(text, |_| unreachable!()), Http1Status::Ended);
}

#[test]
fn a_block_is_borrowed_or_freed() {
    assert!(size_of::<Http1Stream>() <= 80);
    let text = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n";
    let range = text.as_ptr_range();
    let mut stream = Http1Stream::new();
    stream.push(text, |request| {
        assert!(range.contains(&request.unwrap().host().unwrap().as_ptr()));
        CONTINUE
    });
    assert_eq!(stream.buffered(), 0);
    stream.push(&text[..20], |_| unreachable!());
    assert!((20..2048).contains(&stream.buffered()));
    stream.push(&text[20..], |_| CONTINUE);
    assert_eq!(stream.buffered(), 0);
}

#[test]
fn blocks_are_bounded_in_bytes_and_lines() {
    let line = "GET / HTTP/1.1\r\n";
    let bytes = |length: usize| format!("{line}a:{}\r\n\r\n", "b".repeat(length - line.len() - 6));
    let lines = |count: u16| format!("{line}{}\r\n", "a:\r\n".repeat(usize::from(count)));
    for sizes in [vec![], vec![30_000, 30_000], vec![1000; 70]] {
        assert_eq!(run(bytes(MAX_BLOCK).as_bytes(), &sizes).2.len(), 1);
        assert_eq!(run(bytes(MAX_BLOCK + 1).as_bytes(), &sizes).2, ["too_long"]);
        assert_eq!(run(lines(MAX_LINES - 1).as_bytes(), &sizes).2.len(), 1);
        assert_eq!(run(lines(MAX_LINES).as_bytes(), &sizes).2, ["too_many"]);
    }
}

/// Text of streams, with cuts and changes.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x y HTTP/1.0\n",
        "Host: a\r\n",
        "Cookie: b=c\n",
        " folded\r\n",
        "nonsense\r\n",
        "Content-Length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "1234567",
        "CONNECT a HTTP/1.1\r\n",
        "Upgrade: h2c\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "SM\r\n\r\n",
        "\u{16}\u{3}",
        "G",
        ":",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_into_slices_yields_the_same(bytes in pieces(), sizes in prop::collection::vec(1_usize..40, 0..40)) {
        let (status, incomplete_block, seen) = run(&bytes, &sizes);
        let (status_whole, held_whole, seen_whole) = run(&bytes, &[]);
        prop_assert_eq!(seen, seen_whole);
        match (status, status_whole) {
            (Http1Status::Tunnel(rest), Http1Status::Tunnel(whole)) => {
                let (rest, whole) = ([&incomplete_block, rest].concat(), [&held_whole, whole].concat());
                prop_assert_eq!(rest.trim_ascii_start(), whole.trim_ascii_start());
            }
            _ => prop_assert_eq!(status, status_whole),
        }
    }

    #[test]
    fn a_line_feed_is_found(bytes in prop::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'\n')], 0..80)) {
        prop_assert_eq!(find_lf(&bytes), bytes.iter().position(|&byte| byte == b'\n'));
    }
}
