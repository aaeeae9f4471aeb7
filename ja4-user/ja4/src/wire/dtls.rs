//! DTLS records and handshake fragments (RFC 6347, sections 4.1 and 4.2.2; RFC 9147, sections 4 and 5.2).
//!
//! One datagram has complete records, and one record has complete fragments. The caller reassembles the fragments of
//! several datagrams.

use crate::wire::tls::{HandshakeType, MAX_HANDSHAKE_MESSAGE, MAX_RECORD_PAYLOAD};
use crate::wire::{Cursor, WireError};

/// The record version of a draft that OpenSSL 0.9.8 and Cisco AnyConnect implement.
const DRAFT_VERSION: u16 = 0x0100;

/// First byte of every version that an RFC defines: the ones' complement of TLS's, counted downwards.
const MAJOR: u8 = 0xfe;

/// Mask and value of the first byte of a DTLS 1.3 ciphertext, 001xxxxx, which is no content type.
const UNIFIED_HEADER: (u8, u8) = (0b1110_0000, 0b0010_0000);

/// The content type of a record (RFC 8446, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DtlsContentType(pub u8);

impl DtlsContentType {
    /// change_cipher_spec
    pub const CHANGE_CIPHER_SPEC: Self = Self(20);
    /// alert
    pub const ALERT: Self = Self(21);
    /// handshake
    pub const HANDSHAKE: Self = Self(22);
    /// application_data
    pub const APPLICATION_DATA: Self = Self(23);
    /// heartbeat (RFC 6520)
    pub const HEARTBEAT: Self = Self(24);
    /// tls12_cid (RFC 9146): encrypted, with a connection id of unknown length in its header
    pub const TLS12_CID: Self = Self(25);
    /// ack (RFC 9147, section 7)
    pub const ACK: Self = Self(26);

    /// Whether records of this type have the header of thirteen bytes.
    const fn has_plain_header(self) -> bool {
        matches!(
            self,
            Self::CHANGE_CIPHER_SPEC
                | Self::ALERT
                | Self::HANDSHAKE
                | Self::APPLICATION_DATA
                | Self::HEARTBEAT
                | Self::ACK
        )
    }
}

/// One record with a header of thirteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtlsRecord<'a> {
    /// The type of the payload.
    pub content: DtlsContentType,
    /// The record's version, which is not the negotiated version: 0xfeff, 0xfefd, 0x0100.
    pub version: u16,
    /// 0 before the first change of keys: only then is the payload unencrypted.
    pub epoch: u16,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Whether the payload was captured completely.
    pub whole: bool,
}

impl<'a> DtlsRecord<'a> {
    /// Bytes of a header: type, version, epoch, sequence number, length.
    pub const HEADER_LEN: usize = 13;

    /// The handshake fragments in the payload; none in a record that is encrypted or of another type. The first error
    /// is the last item.
    pub fn fragments(&self) -> HandshakeFragments<'a> {
        let readable = self.content == DtlsContentType::HANDSHAKE && self.epoch == 0;
        HandshakeFragments { rest: Cursor::new(if readable { self.payload } else { &[] }), whole: self.whole }
    }
}

/// The records of one datagram, in order. The first error is the last item.
///
/// The iteration ends without an error at the first record of encrypted or unknown length: a DTLS 1.3 ciphertext, or
/// a record with a connection id. All later records of the datagram are encrypted too.
#[derive(Clone, Debug)]
pub struct DtlsRecords<'a> {
    rest: Cursor<'a>,
    truncated: bool,
    at_ciphertext: bool,
}

impl<'a> DtlsRecords<'a> {
    /// The records of `datagram`; `truncated`: its end was not captured.
    #[must_use]
    pub const fn new(datagram: &'a [u8], truncated: bool) -> Self {
        Self { rest: Cursor::new(datagram), truncated, at_ciphertext: false }
    }

    /// Whether the iteration has ended at a ciphertext.
    #[must_use]
    pub const fn at_ciphertext(&self) -> bool {
        self.at_ciphertext
    }

