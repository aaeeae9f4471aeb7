//! Checked reads from one frame.

use zerocopy::IntoBytes as _;

/// No header of an accepted frame starts at or after this offset: Ethernet 14, two VLAN tags 8, IPv6 40, extension
/// headers 384. A tunnel leaves less for extension headers. The bound keeps direct packet access in the kernel small.
pub const MAX_HEADERS: usize = 512;

/// Checked reads from one frame.
///
/// The kernel programs implement it over packet memory, which the verifier checks, and userspace over a slice. An
/// offset past the end gives `None`, never a panic.
pub trait FrameBytes {
    /// `N` bytes of the frame, already checked.
    type Window<'a, const N: usize>: HeaderWindow<N>
    where
        Self: 'a;

    /// Whether bytes at the end of a frame may be missing although they were on the wire, as in a capture file.
    const MAY_BE_CUT: bool = true;

    /// Reads `N` bytes of the headers: below [`MAX_HEADERS`].
    fn window<const N: usize>(&self, offset: usize) -> Option<Self::Window<'_, N>>;

    /// Reads `N` bytes anywhere in the frame.
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies `len` bytes at `offset` to the start of `to`. `len` is from 1 to the size of `to`. Returns false, and
    /// copies nothing, if the frame is shorter.
    fn copy<const N: usize>(&self, offset: u32, len: u32, to: &mut [u64; N]) -> bool;

    /// Length of the frame on the wire, bytes. The captured part may be shorter.
    fn wire_len(&self) -> usize;

    /// Returns the same value, which is read from memory from here on. The compiler drops its copies in registers,
    /// so where paths join, the verifier has one state to follow.
    #[inline(always)]
    fn reload<'a, T>(&self, value: &'a mut T) -> &'a mut T {
        value
    }
}

/// Integers in network byte order at constant offsets, checked at compile time.
pub trait HeaderWindow<const N: usize> {
    /// Reads the byte at `AT`.
    fn be8<const AT: usize>(&self) -> u8;
    /// Reads two bytes at `AT`.
    fn be16<const AT: usize>(&self) -> u16;
    /// Reads four bytes at `AT`.
    fn be32<const AT: usize>(&self) -> u32;
    /// Reads eight bytes at `AT`.
    fn be64<const AT: usize>(&self) -> u64;
}

/// A frame in a slice.
#[derive(Clone, Copy, Debug)]
pub struct SliceFrame<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length of the frame on the wire, bytes.
    pub wire_len: usize,
}

impl FrameBytes for SliceFrame<'_> {
    type Window<'a, const N: usize>
        = &'a [u8; N]
    where
        Self: 'a;

    #[inline]
    fn window<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        if offset >= MAX_HEADERS {
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

impl<const N: usize> HeaderWindow<N> for &[u8; N] {
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

/// `M` bytes at `AT`, within `N`.
#[inline]
fn part<const N: usize, const AT: usize, const M: usize>(bytes: &[u8; N]) -> [u8; M] {
    const { assert!(AT + M <= N) };
    bytes.get(AT..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; M])
}
