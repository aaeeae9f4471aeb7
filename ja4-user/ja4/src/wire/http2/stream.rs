//! The client direction of an HTTP/2 connection.

use core::ops::ControlFlow;

use crate::wire::http::HttpRequest;
use crate::wire::http2::frame::{FrameHeader, FrameType, PREFACE, flag, fragment};
use crate::wire::http2::hpack::{Decoder, HeaderList};
use crate::wire::{Cursor, WireError};

/// Longest field block that is reassembled, bytes as sent, padding included.
pub const MAX_BLOCK: usize = 64 * 1024;

/// Most CONTINUATION frames of one block. A client fills frames of 16 KiB, so that four are enough; an endless sequence
/// of tiny or empty frames is an attack (CVE-2024-27316 and similar ones).
pub const MAX_CONTINUATIONS: u8 = 64;

/// Decoded bytes of all field sections of one stream: with a dynamic table, a few bytes represent many
/// (RFC 7541, section 7.3), and all of them are decoded.
const MAX_DECODED: usize = 1024 * 1024;

/// The status of an [`Http2Stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Http2Status {
    /// It expects more bytes.
    Open,
    /// The receiver has ended it; further bytes are ignored.
    Ended,
    /// The bytes are not HTTP/2, malformed or over a limit; further bytes are ignored, because HPACK cannot
    /// resynchronize.
    Failed(WireError),
}

/// The element of the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http2State {
    /// The preface, after this many bytes.
    Preface(u8),
    /// A frame header, after this many bytes.
    Header(u8),
    /// The payload of HEADERS or CONTINUATION, of which this many bytes remain.
    Fragment(u32),
    /// The payload of another frame, of which this many bytes remain.
    Other(u32),
}

/// Parses the client direction of a stream, in order and in slices of any size, and yields the request of each field
/// section. Every section is decoded, because the next one may refer to it.
///
/// It takes about 200 bytes, and on the heap up to 64 KiB of dynamic table, usually 4 KiB: owners of many streams box
/// it.
#[derive(Debug)]
pub struct Http2Stream {
    decoder: Decoder,
    /// The section decoded last. Up to [`KEPT_LIST`] of its memory is reused.
    list: HeaderList,
    /// The received part of an incomplete field block, with the priority and padding of its HEADERS frame; unallocated
    /// otherwise.
    block: Vec<u8>,
    header: [u8; FrameHeader::LEN],
    state: Http2State,
    /// The stream of an incomplete block, which only CONTINUATION may follow; 0: none.
    open: u32,
    /// Number of decoded bytes.
    decoded: usize,
    /// CONTINUATION frames of the incomplete block.
    continuations: u8,
    status: Http2Status,
}

/// Memory of a decoded section that is reused for the next, bytes. The requests of one connection are similar.
const KEPT_LIST: usize = 4096;