    /// The next record; `None` at a ciphertext, and at a header that was not captured completely.
    fn read(&mut self) -> Result<Option<DtlsRecord<'a>>, WireError> {
        let rest = &mut self.rest;
        let content = DtlsContentType(rest.u8()?);
        if content.0 & UNIFIED_HEADER.0 == UNIFIED_HEADER.1 || content == DtlsContentType::TLS12_CID {
            self.at_ciphertext = true;
            return Ok(None);
        }
        if !content.has_plain_header() {
            return Err(WireError::ContentType);
        }
        let Ok(&[v1, v2, e1, e2, _, _, _, _, _, _, l1, l2]) = rest.array() else {
            return if self.truncated { Ok(None) } else { Err(WireError::Truncated) };
        };
        let version = u16::from_be_bytes([v1, v2]);
        if v1 != MAJOR && version != DRAFT_VERSION {
            return Err(WireError::RecordVersion);
        }
        let length = u16::from_be_bytes([l1, l2]);
        if length > MAX_RECORD_PAYLOAD {
            return Err(WireError::TooLong);
        }
        let (payload, whole) = match rest.take(usize::from(length)) {
            Ok(payload) => (payload, true),
            Err(_) if self.truncated => (rest.rest(), false),
            Err(_) => return Err(WireError::BadLength),
        };
        Ok(Some(DtlsRecord { content, version, epoch: u16::from_be_bytes([e1, e2]), payload, whole }))
    }
}

impl<'a> Iterator for DtlsRecords<'a> {
    type Item = Result<DtlsRecord<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read().transpose();
        if !matches!(record, Some(Ok(_))) {
            self.rest = Cursor::default();
        }
        record
    }
}

/// A fragment of a handshake message, or the entire message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeFragment<'a> {
    /// The type of the message.
    pub kind: HandshakeType,
    /// Length of the message's body, bytes: at most [`MAX_HANDSHAKE_MESSAGE`]. Only a Certificate message may be
    /// longer: its first certificates are useful alone.
    pub length: usize,
    /// The message's sequence number; a retransmission has the number of the original.
    pub message_seq: u16,
    /// The offset of the fragment in the body: `offset + data.len() <= length`.
    pub offset: usize,
    /// The captured part of the fragment.
    pub data: &'a [u8],
}

impl HandshakeFragment<'_> {
    /// Bytes of a header: type, length, message_seq, fragment_offset, fragment_length.
    pub const HEADER_LEN: usize = 12;

    /// Whether the fragment is the entire message.
    #[must_use]
    pub const fn is_message(&self) -> bool {
        self.data.len() == self.length
    }
}

/// The fragments of one record.
#[derive(Clone, Debug)]
pub struct HandshakeFragments<'a> {
    rest: Cursor<'a>,
    whole: bool,
}

impl<'a> HandshakeFragments<'a> {
    fn read(&mut self) -> Result<Option<HandshakeFragment<'a>>, WireError> {
        let Ok(&[kind, l1, l2, l3, m1, m2, o1, o2, o3, f1, f2, f3]) = self.rest.array() else {
            let cut = !self.whole;
            return if cut { Ok(None) } else { Err(WireError::Truncated) };
        };
        let [length, offset, announced] =
            [[l1, l2, l3], [o1, o2, o3], [f1, f2, f3]].map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]) as usize);
        let kind = HandshakeType(kind);
        if length > MAX_HANDSHAKE_MESSAGE && kind != HandshakeType::CERTIFICATE {
            return Err(WireError::TooLong);
        }
        // Below 2^25: two numbers of 24 bits.
        if offset + announced > length {
            return Err(WireError::BadLength);
        }
        let data = match self.rest.take(announced) {
            Ok(data) => data,
            Err(_) if !self.whole => self.rest.rest(),
            Err(_) => return Err(WireError::BadLength),
        };
        Ok(Some(HandshakeFragment { kind, length, message_seq: u16::from_be_bytes([m1, m2]), offset, data }))
    }
}

impl<'a> Iterator for HandshakeFragments<'a> {
    type Item = Result<HandshakeFragment<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let fragment = self.read().transpose();
        if !matches!(fragment, Some(Ok(_))) {
            self.rest = Cursor::default();
        }
        fragment
    }
}

#[cfg(test)]
mod tests {
    use ::tests::dtls::{fragment, record};
    use proptest::prelude::*;

    use super::*;

