//! JA4H of requests that are not in public captures (specification, section 5).

use super::*;

const NONE: &str = "000000000000";

/// Returns the JA4H of each request, each on its own connection.
fn ja4h<T: AsRef<[u8]>>(requests: impl IntoIterator<Item = T>) -> Vec<String> {
    let events = replay_each(requests, |conversation, request| {
        conversation.handshake();
        for segment in request.as_ref().chunks(1400) {
            conversation.client(segment);
        }
        conversation.server(b"HTTP/1.1 204 No Content\r\n\r\n").close();
    });
    values(&events, "ja4h").into_iter().map(str::to_owned).collect()
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{headers}\r\n")
}

#[test]
fn the_header_count_stops_at_99_and_the_hash_covers_all_headers() {
    let many: String = (0..120).map(|number| format!("X-Header-{number:03}: {number}\r\n")).collect();
    // SHA-256 over `Host,X-Header-000,…,X-Header-119`.
    assert_eq!(ja4h([get(&format!("Host: h\r\n{many}"))]), [format!("ge11nn990000_44ef7985218a_{NONE}_{NONE}")]);
}

#[test]
fn a_cookie_header_without_a_cookie_sets_only_the_flag() {
    for cookie in ["Cookie:", "Cookie: ", "Cookie: ;", "Cookie: ; ;;  ; "] {
        let value = ja4h([get(&format!("Host: h\r\n{cookie}\r\n"))]);
        assert_eq!(value, [format!("ge11cn010000_4a823118b9ba_{NONE}_{NONE}")], "{cookie}");
    }
}

/// Sorted by name, equal names in order of arrival: `a,a,flag,visitor_id,visitor_id-hash` and
/// `a=x=y,a=b,flag,visitor_id=1,visitor_id-hash=2`.
#[test]
fn cookies_are_sorted_by_name_with_any_separators() {
    let headers = "Host: h\r\nCookie: visitor_id-hash=2;visitor_id=1;  flag ;a=x=y;\r\nCOOKIE: a=b\r\n";
    assert_eq!(ja4h([get(headers)]), ["ge11cn010000_4a823118b9ba_c0b866b6a22b_603aed1c4fb9"]);
}

#[test]
fn raw_values_have_four_sections_and_list_neither_cookie_nor_referer() {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(get("Host: h\r\n").as_bytes());
    let headers = "Host: h\r\nCookie: visitor_id-hash=2;a=b\r\nReferer: r\r\nAccept-Language: en;q=0.5\r\n";
    conversation.server(b"HTTP/1.1 204 No Content\r\n\r\n").client(get(headers).as_bytes()).close();
    let events = run(&conversation, &["--raw"]).events();
    let raw = |field_name: &str| {
        let all = fingerprints(&events).into_iter().map(|event| &event["fingerprint"]);
        all.filter(|value| value["type"] == "ja4h").map(|value| value[field_name].clone()).collect::<Vec<_>>()
    };
    let sorted = "ge11cr02en00_Host,Accept-Language_a,visitor_id-hash_a=b,visitor_id-hash=2";
    assert_eq!(raw("raw"), ["ge11nn010000_Host__", sorted]);
    let arrived = "ge11cr02en00_Host,Accept-Language_visitor_id-hash,a_visitor_id-hash=2,a=b";
    assert_eq!(raw("raw_original"), ["ge11nn010000_Host__", arrived]);
    assert_eq!(raw("count"), [1, 2]);
}

#[test]
fn cookie_and_referer_are_matched_by_full_name_in_any_case() {
    let values = ja4h([
        get("Host: h\r\nX-Referer: r\r\nCookie2: $Version=1\r\n"),
        get("Host: h\r\nREFERER: r\r\ncOOkie: a=b\r\n"),
    ]);
    // `Host,X-Referer,Cookie2`; `Host`, `a`, `a=b`.
    let expected = [
        format!("ge11nn030000_f4e73738c1e7_{NONE}_{NONE}"),
        "ge11cr010000_4a823118b9ba_ca978112ca1b_42144f3939c3".into(),
    ];
    assert_eq!(values, expected);
}

#[test]
fn the_first_language_is_printed_in_four_characters() {
    let table = [
        ("da, en-GB;q=0.8", "da00"),
        ("en-US,en;q=0.9", "enus"),
        ("ru-RU", "ruru"),
        ("en;q=0.5", "en00"),
        ("es-419", "es41"),
        ("zh-Hans-CN", "zhha"),
        ("  fr-CH  , de", "frch"),
        ("", "0000"),
        (" , en", "0000"),
    ];
    let values = ja4h(table.map(|(language, _)| get(&format!("Host: h\r\nAccept-Language:{language}\r\n"))));
    let expected = table.map(|(_, code)| format!("ge11nn02{code}_09e340ee0db0_{NONE}_{NONE}"));
    assert_eq!(values, expected);
}

