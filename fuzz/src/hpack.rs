//! HPACK blocks that share a dynamic table.

use ja4::wire::http2::HeaderList;
use ja4::wire::http2::hpack::{Decoder, MAX_FIELDS, MAX_LIST};

/// Blocks, each behind its length: what comes out is within bounds, and comes out once more when it is written
/// without any table.
pub fn hpack(data: &[u8]) {
    let (mut decoder, mut list, mut again) = (Decoder::default(), HeaderList::default(), HeaderList::default());
    let mut rest = data;
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let (block, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([high, low]))));
        rest = after;
        if decoder.decode(block, &mut list).is_err() {
            return;
        }
        let total: usize = list.iter().map(|field| field.name.len() + field.value.len()).sum();
        assert!(list.len() <= MAX_FIELDS && total <= MAX_LIST);
        assert_eq!(list.iter().count(), list.len());
        let mut plain = Vec::new();
        for field in list.iter() {
            plain.push(0);
            literal(field.name, &mut plain);
            literal(field.value, &mut plain);
        }
        Decoder::default().decode(&plain, &mut again).unwrap();
        assert_eq!(list, again);
    }
}

/// A string without Huffman code (RFC 7541, section 5.2).
fn literal(string: &[u8], out: &mut Vec<u8>) {
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
