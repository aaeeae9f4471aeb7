//! Units in which people write settings, one grammar for all files and flags.

mod size;
mod span;

pub use self::size::{Size, SizeError};
pub use self::span::{Span, SpanError};
