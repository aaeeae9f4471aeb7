//! The Huffman code of string literals (RFC 7541, section 5.2 and appendix B).

use crate::wire::WireError;

/// Length of each byte's code, bits. The code is canonical: sorted by length, then by byte, each code is the previous
/// one plus one. The lengths therefore determine all codes.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Longest code, bits. The last one of them, all ones, is EOS.
const LONGEST: usize = 30;

/// Bits of the first table lookup: the codes of all letters, digits and common signs.
const QUICK: u32 = 8;

/// Byte and code length by the first [`QUICK`] bits; length 0: the code is longer.
static QUICK_TABLE: [(u8, u8); 1 << QUICK] = CODE.quick();

/// Bytes in the order of their codes.
static ORDER: [u8; 256] = CODE.order;

/// For each length, see [`Code::rows`].
static ROWS: [CodeRow; LONGEST + 1] = CODE.rows;

/// The codes of one length.
#[derive(Clone, Copy)]
struct CodeRow {
    /// The first code.
    first: u32,
    /// The number of codes.
    count: u32,
    /// Index of the first code's byte in `order`.
    place: u32,
}

struct Code {
    order: [u8; 256],
    rows: [CodeRow; LONGEST + 1],
}

const CODE: Code = Code::new();

#[allow(clippy::indexing_slicing, reason = "runs when compiled, where a bad index is an error")]
impl Code {
    const fn new() -> Self {
        let mut order = [0; 256];
        let mut rows = [CodeRow { first: 0, count: 0, place: 0 }; LONGEST + 1];
        let (mut place, mut next, mut length) = (0, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            rows[length] = CodeRow { first: next, count: 0, place };
            let mut byte = 0;
            while byte < LENGTHS.len() {
                if LENGTHS[byte] as usize == length {
                    order[place as usize] = byte as u8;
                    rows[length].count += 1;
                    place += 1;
                    next += 1;
                }
                byte += 1;
            }
            length += 1;
        }
        // Every byte has a code, and exactly one of the longest codes is unused: EOS.
        assert!(place == 256 && next == (1 << LONGEST) - 1);
        Self { order, rows }
    }

    const fn quick(&self) -> [(u8, u8); 1 << QUICK] {
        let mut table = [(0, 0); 1 << QUICK];
        let mut length = 1;
        while length <= QUICK {
            let CodeRow { first, count, place } = self.rows[length as usize];
            let span = 1 << (QUICK - length);
            let mut at = first * span;
            while at < (first + count) * span {
                table[at as usize] = (self.order[(place + at / span - first) as usize], length as u8);
                at += 1;
            }
            length += 1;
        }
        table
    }
}

/// Appends the decoded `string` to `out`, which must not exceed `max` bytes.
///
/// # Errors
/// [`WireError::Value`] for EOS in the string, or padding that is not a prefix of EOS of up to seven bits;
/// [`WireError::TooLong`] above `max`.
pub(super) fn decode(string: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), WireError> {
    // Undecoded bits, left-aligned.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut rest = string.iter();
    loop {
        while count <= u64::BITS - 8
            && let Some(&byte) = rest.next()
        {
            bits |= u64::from(byte) << (u64::BITS - 8 - count);
            count += 8;
        }
        let Some((byte, length)) = first(bits).filter(|&(_, length)| length <= count) else {
            // The padding must be a prefix of EOS, shorter than a byte.
            let padding = !(u64::MAX.checked_shr(count).unwrap_or(0));
            return if count < 8 && bits == padding { Ok(()) } else { Err(WireError::Value) };
        };
        if out.len() == max {
            return Err(WireError::TooLong);
        }
        out.push(byte);
        bits <<= length;
        count -= length;
    }
}

/// The first byte that is encoded in `bits`, and the length of its code; `None` for EOS.
#[inline]
fn first(bits: u64) -> Option<(u8, u32)> {
    let &(byte, length) = QUICK_TABLE.get((bits >> (u64::BITS - QUICK)) as usize)?;
    if length != 0 {
        return Some((byte, u32::from(length)));
    }
    (QUICK + 1..).zip(ROWS.iter().skip(QUICK as usize + 1)).find_map(|(length, row)| {
        // Shorter codes are smaller, so the value is never below the first code of the row.
        let beyond = ((bits >> (u64::BITS - length)) as u32).checked_sub(row.first)?;
        let &byte = (beyond < row.count).then(|| ORDER.get((row.place + beyond) as usize))??;
        Some((byte, length))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A byte's code and its length, computed from the lengths.
    fn code(byte: u8) -> (u32, u32) {
        let length = LENGTHS[usize::from(byte)];
        let row = &ROWS[usize::from(length)];
        let before = (0..byte).filter(|&other| LENGTHS[usize::from(other)] == length).count();
        (row.first + before as u32, u32::from(length))
    }

    /// The string's code, padded with ones.
    pub(crate) fn encode(string: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &byte in string {
            let (code, length) = code(byte);
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |value, &bit| value << 1 | u8::from(bit))).collect()
    }

    fn decoded(string: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::new();
        decode(string, &mut out, usize::MAX).map(|()| out)
    }

    #[test]
    fn codes_of_rfc_7541_appendix_b() {
        for (byte, code_of, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'\\', 0x7fff0, 19),
            (0, 0x1ff8, 13),
            (9, 0xff_ffea, 24),
            (0xf9, 0xfff_fffe, 28),
            (0x0a, 0x3fff_fffc, 30),
            (0x16, 0x3fff_fffe, 30),
        ] {
            assert_eq!(code(byte), (code_of, length), "{byte:#04x}");
        }
    }

    #[test]
    fn padding_is_up_to_seven_bits_of_eos() {
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
        assert_eq!(decoded(&[0b0001_1110]), Err(WireError::Value));
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(WireError::Value));
        assert_eq!(decoded(&[0xff]), Err(WireError::Value));
        assert_eq!(decoded(&[0xff; 4]), Err(WireError::Value));
        assert_eq!(decoded(&[0xff; 40]), Err(WireError::Value));
        assert_eq!(decoded(&[]), Ok(vec![]));
    }

    #[test]
    fn a_string_over_the_limit_is_rejected() {
        let mut out = vec![0; 3];
        assert_eq!(decode(&encode(b"abc"), &mut out, 6), Ok(()));
        assert_eq!(decode(&encode(b"a"), &mut out, 6), Err(WireError::TooLong));
    }

    proptest! {
        #[test]
        fn encoded_strings_are_decoded(string: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&string)), Ok(string));
        }
    }
}
