//! What both halves of ja4sensor share.
//!
//! The XDP and tc programs (`ja4-ebpf`) and the sensor (`ja4-user`) compile the same sources from
//! here, so a capture file is filtered by exactly the rules that run in the kernel:
//!
//! | module | holds |
//! |---|---|
//! | [`headers`] | link, network and transport headers of one frame, as offsets |
//! | [`tunnel`] | what a tunnel's header says of the packet inside |
//! | [`flow`] | flow key, symmetric hash, per-flow entry |
//! | `quick` | the short way out for bulk packets |
//! | [`begin`] | what a stream begins with |
//! | [`look`] | what the bytes of a segment say |
//! | [`text`] | a segment read as lines of text |
//! | [`framing`] | headers between TCP or UDP and TLS or DTLS |
//! | [`hunger`] | which payload segments of a TCP direction are wanted |
//! | [`datagram`] | which UDP datagrams are wanted |
//! | [`duplicate`] | which packets another capture point has seen |
//! | [`select`] | the decision over one frame |
//! | [`record`] | the record that carries a selected frame to userspace |
//! | [`counter`] | one counter for every outcome, and the laws they obey |
//! | [`knobs`] | what is fixed when the programs are loaded |
#![no_std]
#![forbid(unsafe_code)]

use zerocopy::IntoBytes as _;

pub mod begin;
pub mod counter;
pub mod datagram;
pub mod duplicate;
pub mod flow;
pub mod framing;
pub mod headers;
pub mod hunger;
pub mod knobs;
pub mod look;
mod quick;
pub mod record;
pub mod select;
pub mod text;
pub mod tunnel;
mod verdict;

/// Checked reads from one frame.
///
/// The kernel half implements it over packet memory that the verifier watches, the user half over
/// a slice. An offset past the end is `None`, never a panic.
pub trait Bytes {
    /// `N` bytes of the frame, proved to be there.
    type Window<'a, const N: usize>: Window<N>
    where
        Self: 'a;

    /// Whether bytes at the end of a frame may be missing though they were on the wire, as in a capture file.
    const MAY_BE_CUT: bool = true;

    /// `N` bytes of the headers: below [`headers::MAX_HEADERS`].
    fn window<const N: usize>(&self, offset: usize) -> Option<Self::Window<'_, N>>;

    /// Reads `N` bytes anywhere in the frame.
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies `len` bytes at `offset` to the start of `to`; `len` is from 1 to the size of `to`. Returns false, with
    /// nothing copied, if the frame has fewer bytes.
    fn copy<const N: usize>(&self, offset: u32, len: u32, to: &mut [u64; N]) -> bool;

    /// Length of the frame on the wire, bytes. What is held of it may be less.
    fn wire_len(&self) -> usize;

