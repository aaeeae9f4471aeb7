//! Handshake messages of one direction of a TCP connection (RFC 8446, sections 4 and 5.1).

use core::ops::ControlFlow;

use crate::wire::tls::record::{TlsContentType, TlsRecordHeader};
use crate::wire::{Cursor, WireError};

/// Longest handshake message that is reassembled, bytes. A post-quantum ClientHello takes 2 KiB and a long certificate
/// chain about 16 KiB; the length field allows 16 MiB.
pub const MAX_HANDSHAKE_MESSAGE: usize = 64 * 1024;

/// Bytes that are stored of a longer message: the first certificates of a long list are useful alone.
const MOST_KEPT: usize = HandshakeMessage::HEADER_LEN + MAX_HANDSHAKE_MESSAGE;

/// First allocation for a message that spans pushes, at most. A post-quantum ClientHello fits, and takes one
/// allocation; the buffer of a longer message grows as its bytes are received.
const FIRST_ALLOCATION: usize = 2304;

/// The level of an alert that does not end the handshake, such as a server's unrecognized_name
/// before its ServerHello (RFC 5246, section 7.2).
const ALERT_WARNING: u8 = 1;

/// Bytes of an alert: level and description.
const ALERT_LEN: u16 = 2;

/// A handshake message's type (RFC 8446, section 4; RFC 5246, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandshakeType(pub u8);

impl HandshakeType {
    /// client_hello
    pub const CLIENT_HELLO: Self = Self(1);
    /// server_hello, HelloRetryRequest included
    pub const SERVER_HELLO: Self = Self(2);
    /// hello_verify_request: DTLS before 1.3 only (RFC 6347, section 4.2.1)
    pub const HELLO_VERIFY_REQUEST: Self = Self(3);
    /// certificate
    pub const CERTIFICATE: Self = Self(11);
    /// server_key_exchange
    pub const SERVER_KEY_EXCHANGE: Self = Self(12);
    /// certificate_request
    pub const CERTIFICATE_REQUEST: Self = Self(13);
    /// server_hello_done
    pub const SERVER_HELLO_DONE: Self = Self(14);
    /// certificate_verify
    pub const CERTIFICATE_VERIFY: Self = Self(15);
    /// client_key_exchange
    pub const CLIENT_KEY_EXCHANGE: Self = Self(16);
}

/// One complete handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeMessage<'a> {
    /// The type of the message.
    pub kind: HandshakeType,
    /// The message without its header of four bytes.
    pub body: &'a [u8],
}

impl<'a> HandshakeMessage<'a> {
    /// Bytes of a message header: type and 24-bit length.
    pub const HEADER_LEN: usize = 4;

    /// Splits the first message off contiguous handshake bytes; `None` if it is incomplete.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if its length exceeds [`MAX_HANDSHAKE_MESSAGE`].
    #[inline]
    pub fn split_first(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, WireError> {
        let mut cursor = Cursor::new(bytes);
        let (Ok(kind), Ok(length)) = (cursor.u8(), cursor.u24()) else {
            return Ok(None);
        };
        let length = length as usize;
        if length > MAX_HANDSHAKE_MESSAGE {
            return Err(WireError::TooLong);
        }
        let kind = HandshakeType(kind);
        Ok(cursor.take(length).ok().map(|body| (Self { kind, body }, cursor.rest())))
    }
}

/// The reason why a [`HandshakeStream`] ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeEnd {
    /// A ChangeCipherSpec, after which messages are encrypted.
    ChangeCipherSpec,
    /// Encrypted records.
    ApplicationData,
    /// A fatal or encrypted alert.
    Alert,
    /// The receiver of the messages has ended it.
    Receiver,
}

/// The status of a [`HandshakeStream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeStatus {
    /// It expects more bytes.
    Open,
    /// It has ended; further bytes are ignored.
    Ended(HandshakeEnd),
    /// The bytes are not TLS, or malformed; further bytes are ignored.
    Failed(WireError),
}

impl From<WireError> for HandshakeStatus {
    fn from(error: WireError) -> Self {
        Self::Failed(error)
    }
}

