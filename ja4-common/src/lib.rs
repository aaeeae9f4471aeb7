//! What both halves of ja4sensor share.
//!
//! The XDP and tc programs (`ja4-ebpf`) and the sensor (`ja4-user`) compile the same sources from
//! here, so a capture file is filtered by exactly the rules that run in the kernel:
//!
//! | module | holds |
//! |---|---|
//! | [`headers`] | link, network and transport headers of one frame, as offsets |
//! | [`flow`] | flow key, symmetric hash, per-flow entry |
//! | [`hunger`] | which payload segments of a flow carry a TLS handshake |
//! | [`select`] | the decision over one frame |
//! | [`record`] | the record that carries a selected frame to userspace |
//! | [`counter`] | one counter for every outcome, and the laws they obey |
//! | [`knobs`] | what is fixed when the programs are loaded |
#![no_std]
#![forbid(unsafe_code)]

pub mod counter;
pub mod flow;
pub mod headers;
pub mod hunger;
pub mod knobs;
pub mod record;
pub mod select;

/// Checked reads from one frame.
///
/// The kernel half implements it over packet memory that the verifier watches, the user half over
/// a slice. An offset past the end is `None`, never a panic.
pub trait Bytes {
    /// Reads `N` bytes of the headers: below [`headers::MAX_HEADERS`].
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Reads `N` bytes anywhere in the frame.
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Length of the frame on the wire, bytes. What is held of it may be less.
    fn wire_len(&self) -> usize;

    /// The same value, which from here on is read from memory. The kernel half forgets what it
    /// knows of it in registers: where paths meet, the verifier then has one state to follow.
    #[inline(always)]
    fn settle<'a, T>(&self, value: &'a mut T) -> &'a mut T {
        value
    }
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
    #[inline]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk().copied()
    }

    #[inline]
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.load(offset)
    }

    #[inline]
    fn wire_len(&self) -> usize {
        self.wire_len
    }
}
