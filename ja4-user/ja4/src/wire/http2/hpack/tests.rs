//! The examples of RFC 7541, appendix C, and cases that they do not cover.
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn text(list: &HeaderList) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect()
}

/// Decodes blocks one after the other; after each, the fields, and the table's size and newest entry.
fn check(decoder: &mut Decoder, steps: &[(&str, &[&str], usize, Option<&str>)]) {
    let mut list = HeaderList::default();
    for (hex, fields, size, newest) in steps {
        decoder.decode(&bytes(hex), &mut list).unwrap();
        assert_eq!(text(&list), *fields);
        assert_eq!(decoder.table.size(), *size);
        let entry = decoder.table.field(0).map(|field| String::from_utf8_lossy(field.name).into_owned());
        assert_eq!(entry.as_deref(), *newest);
    }
}

const FIRST: &[&str] = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND: &[&str] =
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"];
const THIRD: &[&str] = &[
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
];

#[test]
fn c_2_representations() {
    let literal = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut Decoder::default(), &[(literal, &["custom-key: custom-header"], 55, Some("custom-key"))]);
    check(&mut Decoder::default(), &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0, None)]);
    check(&mut Decoder::default(), &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0, None)]);
    check(&mut Decoder::default(), &[("82", &[":method: GET"], 0, None)]);
}

#[test]
fn c_3_requests_without_huffman() {
    check(
        &mut Decoder::default(),
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST, 57, Some(":authority")),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND, 110, Some("cache-control")),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                THIRD,
                164,
                Some("custom-key"),
            ),
        ],
    );
}

#[test]
fn c_4_requests_with_huffman() {
    check(
        &mut Decoder::default(),
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, 57, Some(":authority")),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND, 110, Some("cache-control")),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD, 164, Some("custom-key")),
        ],
    );
}

const RESPONSE_1: &[&str] = &[
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
];
const RESPONSE_2: &[&str] = &[
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
];
const RESPONSE_3: &[&str] = &[
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

/// A decoder with a table of 256 bytes, as in C.5 and C.6.
fn small() -> Decoder {
    let mut decoder = Decoder::default();
    decoder.table.resize(256);
    decoder
}

#[test]
fn c_5_responses_without_huffman_evict() {
    check(
        &mut small(),
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
                 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSE_1,
                222,
                Some("location"),
            ),
            ("4803 3330 37c1 c0bf", RESPONSE_2, 222, Some(":status")),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
                 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
                 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSE_3,
                215,
                Some("set-cookie"),
            ),
        ],
    );
}

#[test]
fn c_6_responses_with_huffman_evict() {
    check(
        &mut small(),
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
                 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSE_1,
                222,
                Some("location"),
            ),
            ("4883 640e ffc1 c0bf", RESPONSE_2, 222, Some(":status")),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
                 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSE_3,
                215,
                Some("set-cookie"),
            ),
        ],
    );
}

fn refusal(hex: &str) -> Result<(), WireError> {
    Decoder::default().decode(&bytes(hex), &mut HeaderList::default())
}

#[test]
fn an_index_without_an_entry_is_rejected() {
    assert_eq!(refusal("80"), Err(WireError::Value));
    assert_eq!(refusal("bd"), Ok(()));
    assert_eq!(refusal("be"), Err(WireError::Value));
    assert_eq!(refusal("7e 00"), Err(WireError::Value));
    assert_eq!(refusal("ff ff ff ff 7f"), Err(WireError::Value));
}

#[test]
fn a_string_beyond_the_block_is_rejected() {
    assert_eq!(refusal("40"), Err(WireError::Truncated));
    assert_eq!(refusal("40 02 61"), Err(WireError::BadLength));
    assert_eq!(refusal("40 01 61"), Err(WireError::Truncated));
    assert_eq!(refusal("40 01 61 7f ff ff 03"), Err(WireError::BadLength));
    assert_eq!(refusal("40 00 00"), Ok(()));
}

#[test]
fn size_updates_must_come_first_and_are_limited() {
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    let mut decoder = Decoder::default();
    check(&mut decoder, &[(custom, &["custom-key: custom-header"], 55, Some("custom-key"))]);
    // After a size of 0 the entry is gone.
    assert_eq!(decoder.decode(&bytes("20 3f e1 1f be"), &mut HeaderList::default()), Err(WireError::Value));
    assert_eq!(decoder.table.size(), 0);
    assert_eq!(refusal("3f e1 ff 03"), Ok(()));
    assert_eq!(refusal("3f e2 ff 03"), Err(WireError::Unsupported));
    assert_eq!(refusal("82 20"), Err(WireError::Value));
    // A field larger than the table empties it, and is decoded.
    let mut decoder = Decoder::default();
    check(&mut decoder, &[(custom, &["custom-key: custom-header"], 55, Some("custom-key"))]);
    let large = [&[0x40, 0x01, b'a', 0x7f, 0x81, 0x1f][..], &[b'b'; 4096]].concat();
    let mut list = HeaderList::default();
    assert_eq!(decoder.decode(&large, &mut list), Ok(()));
    assert_eq!((list.len(), decoder.table.size()), (1, 0));
}

#[test]
fn the_decoded_size_of_a_block_is_limited() {
    let mut decoder = Decoder::default();
    let mut list = HeaderList::default();
    // An entry of 4,000 bytes, and seventeen references to it.
    let entry = [&[0x40, 0x01, b'a', 0x7f, 0xa1, 0x1e][..], &[b'b'; 4000]].concat();
    assert_eq!(decoder.decode(&entry, &mut list), Ok(()));
    assert_eq!(decoder.decode(&[0xbe; 16], &mut list), Ok(()));
    assert_eq!(decoder.decode(&[0xbe; 17], &mut list), Err(WireError::TooLong));
    assert_eq!(Decoder::default().decode(&[0x82; MAX_FIELDS], &mut list), Ok(()));
    assert_eq!(Decoder::default().decode(&[0x82; MAX_FIELDS + 1], &mut list), Err(WireError::TooMany));
    assert!(list.heap_size() <= 4 * MAX_LIST);
}

#[test]
fn dropped_entries_free_their_memory() {
    let mut decoder = Decoder::default();
    let mut list = HeaderList::default();
    for round in 0_u32..5000 {
        let value = format!("{round:0100}");
        let block = [&[0x40, 0x01, b'a', 100][..], value.as_bytes()].concat();
        decoder.decode(&block, &mut list).unwrap();
        assert_eq!(decoder.table.field(0).unwrap().value, value.as_bytes());
        assert!(decoder.heap_size() <= 32 * 1024, "{}", decoder.heap_size());
    }
    assert_eq!(decoder.table.field(29).unwrap().value, format!("{:0100}", 4970).as_bytes());
    assert!(decoder.table.field(30).is_none());
}