#[test]
fn lines_may_end_in_a_bare_line_feed_and_targets_have_spaces() {
    let values =
        ja4h(["GET / HTTP/1.1\nHost: h\nUser-Agent:\n\n", "GET /two words and more HTTP/1.0\r\nUser-Agent: \r\n\r\n"]);
    // `Host,User-Agent`; `User-Agent` without a value, as in the specification.
    let expected =
        [format!("ge11nn020000_818f42cc3fd7_{NONE}_{NONE}"), format!("ge10nn010000_b8bcd45ac095_{NONE}_{NONE}")];
    assert_eq!(values, expected);
}

#[test]
fn every_method_has_its_two_letters() {
    let table = [
        ("GET", "ge"),
        ("HEAD", "he"),
        ("OPTIONS", "op"),
        ("TRACE", "tr"),
        ("DELETE", "de"),
        ("PUT", "pu"),
        ("POST", "po"),
        ("PATCH", "pa"),
        ("CONNECT", "co"),
        ("ACL", "ac"),
        ("BASELINE-CONTROL", "ba"),
        ("BIND", "bi"),
        ("CHECKIN", "cn"),
        ("CHECKOUT", "ct"),
        ("COPY", "cy"),
        ("LABEL", "la"),
        ("LINK", "li"),
        ("LOCK", "lo"),
        ("MERGE", "me"),
        ("MKACTIVITY", "ma"),
        ("MKCALENDAR", "mc"),
        ("MKCOL", "ml"),
        ("MKREDIRECTREF", "mr"),
        ("MKWORKSPACE", "mw"),
        ("MOVE", "mo"),
        ("NOTIFY", "no"),
        ("PROPFIND", "pf"),
        ("PROPPATCH", "pp"),
        ("PURGE", "pr"),
        ("REBIND", "rb"),
        ("REPORT", "rp"),
        ("SEARCH", "se"),
        ("SUBSCRIBE", "su"),
        ("UNBIND", "ub"),
        ("UNCHECKOUT", "uc"),
        ("UNLINK", "ui"),
        ("UNLOCK", "uo"),
        ("UNSUBSCRIBE", "un"),
        ("UPDATE", "up"),
        ("UPDATEREDIRECTREF", "ur"),
        ("VERSION-CONTROL", "ve"),
        ("BREW", "00"),
    ];
    let values = ja4h(table.map(|(method, _)| format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n")));
    let expected = table.map(|(_, code)| format!("{code}11nn010000_4a823118b9ba_{NONE}_{NONE}"));
    assert_eq!(values, expected);
}

#[test]
fn each_request_of_a_connection_has_its_value() {
    let mut conversation = TcpConversation::new();
    let response = b"HTTP/1.1 204 No Content\r\n\r\n";
    // The body looks like a request but is not one.
    let body = "GET /x HTTP/1.1\r\nX: y\r\n\r\n";
    let post = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    conversation
        .handshake()
        .client(post.as_bytes())
        .server(response)
        .client(get("Host: h\r\n").as_bytes())
        .server(response);
    conversation.client(get("Host: h\r\nUser-Agent: u\r\n").as_bytes()).server(response).close();
    let expected = [
        format!("po11nn020000_13f82037755a_{NONE}_{NONE}"),
        format!("ge11nn010000_4a823118b9ba_{NONE}_{NONE}"),
        format!("ge11nn020000_818f42cc3fd7_{NONE}_{NONE}"),
    ];
    assert_eq!(values(&replay(&conversation), "ja4h"), expected);
}

/// Each segment of the body starts with a request line, including segments after missing ones. After missing
/// segments, the next request may be missed as well.
#[test]
fn a_request_within_a_body_is_not_fingerprinted() {
    let inner = format!("{:<600}", get("Host: h\r\nX: y\r\n"));
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n";
    let start = post.len() as u32;
    let expected =
        [format!("po11nn020000_13f82037755a_{NONE}_{NONE}"), format!("ge11nn010000_4a823118b9ba_{NONE}_{NONE}")];
    for captured in [&[0, 1, 2, 3, 4][..], &[1, 2, 3, 4], &[0, 2, 4], &[4], &[3, 1], &[]] {
        let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
        conversation.handshake().client(post.as_bytes());
        for piece in captured {
            conversation.client_at(start + piece * 600, inner.as_bytes());
        }
        conversation.client_at(start + 3000, get("Host: h\r\n").as_bytes()).close();
        let events = replay(&conversation);
        let reported = values(&events, "ja4h");
        assert_eq!(reported, expected[..reported.len().min(2)], "with the pieces {captured:?} of the body");
        if captured.len() == 5 || captured.is_empty() {
            assert_eq!(reported.len(), 2, "with the pieces {captured:?} of the body");
        }
    }
}

#[test]
fn an_ssh_banner_within_http_is_not_ssh() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n";
    let banner = b"SSH-2.0-OpenSSH_9\n";
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake();
    for _ in 0..2 {
        conversation.client(get("Host: h\r\n").as_bytes()).server(response.as_bytes()).server(banner);
    }
    conversation.close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4h").len(), 2);
    assert!(values(&events, "ja4ssh").is_empty());
}

/// Header `Host`; 1,024 cookies `a`, without and with cookies beyond this limit.
#[test]
fn cookies_over_the_limit_are_ignored_and_counted() {
    let cookies = |count: usize| get(&format!("Host: h\r\nCookie: {}\r\n", "a;".repeat(count)));
    let values = ja4h([cookies(1024), cookies(1025), cookies(5000)]);
    assert_eq!(values, vec![values[0].clone(); 3]);
    let mut conversation = TcpConversation::new();
    conversation
        .handshake()
        .client(&cookies(1025).into_bytes()[..1400])
        .client(&cookies(1025).into_bytes()[1400..])
        .close();
    let events = replay(&conversation);
    assert_eq!(tests::stats_u64(events.last().unwrap(), &["shards", "malformed", "http", "too_many"]), 1);
}

#[test]
fn requests_of_a_long_connection_are_numbered() {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    for _ in 0..300 {
        conversation.client(get("Host: h\r\n").as_bytes()).server(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    conversation.close();
    let events = replay(&conversation);
    let all = fingerprints(&events).into_iter().map(|event| &event["fingerprint"]);
    let counts: Vec<_> = all.filter(|value| value["type"] == "ja4h").map(|value| value["count"].clone()).collect();
    assert_eq!(counts, (1..=300).collect::<Vec<_>>());
}

#[test]
fn a_header_block_in_segments_out_of_order_is_fingerprinted() {
    let request = get("Host: h\r\nUser-Agent: u\r\n");
    let (first, rest) = request.as_bytes().split_at(10);
    let (second, third) = rest.split_at(12);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client_at(22, third).client_at(10, second).client_at(0, first).close();
    assert_eq!(values(&replay(&conversation), "ja4h"), [format!("ge11nn020000_818f42cc3fd7_{NONE}_{NONE}")]);
}

/// Returns an HPACK literal field with a new name, without indexing (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// Returns an HTTP/2 frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, (payload.len() >> 8) as u8, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Cookie fields `theme=dark`, `sid=2`, `sid=1` between other fields. Sorted names `sid,sid,theme`, pairs
/// `sid=2,sid=1,theme=dark`; headers `user-agent,accept`.
#[test]
fn cookie_crumbs_of_http_2_are_one_cookie_header() {
    const END_HEADERS: u8 = 4;
    const PADDED_WITH_PRIORITY: u8 = 0x28;
    let block = [
        vec![0x82, 0x86, 0x84], // GET, http, /
        field(":authority", "example.org"),
        field("cookie", "theme=dark"),
        field("user-agent", "u"),
        field("cookie", "sid=2"),
        field("cookie", "sid=1"),
        field("accept", "*/*"),
    ]
    .concat();
    let start = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    let padded = [&[3, 0, 0, 0, 0, 15][..], &block[..40], &[0; 3]].concat();
    let encodings = [
        [&start[..], &frame(1, END_HEADERS | 1, 1, &block)].concat(),
        // The block is split within a field; the first part has padding and a priority.
        [&start[..], &frame(1, PADDED_WITH_PRIORITY, 1, &padded), &frame(9, END_HEADERS, 1, &block[40..])].concat(),
    ];
    for (number, bytes) in encodings.iter().enumerate() {
        for size in [usize::MAX, 60, 7] {
            let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
            conversation.handshake();
            for segment in bytes.chunks(size.min(bytes.len())) {
                conversation.client(segment);
            }
            conversation.close();
            let expected = "ge20cn020000_5594a17e7e7e_17376e3afae0_e925f1b9c1a7";
            assert_eq!(values(&replay(&conversation), "ja4h"), [expected], "encoding {number}, segments of {size}");
        }
    }
}
