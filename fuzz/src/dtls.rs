use ja4::wire::dtls::{DtlsRecord, DtlsRecords, HandshakeFragment};
use ja4::wire::tls::{HandshakeType, MAX_HANDSHAKE_MESSAGE};
use ja4_user::conntrack::Budget;
use ja4_user::model::Side;
use ja4_user::protocol::dtls::{Association, DtlsMessage, DtlsOutcome, MessageVerdict};

/// Datagrams of an association, each behind its length, whose top bit says that the capture cut it, and the
/// next one that the client sends it: records and fragments lie where they say, no byte goes uncounted, and no bound
/// is passed. What the receiver makes of a message is in the last byte of its body. The first byte gives the
/// budget, in units of 512.
pub fn dtls(data: &[u8]) {
    let Some((&budget, mut rest)) = data.split_first() else {
        return;
    };
    let (mut association, mut budget) = (Association::default(), Budget::new(512 * usize::from(budget)));
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let (datagram, after) = after.split_at(after.len().min(u16::from_be_bytes([high & 0x3f, low]).into()));
        rest = after;
        let truncated = high & 0x80 != 0;
        let from = if high & 0x40 == 0 { Side::Server } else { Side::Client };
        let (bytes, errors) = fragments(datagram, truncated);
        let (held, mut given) = (association.buffered_bytes(), (0, 0));
        let outcome = association.push(from, datagram, truncated, &mut budget, |side, one| {
            let message = match one {
                DtlsMessage::Complete(message) => message,
                DtlsMessage::Candidate(message) => {
                    assert_eq!(side, Side::Client);
                    message
                }
                DtlsMessage::First(_) | DtlsMessage::Incomplete(_) => return MessageVerdict::Parsed,
            };
            assert_eq!(side, from);
            given = (given.0 + 1, given.1 + message.body.len());
            assert!(message.body.len() <= MAX_HANDSHAKE_MESSAGE);
            match message.body.last() {
                Some(0x55) => MessageVerdict::Malformed,
                Some(0xaa) if matches!(one, DtlsMessage::Candidate(_)) => MessageVerdict::Begins,
                _ => MessageVerdict::Parsed,
            }
        });
        let DtlsOutcome { messages, direct, buffered, released, duplicate, conflicting, refused, dropped, error } =
            outcome;
        assert_eq!(bytes, direct + buffered + duplicate + conflicting + refused);
        assert_eq!(held + buffered, association.buffered_bytes() + released + dropped);
        assert_eq!(given, (messages, direct + released));
        assert_eq!(error.is_some(), errors);
        assert!(association.buffered_bytes() <= budget.used() && budget.used() <= budget.max());
    }
    association.clear(&mut budget);
    assert_eq!((association.buffered_bytes(), budget.used()), (0, 0));
}

/// Bytes in the fragments of a datagram, and whether something is wrong with it.
fn fragments(datagram: &[u8], truncated: bool) -> (usize, bool) {
    let (mut bytes, mut errors, mut walked) = (0, false, 0);
    for record in DtlsRecords::new(datagram, truncated) {
        assert!(!errors || bytes <= datagram.len());
        let Ok(record) = record else {
            return (bytes, true);
        };
        assert!(record.whole || truncated);
        walked += DtlsRecord::HEADER_LEN + record.payload.len();
        let mut inside = 0;
        for fragment in record.fragments() {
            let Ok(HandshakeFragment { kind, length, offset, data, .. }) = fragment else {
                errors = true;
                break;
            };
            assert!(offset + data.len() <= length);
            assert!(length <= MAX_HANDSHAKE_MESSAGE || kind == HandshakeType::CERTIFICATE);
            inside += HandshakeFragment::HEADER_LEN + data.len();
            bytes += data.len();
        }
        assert!(inside <= record.payload.len());
    }
    assert!(walked <= datagram.len());
    (bytes, errors)
}
