//! HTTP requests of any version (RFC 9110).

mod field;
mod lines;
mod request;

pub(crate) use field::list_items;
pub use field::{HeaderField, ListFields};
pub use lines::HeaderLines;
pub(crate) use lines::{FieldIndex, find_lf, is_folded, without_cr};
pub use request::{HeaderFields, HttpRequest, HttpVersion};