impl Default for Http2Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Http2Stream {
    /// A stream that expects the client's preface.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            list: HeaderList::default(),
            block: Vec::new(),
            header: [0; FrameHeader::LEN],
            state: Http2State::Preface(0),
            open: 0,
            decoded: 0,
            continuations: 0,
            status: Http2Status::Open,
        }
    }

    /// A stream after the preface.
    #[must_use]
    pub fn after_preface() -> Self {
        Self { state: Http2State::Header(0), ..Self::new() }
    }

    /// The status of the stream.
    #[must_use]
    pub const fn status(&self) -> Http2Status {
        self.status
    }

    /// Bytes of heap memory: an incomplete block, the dynamic table, and the section decoded last.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.block.capacity() + self.decoder.heap_size() + self.list.heap_size()
    }

    /// Whether a field block is incomplete.
    #[must_use]
    pub const fn is_in_block(&self) -> bool {
        self.open != 0
    }

    /// Reads the next bytes of the stream, and calls `receive` for each request they complete. If `receive` breaks, the
    /// stream ends.
    pub fn push<F>(&mut self, mut bytes: &[u8], mut receive: F) -> Http2Status
    where
        F: FnMut(HttpRequest<'_>) -> ControlFlow<()>,
    {
        while self.status == Http2Status::Open && !bytes.is_empty() {
            let step = match self.state {
                Http2State::Preface(seen) => self.take_preface(seen, bytes),
                Http2State::Header(seen) => self.take_header(seen, bytes, &mut receive),
                Http2State::Fragment(left) => self.take_fragment(left, bytes, &mut receive),
                Http2State::Other(left) => {
                    let (_, rest, left) = split(left, bytes);
                    self.state = if left == 0 { Http2State::Header(0) } else { Http2State::Other(left) };
                    Ok(rest)
                }
            };
            match step {
                Ok(rest) => bytes = rest,
                Err(status) => self.end(status),
            }
        }
        self.status
    }

    fn end(&mut self, status: Http2Status) {
        *self = Self { status, ..Self::new() };
    }

    fn take_preface<'b>(&mut self, seen: u8, bytes: &'b [u8]) -> Result<&'b [u8], Http2Status> {
        let missing = PREFACE.get(usize::from(seen)..).unwrap_or_default();
        if let Some(rest) = bytes.strip_prefix(missing) {
            self.state = Http2State::Header(0);
            Ok(rest)
        } else if missing.starts_with(bytes) {
            // Below the preface's 24 bytes.
            self.state = Http2State::Preface(seen + bytes.len() as u8);
            Ok(&[])
        } else {
            Err(Http2Status::Failed(WireError::Magic))
        }
    }

    fn take_header<'b, F>(&mut self, seen: u8, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], Http2Status>
    where
        F: FnMut(HttpRequest<'_>) -> ControlFlow<()>,
    {
        let place = self.header.get_mut(usize::from(seen)..).unwrap_or_default();
        let (taken, rest) = bytes.split_at_checked(place.len()).unwrap_or((bytes, &[]));
        if let Some(place) = place.get_mut(..taken.len()) {
            place.copy_from_slice(taken);
        }
        // At most FrameHeader::LEN.
        let seen = seen + taken.len() as u8;
        if usize::from(seen) < FrameHeader::LEN {
            self.state = Http2State::Header(seen);
            return Ok(rest);
        }
        self.open_frame()?;
        match self.state {
            // A frame without payload ends here.
            Http2State::Fragment(0) => self.take_fragment(0, rest, receive),
            _ => Ok(rest),
        }
    }

    /// Reads a complete frame header.
    fn open_frame(&mut self) -> Result<(), Http2Status> {
        let FrameHeader { length, kind, stream, .. } = self.frame()?;
        // Continuations directly follow the frame that they continue (section 6.10).
        if (self.open != 0 || kind == FrameType::CONTINUATION)
            && (kind != FrameType::CONTINUATION || stream != self.open)
        {
            return Err(WireError::Value.into());
        }
        match kind {
            FrameType::HEADERS if stream % 2 == 0 => return Err(WireError::Value.into()),
            FrameType::HEADERS => (self.open, self.continuations) = (stream, 0),
            FrameType::CONTINUATION if self.continuations == MAX_CONTINUATIONS => return Err(WireError::TooMany.into()),
            FrameType::CONTINUATION => self.continuations += 1,
            // Including PUSH_PROMISE, which no client may send.
            _ => {
                self.state = if length == 0 { Http2State::Header(0) } else { Http2State::Other(length) };
                return Ok(());
            }
        }
        if self.block.len() + length as usize > MAX_BLOCK {
            return Err(WireError::TooLong.into());
        }
        self.state = Http2State::Fragment(length);
        Ok(())
    }

    fn frame(&self) -> Result<FrameHeader, WireError> {
        FrameHeader::parse(&mut Cursor::new(&self.header))
    }

    /// Reads payload of HEADERS or CONTINUATION; decodes the block when it is complete.
    fn take_fragment<'b, F>(&mut self, left: u32, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], Http2Status>
    where
        F: FnMut(HttpRequest<'_>) -> ControlFlow<()>,
    {
        let (payload, rest, left) = split(left, bytes);
        let FrameHeader { kind, flags, .. } = self.frame()?;
        let ends = flags & flag::END_HEADERS != 0;
        if left == 0 && kind == FrameType::HEADERS && ends && self.block.is_empty() {
            self.decode(fragment(payload, flags)?, receive)?;
        } else {
            self.block.extend_from_slice(payload);
            if left > 0 {
                self.state = Http2State::Fragment(left);
                return Ok(rest);
            }
            if kind == FrameType::HEADERS {
                self.strip(flags)?;
            }
            if ends {
                let block = core::mem::take(&mut self.block);
                self.decode(&block, receive)?;
            }
        }
        self.state = Http2State::Header(0);
        Ok(rest)
    }

    /// Reduces the payload of a HEADERS frame in `block` to its fragment.
    fn strip(&mut self, flags: u8) -> Result<(), WireError> {
        let length = fragment(&self.block, flags)?.len();
        let before = usize::from(flags & flag::PADDED != 0) + if flags & flag::PRIORITY != 0 { 5 } else { 0 };
        self.block.truncate(before + length);
        self.block.drain(..before.min(self.block.len()));
        Ok(())
    }

    fn decode<F>(&mut self, block: &[u8], receive: &mut F) -> Result<(), Http2Status>
    where
        F: FnMut(HttpRequest<'_>) -> ControlFlow<()>,
    {
        self.open = 0;
        self.decoder.decode(block, &mut self.list)?;
        self.decoded = self.decoded.saturating_add(self.list.size());
        if self.decoded > MAX_DECODED {
            return Err(Http2Status::Failed(WireError::TooLong));
        }
        let flow = HttpRequest::from_list(self.list.iter()).map_or(ControlFlow::Continue(()), receive);
        if self.list.heap_size() > KEPT_LIST {
            self.list = HeaderList::default();
        }
        if flow.is_break() { Err(Http2Status::Ended) } else { Ok(()) }
    }
}

impl From<WireError> for Http2Status {
    fn from(error: WireError) -> Self {
        Self::Failed(error)
    }
}

/// Splits off bytes of a payload of which `left` bytes remain. Returns them, the rest, and the new `left`.
fn split(left: u32, bytes: &[u8]) -> (&[u8], &[u8], u32) {
    let (payload, rest) = bytes.split_at_checked(left as usize).unwrap_or((bytes, &[]));
    // Never below zero: payload.len() <= left.
    (payload, rest, left.saturating_sub(payload.len() as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTINUE: ControlFlow<()> = ControlFlow::Continue(());
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    const END: u8 = flag::END_HEADERS;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// `GET http://a/` with a field that goes into the dynamic table, and one taken from there.
    const FIRST: &[u8] = b"\x82\x86\x84\x41\x01a\x40\x01x\x01y";
    const AGAIN: &[u8] = b"\x83\x86\x84\xbf\xbe";

    fn run(bytes: &[u8], sizes: &[usize]) -> (Http2Status, Vec<String>) {
        let (mut stream, mut seen, mut rest) = (Http2Stream::new(), Vec::new(), bytes);
        for &size in sizes.iter().chain([&usize::MAX]) {
            let (slice, after) = rest.split_at(rest.len().min(size));
            rest = after;
            stream.push(slice, |request| {
                let fields = request.fields().map(|field| [field.name, b"=", field.value].concat());
                seen.push(String::from_utf8(fields.collect::<Vec<_>>().join(&b"|"[..])).unwrap());
                CONTINUE
            });
        }
        (stream.status(), seen)
    }

    fn after_preface(frames: &[Vec<u8>]) -> (Http2Status, Vec<String>) {
        let bytes = [PREFACE, &frames.concat()].concat();
        let whole = run(&bytes, &[]);
        for size in [1, 7, 30] {
            assert_eq!(run(&bytes, &vec![size; bytes.len()]), whole);
        }
        whole
    }

    const SEEN: [&str; 2] =
        [":method=GET|:scheme=http|:path=/|:authority=a|x=y", ":method=POST|:scheme=http|:path=/|:authority=a|x=y"];

    #[test]
    fn requests_share_a_table_and_other_frames_are_skipped() {
        let frames = [
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(8, 0, 0, &[0, 1, 0, 0]),
            frame(HEADERS, END, 1, FIRST),
            frame(0, 0, 1, &[0; 300]),
            frame(0, 1, 1, &[]),
            frame(HEADERS, END | 1, 3, AGAIN),
        ];
        assert_eq!(after_preface(&frames), (Http2Status::Open, SEEN.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_block_may_be_padded_prioritised_and_continued() {
        let padded = [&[3, 0x80, 0, 0, 0, 15][..], &FIRST[..4], &[0; 3]].concat();
        let frames = [
            frame(HEADERS, flag::PADDED | flag::PRIORITY, 1, &padded),
            frame(CONTINUATION, 0, 1, &[]),
            frame(CONTINUATION, 0, 1, &FIRST[4..7]),
            frame(CONTINUATION, END, 1, &FIRST[7..]),
            frame(HEADERS, END | flag::PADDED | flag::PRIORITY, 3, &[&[2, 0, 0, 0, 0, 15], AGAIN, &[0; 2]].concat()),
        ];
        assert_eq!(after_preface(&frames), (Http2Status::Open, SEEN.map(str::to_owned).to_vec()));
        let ended_by_an_empty_one = [frame(HEADERS, 0, 1, FIRST), frame(CONTINUATION, END, 1, &[])];
        assert_eq!(after_preface(&ended_by_an_empty_one), (Http2Status::Open, vec![SEEN[0].to_owned()]));
    }

    #[test]
    fn trailers_are_not_a_request_but_update_the_table() {
        let frames = [
            frame(HEADERS, END, 1, b"\x82\x86\x84\x41\x01a"),
            frame(HEADERS, END | 1, 1, b"\x40\x01x\x01y"),
            frame(HEADERS, END | 1, 3, AGAIN),
        ];
        assert_eq!(after_preface(&frames).1[1], SEEN[1]);
    }

    #[test]
    fn accessors_read_pseudo_headers() {
        let bytes = [frame(HEADERS, END, 1, FIRST), frame(HEADERS, END, 3, b"\x82\x66\x01b\x7a\x01c")].concat();
        let mut seen = Vec::new();
        Http2Stream::after_preface().push(&bytes, |request| {
            let part = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            seen.push((
                part(request.method()),
                part(request.target()),
                request.host().map(part),
                request.user_agent().map(part),
            ));
            CONTINUE
        });
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(seen[0], ("GET".to_owned(), "/".to_owned(), some("a"), None));
        assert_eq!(seen[1], ("GET".to_owned(), String::new(), some("b"), some("c")));
    }

    #[test]
    fn a_frame_out_of_order_ends_the_stream() {
        let refusal = |frames: &[Vec<u8>]| after_preface(frames).0;
        let value = Http2Status::Failed(WireError::Value);
        assert_eq!(refusal(&[frame(CONTINUATION, END, 1, FIRST)]), value);
        assert_eq!(refusal(&[frame(HEADERS, 0, 1, FIRST), frame(0, 0, 1, &[])]), value);
        assert_eq!(refusal(&[frame(HEADERS, 0, 1, FIRST), frame(CONTINUATION, END, 3, &[])]), value);
        assert_eq!(refusal(&[frame(HEADERS, END, 0, FIRST)]), value);
        assert_eq!(refusal(&[frame(HEADERS, END, 2, FIRST)]), value);
        assert_eq!(refusal(&[frame(HEADERS, END, 1, AGAIN)]), value);
        let padding = frame(HEADERS, END | flag::PADDED, 1, b"\x0b\x82\x86");
        assert_eq!(refusal(&[padding]), Http2Status::Failed(WireError::BadLength));
        assert_eq!(run(b"PRI * HTTP/2.0\r\n\r\nSN", &[3]).0, Http2Status::Failed(WireError::Magic));
    }

    #[test]
    fn a_flood_of_continuations_ends_the_stream() {
        let flood = |count| {
            let mut frames = vec![frame(HEADERS, 0, 1, FIRST)];
            frames.resize(1 + count, frame(CONTINUATION, 0, 1, &[]));
            after_preface(&frames).0
        };
        assert_eq!(flood(usize::from(MAX_CONTINUATIONS)), Http2Status::Open);
        assert_eq!(flood(usize::from(MAX_CONTINUATIONS) + 1), Http2Status::Failed(WireError::TooMany));
        // A long frame takes memory only for received bytes, and one over the limit takes none.
        let mut stream = Http2Stream::after_preface();
        stream.push(&frame(HEADERS, 0, 1, &[0; MAX_BLOCK])[..30], |_| CONTINUE);
        assert!(stream.buffered() < 100);
        stream.push(&[], |_| CONTINUE);
        let status = Http2Stream::after_preface().push(&frame(HEADERS, 0, 1, &[0; MAX_BLOCK + 1])[..9], |_| CONTINUE);
        assert_eq!(status, Http2Status::Failed(WireError::TooLong));
    }

    #[test]
    fn the_decoded_size_of_a_stream_is_limited() {
        // An entry of 4,001 bytes in the dynamic table, and sections that refer to it sixteen times each.
        let entry = [&[0x82, 0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
        let section = [&[0x82][..], &[0xbe; 16]].concat();
        let mut stream = Http2Stream::after_preface();
        let mut decoded = 0;
        let mut push = |block: &[u8]| {
            stream.push(&frame(HEADERS, END, 1, block), |request| {
                decoded += request.fields().map(|field| field.name.len() + field.value.len()).sum::<usize>();
                CONTINUE
            })
        };
        assert_eq!(push(&entry), Http2Status::Open);
        let ended = (0..1000).find_map(|sent| match push(&section) {
            Http2Status::Open => None,
            status => Some((sent, status)),
        });
        // Each section decodes to 64,026 bytes, one sixteenth of them for the first entry.
        assert_eq!(ended, Some((16, Http2Status::Failed(WireError::TooLong))));
        assert!(decoded <= MAX_DECODED, "{decoded}");
        assert_eq!(stream.buffered(), 0);
    }

    #[test]
    fn the_receiver_can_end_the_stream() {
        let mut stream = Http2Stream::after_preface();
        let frames = frame(HEADERS, END, 1, FIRST).repeat(2);
        let mut seen = 0;
        let status = stream.push(&frames, |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((status, seen), (Http2Status::Ended, 1));
    }

    proptest! {
        #[test]
        fn any_split_into_slices_yields_the_same(
            frames in prop::collection::vec(
                (prop::sample::select(vec![0, 1, 1, 4, 9]), any::<u8>(), 0_u32..4, prop::sample::select(vec![FIRST, AGAIN, b"\x82", b""])),
                0..8,
            ),
            sizes in prop::collection::vec(1_usize..30, 0..30),
        ) {
            let frames: Vec<u8> = frames.iter().flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)).collect();
            let bytes = [PREFACE, &frames].concat();
            prop_assert_eq!(run(&bytes, &sizes), run(&bytes, &[]));
        }
    }
}
