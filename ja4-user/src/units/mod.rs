//! Units in which people write settings, one grammar for all files and flags.

mod count;
mod size;
mod span;

pub(crate) use self::count::Counted;
pub use self::size::{Size, SizeError};
pub use self::span::{Span, SpanError};
