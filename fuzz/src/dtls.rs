//! DTLS datagrams of one flow.

use ja4::wire::dtls::{DtlsRecord, DtlsRecords, HandshakeFragment};
use ja4::wire::tls::{HandshakeType, MAX_HANDSHAKE_MESSAGE};
use ja4_user::conntrack::Budget;
use ja4_user::model::Side;
use ja4_user::protocol::dtls::{Association, DtlsMessage, DtlsOutcome, MessageVerdict};

use super::input::length_prefixed;

/// Reassembles the handshake messages of a DTLS association.
///
/// Input:
/// - byte 0: memory budget in units of 512 bytes;
/// - rest: datagrams, each after a prefix of two bytes:
///   - bit 15: the capture truncated the datagram;
///   - bit 14: the client sent it, otherwise the server;
///   - bits 0 to 13: length.
///
/// The last byte of a message's body selects the receiver's verdict: 0x55 for a malformed message, and 0xaa for a
/// ClientHello that begins another association.
///
/// Checks that records and fragments fit the datagram, that each byte of a fragment is counted once, that memory stays
/// within the budget, and that all memory is released.
pub fn dtls(data: &[u8]) {
    const TRUNCATED: u16 = 0x8000;
    const FROM_CLIENT: u16 = 0x4000;

    let Some((&budget, datagrams)) = data.split_first() else {
        return;
    };
    let (mut association, mut budget) = (Association::default(), Budget::new(512 * usize::from(budget)));
    for (prefix, datagram) in length_prefixed(datagrams, 0x3fff) {
        let truncated = prefix & TRUNCATED != 0;
        let from = if prefix & FROM_CLIENT == 0 { Side::Server } else { Side::Client };
        let (fragment_bytes, has_error) = check_fragments(datagram, truncated);
        let buffered_before = association.buffered_bytes();
        let (mut delivered_messages, mut delivered_bytes) = (0, 0);
        let outcome = association.push(from, datagram, truncated, &mut budget, |side, delivered| {
            let message = match delivered {
                DtlsMessage::Complete(message) => message,
                DtlsMessage::Candidate(message) => {
                    assert_eq!(side, Side::Client);
                    message
                }
                DtlsMessage::First(_) | DtlsMessage::Incomplete(_) => return MessageVerdict::Parsed,
            };
            assert_eq!(side, from);
            delivered_messages += 1;
            delivered_bytes += message.body.len();
            assert!(message.body.len() <= MAX_HANDSHAKE_MESSAGE);
            match message.body.last() {
                Some(0x55) => MessageVerdict::Malformed,
                Some(0xaa) if matches!(delivered, DtlsMessage::Candidate(_)) => MessageVerdict::Begins,
                _ => MessageVerdict::Parsed,
            }
        });
        let DtlsOutcome { messages, direct, buffered, released, duplicate, conflicting, refused, dropped, error } =
            outcome;
        assert_eq!(fragment_bytes, direct + buffered + duplicate + conflicting + refused);
        assert_eq!(buffered_before + buffered, association.buffered_bytes() + released + dropped);
        assert_eq!((delivered_messages, delivered_bytes), (messages, direct + released));
        assert_eq!(error.is_some(), has_error);
        assert!(association.buffered_bytes() <= budget.used() && budget.used() <= budget.max());
    }
    association.clear(&mut budget);
    assert_eq!((association.buffered_bytes(), budget.used()), (0, 0));
}

/// Checks that records fit the datagram and fragments fit their record. Returns the number of message bytes in all
/// fragments, and whether parsing found an error.
fn check_fragments(datagram: &[u8], truncated: bool) -> (usize, bool) {
    let (mut fragment_bytes, mut has_error, mut records_len) = (0, false, 0);
    for record in DtlsRecords::new(datagram, truncated) {
        assert!(!has_error || fragment_bytes <= datagram.len());
        let Ok(record) = record else {
            return (fragment_bytes, true);
        };
        assert!(record.whole || truncated);
        records_len += DtlsRecord::HEADER_LEN + record.payload.len();
        let mut fragments_len = 0;
        for fragment in record.fragments() {
            let Ok(HandshakeFragment { kind, length, offset, data, .. }) = fragment else {
                has_error = true;
                break;
            };
            assert!(offset + data.len() <= length);
            assert!(length <= MAX_HANDSHAKE_MESSAGE || kind == HandshakeType::CERTIFICATE);
            fragments_len += HandshakeFragment::HEADER_LEN + data.len();
            fragment_bytes += data.len();
        }
        assert!(fragments_len <= record.payload.len());
    }
    assert!(records_len <= datagram.len());
    (fragment_bytes, has_error)
}