    fn records(datagram: &[u8], truncated: bool) -> Vec<Result<DtlsRecord<'_>, WireError>> {
        DtlsRecords::new(datagram, truncated).collect()
    }

    #[test]
    fn a_datagram_holds_several_records_and_a_record_several_fragments() {
        let two = [fragment(2, 1, 3, 0, b"abc"), fragment(11, 2, 5, 1, b"xyz")].concat();
        let datagram = [record(22, 0, &two), record(20, 0, &[1]), record(22, 1, b"encrypted")].concat();
        let records = records(&datagram, false);
        assert_eq!(records.len(), 3);
        let fragments: Vec<_> = records[0].unwrap().fragments().map(Result::unwrap).collect();
        assert_eq!(
            (fragments[0].kind, fragments[0].message_seq, fragments[0].data),
            (HandshakeType(2), 1, &b"abc"[..])
        );
        assert!(fragments[0].is_message() && !fragments[1].is_message());
        let HandshakeFragment { kind, length, message_seq, offset, data } = fragments[1];
        assert_eq!((kind, length, message_seq, offset, data), (HandshakeType(11), 5, 2, 1, &b"xyz"[..]));
        assert_eq!(records[1].unwrap().content, DtlsContentType::CHANGE_CIPHER_SPEC);
        assert_eq!(records[2].unwrap().epoch, 1);
        assert_eq!(records[2].unwrap().fragments().count(), 0);
    }

    #[test]
    fn all_fields_of_the_header_are_parsed() {
        let bytes = [22, 0xfe, 0xff, 0, 0, 0, 0, 1, 2, 3, 4, 0, 1, 7];
        let record = records(&bytes, false)[0].unwrap();
        assert_eq!((record.version, record.epoch), (0xfeff, 0));
        assert_eq!((record.payload, record.whole), (&[7][..], true));
        let draft = [&[22, 1, 0][..], &bytes[3..]].concat();
        assert_eq!(records(&draft, false)[0].unwrap().version, 0x0100);
    }

    #[test]
    fn a_ciphertext_ends_the_iteration() {
        for first in [0x20, 0x2f, 0x3f, 25] {
            let datagram = [record(22, 0, &fragment(2, 0, 0, 0, &[])), vec![first, 9, 9, 9]].concat();
            let mut records = DtlsRecords::new(&datagram, false);
            assert!(records.next().unwrap().is_ok() && !records.at_ciphertext());
            assert!(records.next().is_none() && records.at_ciphertext());
        }
        assert_eq!(records(&[0x40, 0, 0], false), [Err(WireError::ContentType)]);
    }

    #[test]
    fn a_truncated_record_yields_its_captured_part() {
        let datagram = record(22, 0, &fragment(11, 3, 100, 20, &[7; 60]));
        let cut = &datagram[..50];
        assert_eq!(records(cut, false), [Err(WireError::BadLength)]);
        let record = records(cut, true)[0].unwrap();
        assert!(!record.whole);
        let fragment = record.fragments().next().unwrap().unwrap();
        assert_eq!((fragment.offset, fragment.length, fragment.data), (20, 100, &[7; 25][..]));
        assert_eq!(records(&datagram[..12], true), []);
        assert_eq!(records(&datagram[..12], false), [Err(WireError::Truncated)]);
        assert_eq!(records(&datagram[..20], true)[0].unwrap().fragments().count(), 0);
    }

    #[test]
    fn fragments_beyond_their_message_or_record_are_rejected() {
        let first = |bytes: &[u8]| {
            let datagram = record(22, 0, bytes);
            DtlsRecords::new(&datagram, false)
                .next()
                .unwrap()
                .unwrap()
                .fragments()
                .next()
                .unwrap()
                .map(|found| found.offset)
        };
        assert_eq!(first(&fragment(1, 0, 9, 6, b"abc")), Ok(6));
        assert_eq!(first(&fragment(1, 0, 9, 7, b"abc")), Err(WireError::BadLength));
        assert_eq!(first(&fragment(1, 0, 65_537, 0, b"abc")), Err(WireError::TooLong));
        assert_eq!(first(&fragment(11, 0, 65_537, 7, b"abc")), Ok(7));
        assert_eq!(first(&fragment(1, 0, 9, 0, b"abc")[..14]), Err(WireError::BadLength));
        assert_eq!(first(&fragment(1, 0, 9, 0, b"abc")[..11]), Err(WireError::Truncated));
    }

    #[test]
    fn other_protocols_fail_at_the_first_record() {
        let mut tls = record(22, 0, &[]);
        tls[1] = 3;
        assert_eq!(records(&tls, false), [Err(WireError::RecordVersion)]);
        let mut long = record(22, 0, &[]);
        long[11..13].copy_from_slice(&[0x48, 1]);
        assert_eq!(records(&long, true), [Err(WireError::TooLong)]);
    }

    proptest! {
        #[test]
        fn a_truncated_datagram_yields_the_same_records_up_to_its_end(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
            cut in 0_usize..200,
        ) {
            let datagram: Vec<u8> = payloads.iter().flat_map(|payload| record(22, 0, payload)).collect();
            let whole = records(&datagram, false);
            let part = records(&datagram[..cut.min(datagram.len())], true);
            prop_assert_eq!(whole.len(), payloads.len());
            for (part, whole) in part.iter().zip(&whole) {
                let (part, whole) = (part.unwrap(), whole.unwrap());
                prop_assert!(whole.payload.starts_with(part.payload));
                prop_assert_eq!(part.whole, part.payload.len() == whole.payload.len());
            }
        }
    }
}
