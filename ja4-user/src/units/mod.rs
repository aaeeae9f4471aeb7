//! Durations and sizes, with one syntax for files and flags; counts in messages.

mod byte_size;
mod count;
mod duration;

pub use self::byte_size::{ByteSize, ByteSizeError};
pub(crate) use self::count::Counted;
pub use self::duration::{DurationError, HumanDuration};
