//! Limits of records by class. Userspace adapts them while the programs run.
//!
//! A record is dropped if its class is over its rate, or if the ring holds more bytes than the mark of its class. Marks
//! order the classes by value: when a ring fills, the class with the lowest mark is dropped first, and a flood of that
//! class leaves the rest of the ring to the others.

use crate::reason::RecordClass;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Limit of one class on one CPU.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | rate, records per second |
/// | 4 | 4 | burst, records |
/// | 8 | 4 | mark, bytes |
/// | 12 | 4 | zero |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordLimit {
    /// Records per second and CPU; 0: no limit.
    pub rate: u32,
    /// Records of a burst.
    pub burst: u32,
    /// Bytes in the ring from which on records are dropped; 0: the whole ring may be used.
    pub mark: u32,
    /// Always zero.
    pub reserved: u32,
}

/// The limits of all classes. A class has one limit for assured flows and one for other flows, since one sender can
/// forge any number of others. A flow is assured, as in Linux's conntrack, once both sides have sent packets; over TCP,
/// once the client has acknowledged the SYN-ACK.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 16 × classes | limits of flows that are not assured |
/// | 16 × classes | 16 × classes | limits of assured flows |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordLimits {
    /// The limits, see [`index`].
    pub by_index: [RecordLimit; RecordLimits::COUNT],
}

const _: () = assert!(size_of::<RecordLimits>() == 16 * RecordLimits::COUNT);

impl RecordLimits {
    /// Number of limits.
    pub const COUNT: usize = 2 * RecordClass::COUNT;

    /// No limits.
    pub const NONE: Self = Self { by_index: [RecordLimit { rate: 0, burst: 0, mark: 0, reserved: 0 }; Self::COUNT] };
}

/// Index of the limit of a class, for a flow that is assured or not.
#[inline(always)]
pub const fn index(class: u8, is_assured: bool) -> u8 {
    if is_assured { class + RecordClass::COUNT as u8 } else { class }
}
