//! HPACK header blocks of one connection.

use ja4::wire::http2::HeaderList;
use ja4::wire::http2::hpack::{Decoder, MAX_FIELDS, MAX_LIST};

use super::input::length_prefixed;

/// Decodes HPACK header blocks with one dynamic table.
///
/// Input: blocks, each after its length in two bytes. The first invalid block ends the run.
///
/// Checks that the number and size of the decoded fields stay within their bounds, and that the fields are decoded
/// again from an encoding without tables and without Huffman codes.
pub fn hpack(data: &[u8]) {
    let (mut decoder, mut list, mut again) = (Decoder::default(), HeaderList::default(), HeaderList::default());
    for (_, block) in length_prefixed(data, 0xffff) {
        if decoder.decode(block, &mut list).is_err() {
            return;
        }
        let total: usize = list.iter().map(|field| field.name.len() + field.value.len()).sum();
        assert!(list.len() <= MAX_FIELDS && total <= MAX_LIST);
        assert_eq!(list.iter().count(), list.len());
        let mut plain = Vec::new();
        for field in list.iter() {
            plain.push(0);
            encode_string(field.name, &mut plain);
            encode_string(field.value, &mut plain);
        }
        Decoder::default().decode(&plain, &mut again).unwrap();
        assert_eq!(list, again);
    }
}

/// Appends a string literal without Huffman code (RFC 7541, section 5.2).
fn encode_string(string: &[u8], out: &mut Vec<u8>) {
    match string.len().checked_sub(127) {
        None => out.push(string.len() as u8),
        Some(mut more) => {
            out.push(127);
            while more >= 128 {
                out.push(more as u8 | 0x80);
                more >>= 7;
            }
            out.push(more as u8);
        }
    }
    out.extend_from_slice(string);
}