    /// The same value, which from here on is read from memory. The kernel half forgets what it
    /// knows of it in registers: where paths meet, the verifier then has one state to follow.
    #[inline(always)]
    fn settle<'a, T>(&self, value: &'a mut T) -> &'a mut T {
        value
    }

    // The stages below are called through the frame, so that the kernel half can make a global BPF function of each.
    // The verifier checks a global function once, and any other function again on each path that calls it.

    /// Calls [`begin::text`].
    #[inline(always)]
    fn text(first: u64) -> begin::Begin {
        begin::text(first)
    }

    /// Calls [`headers::level`].
    #[inline(always)]
    fn level(&self, ethertype: u16, offset: u32, out: &mut headers::Transport) -> headers::Parsed
    where
        Self: Sized,
    {
        headers::level(self, ethertype, offset, out)
    }

    /// Calls [`select::Work::opening`].
    #[inline(always)]
    fn opening<F: flow::Flows>(&self, work: &mut select::Work, flows: &mut F, knobs: &knobs::Knobs) -> select::Outcome
    where
        Self: Sized,
    {
        work.opening(self, flows, knobs)
    }

    /// Calls [`select::Work::datagram`].
    #[inline(always)]
    fn datagram<F: flow::Flows>(
        &self,
        work: &mut select::Work,
        is_bulk: bool,
        flows: &mut F,
        knobs: &knobs::Knobs,
    ) -> select::Outcome
    where
        Self: Sized,
    {
        work.datagram(self, is_bulk, flows, knobs)
    }

    /// Calls [`duplicate::is_duplicate`].
    #[inline(always)]
    fn is_duplicate<R: duplicate::Recent>(
        &self,
        headers: &headers::Transport,
        flow: u64,
        point: u32,
        direction: &mut flow::Direction,
        recent: &mut R,
    ) -> bool
    where
        Self: Sized,
    {
        duplicate::is_duplicate(self, headers, flow, point, direction, recent)
    }

    /// Calls [`headers::extensions`].
    #[inline(always)]
    fn extensions(&self, at: u32, first: u8) -> u32
    where
        Self: Sized,
    {
        headers::extensions(self, at, first)
    }

    /// Calls [`look::look`].
    #[inline(always)]
    fn look(&self, segment: &look::Segment, skip: u32, first: bool) -> u8
    where
        Self: Sized,
    {
        look::look(self, segment, skip, first)
    }

    /// Calls [`text::read`].
    #[inline(always)]
    fn read_text(&self, segment: &mut look::Segment, words: &mut [u64; text::WORDS])
    where
        Self: Sized,
    {
        text::read(self, segment, words);
    }

    /// Calls [`hunger::decide`].
    #[inline(always)]
    fn decide(&self, direction: &mut flow::Direction, segment: &look::Segment, knobs: &knobs::Knobs) -> u8
    where
        Self: Sized,
    {
        hunger::decide(self, direction, segment, knobs)
    }

    /// Calls [`hunger::walk`].
    #[inline(always)]
    fn walk(&self, direction: &mut flow::Direction, segment: &look::Segment) -> u8
    where
        Self: Sized,
    {
        hunger::walk(self, direction, segment)
    }
}

/// Integers in network byte order at constant offsets, checked when compiled.
pub trait Window<const N: usize> {
    /// The byte at `AT`.
    fn be8<const AT: usize>(&self) -> u8;
    /// The two bytes at `AT`.
    fn be16<const AT: usize>(&self) -> u16;
    /// The four bytes at `AT`.
    fn be32<const AT: usize>(&self) -> u32;
    /// The eight bytes at `AT`.
    fn be64<const AT: usize>(&self) -> u64;
}

/// A frame held in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// What was captured of the frame.
    pub bytes: &'a [u8],
    /// Length of the frame on the wire, bytes.
    pub wire_len: usize,
}

impl Bytes for Slice<'_> {
    type Window<'a, const N: usize>
        = &'a [u8; N]
    where
        Self: 'a;

    #[inline]
    fn window<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        if offset >= headers::MAX_HEADERS {
            return None;
        }
        self.bytes.get(offset..)?.first_chunk()
    }

    #[inline]
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk().copied()
    }

    #[inline]
    fn copy<const N: usize>(&self, offset: u32, len: u32, to: &mut [u64; N]) -> bool {
        let (offset, len) = (offset as usize, len as usize);
        match (self.bytes.get(offset..offset + len), to.as_mut_bytes().get_mut(..len)) {
            (Some(bytes), Some(to)) => {
                to.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn wire_len(&self) -> usize {
        self.wire_len
    }
}

impl<const N: usize> Window<N> for &[u8; N] {
    #[inline]
    fn be8<const AT: usize>(&self) -> u8 {
        let [byte] = part::<N, AT, 1>(self);
        byte
    }

    #[inline]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be_bytes(part::<N, AT, 2>(self))
    }

    #[inline]
    fn be32<const AT: usize>(&self) -> u32 {
        u32::from_be_bytes(part::<N, AT, 4>(self))
    }

    #[inline]
    fn be64<const AT: usize>(&self) -> u64 {
        u64::from_be_bytes(part::<N, AT, 8>(self))
    }
}

/// `M` bytes at `AT`, which lie within `N`.
#[inline]
fn part<const N: usize, const AT: usize, const M: usize>(bytes: &[u8; N]) -> [u8; M] {
    const { assert!(AT + M <= N) };
    bytes.get(AT..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; M])
}