/// Parses one direction of a stream, in order and in slices of any size, and yields complete handshake messages, which
/// may span records and slices.
///
/// A message inside one record and one slice is borrowed from that slice; only a message that spans several is copied,
/// and the copy is freed after delivery.
#[derive(Debug)]
pub struct HandshakeStream {
    /// The received part of an incomplete message; unallocated otherwise.
    partial: Vec<u8>,
    /// The current record header; its first byte is valid while `record_left > 0`.
    header: [u8; TlsRecordHeader::LEN],
    /// Received bytes of `header`, `< TlsRecordHeader::LEN`.
    header_len: u8,
    /// Missing bytes of the current record's payload.
    record_left: u16,
    /// A ChangeCipherSpec was received. In TLS 1.3, after a HelloRetryRequest, the client sends one before its second
    /// ClientHello, and the server one before its ServerHello (RFC 8446, appendix D.4). In TLS 1.2 the records after it
    /// are encrypted.
    cipher_changed: bool,
    status: HandshakeStatus,
}

impl Default for HandshakeStream {
    fn default() -> Self {
        Self::new()
    }
}

impl HandshakeStream {
    /// A stream that expects a record header.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            partial: Vec::new(),
            header: [0; TlsRecordHeader::LEN],
            header_len: 0,
            record_left: 0,
            cipher_changed: false,
            status: HandshakeStatus::Open,
        }
    }

    /// The status of the stream.
    #[must_use]
    pub const fn status(&self) -> HandshakeStatus {
        self.status
    }

    /// Whether a ChangeCipherSpec was received. Below TLS 1.3, later messages are encrypted.
    #[must_use]
    pub const fn cipher_changed(&self) -> bool {
        self.cipher_changed
    }

    /// Bytes of memory of an incomplete message.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.partial.capacity()
    }

    /// The incomplete message: its type, and the received part of its body; `None` before its header is complete. It is
    /// available after an alert or encrypted records interrupted it, and for a Certificate message longer than
    /// [`MAX_HANDSHAKE_MESSAGE`].
    #[must_use]
    pub fn incomplete_message(&self) -> Option<HandshakeMessage<'_>> {
        let (header, body) = self.partial.split_at_checked(HandshakeMessage::HEADER_LEN)?;
        Some(HandshakeMessage { kind: HandshakeType(*header.first()?), body })
    }

    /// Reads the next bytes of the stream, and calls `receive` for each message they complete.
    ///
    /// If `receive` breaks, the stream ends with [`HandshakeEnd::Receiver`].
    pub fn push<F>(&mut self, mut bytes: &[u8], mut receive: F) -> HandshakeStatus
    where
        F: FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        while self.status == HandshakeStatus::Open && !bytes.is_empty() {
            let step = if self.record_left == 0 {
                self.take_header(bytes)
            } else {
                let (payload, rest) = bytes.split_at(bytes.len().min(usize::from(self.record_left)));
                self.take_payload(payload, &mut receive).map(|()| rest)
            };
            match step {
                Ok(rest) => bytes = rest,
                Err(stop) => {
                    self.status = stop;
                    // A message that these interrupted, or that is too long, is valid up to here.
                    let cut =
                        matches!(stop, HandshakeStatus::Ended(HandshakeEnd::Alert | HandshakeEnd::ApplicationData));
                    if !cut && self.partial.len() < MOST_KEPT {
                        self.partial = Vec::new();
                    }
                }
            }
        }
        self.status
    }

    /// Reads the rest of a record header, and starts the record.
    fn take_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], HandshakeStatus> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if let Some(place) = self.header.get_mut(usize::from(self.header_len)) {
                *place = byte;
                self.header_len += 1;
            }
            if usize::from(self.header_len) == TlsRecordHeader::LEN {
                self.header_len = 0;
                self.open_record(TlsRecordHeader::parse(&self.header)?)?;
                return Ok(rest);
            }
        }
        let start = self.header.get(..usize::from(self.header_len)).unwrap_or_default();
        TlsRecordHeader::check_start(start)?;
        Ok(rest)
    }

    fn open_record(&mut self, header: TlsRecordHeader) -> Result<(), HandshakeStatus> {
        if self.cipher_changed && header.content != TlsContentType::Handshake {
            return Err(HandshakeStatus::Ended(HandshakeEnd::ChangeCipherSpec));
        }
        match header.content {
            TlsContentType::ApplicationData => return Err(HandshakeStatus::Ended(HandshakeEnd::ApplicationData)),
            TlsContentType::Alert if header.length != ALERT_LEN => {
                return Err(HandshakeStatus::Ended(HandshakeEnd::Alert));
            }
            TlsContentType::ChangeCipherSpec if header.length != 1 || !self.partial.is_empty() => {
                return Err(HandshakeStatus::Ended(HandshakeEnd::ChangeCipherSpec));
            }
            TlsContentType::ChangeCipherSpec => self.cipher_changed = true,
            // An empty handshake record violates RFC 8446, section 5.1, but common stacks accept it: an error here
            // would allow clients to evade a sensor.
            TlsContentType::Alert | TlsContentType::Handshake => {}
        }
        self.record_left = header.length;
        Ok(())
    }

    /// Reads payload of the current record: not empty, and within the record.
    fn take_payload<F>(&mut self, payload: &[u8], receive: &mut F) -> Result<(), HandshakeStatus>
    where
        F: FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        let TlsRecordHeader { content, length } = TlsRecordHeader::parse(&self.header)?;
        if content == TlsContentType::Alert && self.record_left == ALERT_LEN && payload.first() != Some(&ALERT_WARNING)
        {
            return Err(HandshakeStatus::Ended(HandshakeEnd::Alert));
        }
        // Never below zero: payload.len() <= record_left.
        self.record_left = self.record_left.saturating_sub(u16::try_from(payload.len()).unwrap_or(u16::MAX));
        if content == TlsContentType::Handshake {
            self.take_fragment(payload, length, receive)?;
        }
        Ok(())
    }

    /// Reads bytes of a handshake record of `length`.
    fn take_fragment<F>(&mut self, mut bytes: &[u8], length: u16, receive: &mut F) -> Result<(), HandshakeStatus>
    where
        F: FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        while !bytes.is_empty() {
            let flow = if self.partial.is_empty()
                && let Some((message, rest)) = self.first_message(bytes, length)?
            {
                bytes = rest;
                receive(message)
            } else {
                bytes = self.buffer(bytes);
                match self.first_message(&self.partial, length)? {
                    Some((message, _)) => {
                        let flow = receive(message);
                        self.partial = Vec::new();
                        flow
                    }
                    None if self.partial.len() >= MOST_KEPT => return Err(WireError::TooLong.into()),
                    None => ControlFlow::Continue(()),
                }
            };
            if flow.is_break() {
                return Err(HandshakeStatus::Ended(HandshakeEnd::Receiver));
            }
        }
        Ok(())
    }

    /// The first message of `bytes`, if it is complete. After a ChangeCipherSpec only a hello that fills its record, of
    /// `length`, is a message; encrypted bytes look like one with a probability of 2^-31.
    fn first_message<'b>(
        &self,
        bytes: &'b [u8],
        length: u16,
    ) -> Result<Option<(HandshakeMessage<'b>, &'b [u8])>, HandshakeStatus> {
        if self.cipher_changed
            && let Some(&[kind, high, middle, low]) = bytes.first_chunk()
        {
            let hello = matches!(HandshakeType(kind), HandshakeType::CLIENT_HELLO | HandshakeType::SERVER_HELLO);
            let fills = u32::from_be_bytes([0, high, middle, low]) + HandshakeMessage::HEADER_LEN as u32;
            if !hello || fills != u32::from(length) {
                return Err(HandshakeStatus::Ended(HandshakeEnd::ChangeCipherSpec));
            }
        }
        match HandshakeMessage::split_first(bytes) {
            Err(WireError::TooLong) if bytes.first() == Some(&HandshakeType::CERTIFICATE.0) => Ok(None),
            first => Ok(first?),
        }
    }

    /// Copies missing bytes of the incomplete message: the rest of its header, or the rest of the stored part of its
    /// body.
    fn buffer<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let begun = if self.partial.is_empty() { bytes } else { &self.partial };
        let whole = match begun.first_chunk() {
            Some(&[_kind, high, middle, low]) => {
                MOST_KEPT.min(HandshakeMessage::HEADER_LEN + u32::from_be_bytes([0, high, middle, low]) as usize)
            }
            None => HandshakeMessage::HEADER_LEN,
        };
        let missing = whole.saturating_sub(self.partial.len());
        let (taken, rest) = bytes.split_at(bytes.len().min(missing));
        let at_once = whole.min(FIRST_ALLOCATION);
        self.partial.reserve_exact(at_once.saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(taken);
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Messages = Vec<(u8, Vec<u8>)>;

    const CONTINUE: ControlFlow<()> = ControlFlow::Continue(());

    /// One record with this payload.
    fn record(content: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content, 3, 1];
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes[0] = kind;
        bytes.extend(body);
        bytes
    }

    /// Pushes `bytes` in slices of these sizes, then the rest.
    fn run(bytes: &[u8], sizes: &[usize]) -> (HandshakeStatus, Messages) {
        let mut stream = HandshakeStream::new();
        let mut messages = Messages::new();
        let mut rest = bytes;
        for &size in sizes.iter().chain([&usize::MAX]) {
            let (slice, after) = rest.split_at(rest.len().min(size));
            rest = after;
            stream.push(slice, |message| {
                messages.push((message.kind.0, message.body.to_vec()));
                CONTINUE
            });
        }
        (stream.status(), messages)
    }

    #[test]
    fn a_stream_is_small_and_has_no_buffer_between_messages() {
        assert!(size_of::<HandshakeStream>() <= 40);
        let mut stream = HandshakeStream::new();
        let bytes = record(22, &message(1, &[7; 1800]));
        stream.push(&bytes[..1400], |_| CONTINUE);
        assert!((1400..4096).contains(&stream.buffered()));
        stream.push(&bytes[1400..], |_| CONTINUE);
        assert_eq!(stream.buffered(), 0);
    }

    #[test]
    fn a_message_inside_one_slice_is_borrowed_from_it() {
        let bytes = record(22, &[message(2, &[1; 70]), message(14, &[])].concat());
        let range = bytes.as_ptr_range();
        let mut stream = HandshakeStream::new();
        let mut seen = 0;
        stream.push(&bytes, |message| {
            assert!(range.contains(&message.body.as_ptr()) || message.body.is_empty());
            seen += 1;
            CONTINUE
        });
        assert_eq!((seen, stream.buffered()), (2, 0));
    }

    #[test]
    fn a_warning_before_the_server_hello_is_skipped() {
        let bytes = [record(21, &[1, 112]), record(22, &message(2, b"hello"))].concat();
        assert_eq!(run(&bytes, &[6]), (HandshakeStatus::Open, vec![(2, b"hello".to_vec())]));
        assert_eq!(run(&record(21, &[2, 40]), &[]).0, HandshakeStatus::Ended(HandshakeEnd::Alert));
    }

    #[test]
    fn the_stream_ends_at_the_first_encrypted_record() {
        let hello = record(22, &message(2, &[]));
        let bytes = [hello.clone(), record(23, &[1]), record(22, &message(11, &[]))].concat();
        assert_eq!(run(&bytes, &[]), (HandshakeStatus::Ended(HandshakeEnd::ApplicationData), vec![(2, vec![])]));
        // A Finished of TLS 1.2, also with the first byte of a ClientHello.
        for encrypted in [[0; 40], [0xee; 40], [1; 40]] {
            let bytes = [hello.clone(), record(20, &[1]), record(22, &encrypted)].concat();
            assert_eq!(run(&bytes, &[]), (HandshakeStatus::Ended(HandshakeEnd::ChangeCipherSpec), vec![(2, vec![])]));
        }
    }

    #[test]
    fn the_second_hello_of_a_retry_may_follow_a_change_cipher_spec() {
        let hello = |body: &[u8]| record(22, &message(1, body));
        let bytes = [hello(b"first"), record(20, &[1]), hello(b"second"), record(23, &[7; 30])].concat();
        for sizes in [vec![], vec![1; 60]] {
            let (status, messages) = run(&bytes, &sizes);
            assert_eq!(messages, [(1, b"first".to_vec()), (1, b"second".to_vec())]);
            assert_eq!(status, HandshakeStatus::Ended(HandshakeEnd::ChangeCipherSpec));
        }
    }

    #[test]
    fn the_receiver_can_end_the_stream() {
        let bytes = record(22, &[message(1, b"a"), message(1, b"b")].concat());
        let mut stream = HandshakeStream::new();
        let mut seen = 0;
        let status = stream.push(&bytes, |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((status, seen), (HandshakeStatus::Ended(HandshakeEnd::Receiver), 1));
    }

    #[test]
    fn other_protocols_fail_at_their_first_byte() {
        assert_eq!(run(b"G", &[]).0, HandshakeStatus::Failed(WireError::ContentType));
        assert_eq!(run(b"\x16\x02", &[]).0, HandshakeStatus::Failed(WireError::RecordVersion));
        assert_eq!(run(b"\x16\x03\x01\x48\x01", &[]).0, HandshakeStatus::Failed(WireError::TooLong));
        assert_eq!(run(b"\x16\x03\x01\x48\x00", &[]).0, HandshakeStatus::Open);
    }

    #[test]
    fn a_message_length_alone_allocates_no_memory() {
        let mut stream = HandshakeStream::new();
        let bytes = record(22, &[1, 0xff, 0xff, 0xff, 0, 0]);
        assert_eq!(stream.push(&bytes, |_| CONTINUE), HandshakeStatus::Failed(WireError::TooLong));
        assert_eq!(stream.buffered(), 0);
        // The largest allowed message takes memory for its received bytes, not for its length.
        let mut stream = HandshakeStream::new();
        assert_eq!(stream.push(&record(22, &[1, 1, 0, 0, 0]), |_| CONTINUE), HandshakeStatus::Open);
        assert!(stream.buffered() <= FIRST_ALLOCATION);
    }

    #[test]
    fn the_start_of_an_oversized_certificate_message_is_available() {
        let body: Vec<u8> = (0..MAX_HANDSHAKE_MESSAGE + 1).map(|place| place as u8).collect();
        let bytes: Vec<u8> = message(11, &body).chunks(16_000).flat_map(|part| record(22, part)).collect();
        for size in [bytes.len(), 1000, 1] {
            let (mut stream, mut messages) = (HandshakeStream::new(), 0);
            for slice in bytes.chunks(size) {
                stream.push(slice, |_| {
                    messages += 1;
                    CONTINUE
                });
                assert!(stream.buffered() <= 2 * MOST_KEPT);
            }
            assert_eq!((stream.status(), messages), (HandshakeStatus::Failed(WireError::TooLong), 0));
            let start = stream.incomplete_message().unwrap();
            assert_eq!((start.kind, start.body), (HandshakeType::CERTIFICATE, &body[..MAX_HANDSHAKE_MESSAGE]));
        }
        // With one byte less it is an ordinary message.
        let fits = message(11, &body[1..]);
        let bytes: Vec<u8> = fits.chunks(16_000).flat_map(|part| record(22, part)).collect();
        assert_eq!(run(&bytes, &[5000; 20]), (HandshakeStatus::Open, vec![(11, body[1..].to_vec())]));
    }

    proptest! {
        #[test]
        fn any_split_into_records_and_slices_yields_the_same_messages(
            bodies in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 1..6),
            record_sizes in prop::collection::vec(0_usize..200, 0..20),
            slice_sizes in prop::collection::vec(0_usize..200, 0..40),
        ) {
            let handshake: Vec<u8> = bodies.iter().flat_map(|(kind, body)| message(*kind, body)).collect();
            let mut bytes = Vec::new();
            let mut rest = handshake.as_slice();
            for size in record_sizes.into_iter().chain([usize::MAX]) {
                let (payload, after) = rest.split_at(rest.len().min(size));
                bytes.extend(record(22, payload));
                rest = after;
            }
            prop_assert_eq!(run(&bytes, &slice_sizes), (HandshakeStatus::Open, bodies));
        }

        #[test]
        fn a_split_changes_nothing_on_any_bytes(
            start in prop::sample::select(vec![vec![], record(22, &message(1, b"x")), vec![22, 3, 3, 0, 80, 1, 0, 0]]),
            noise in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 2, 3, 20, 21, 22])], 0..200),
            slice_sizes in prop::collection::vec(0_usize..20, 0..40),
        ) {
            let bytes = [start, noise].concat();
            prop_assert_eq!(run(&bytes, &slice_sizes), run(&bytes, &[]));
        }
    }
}
