//! A request: a method and fields in wire order (RFC 9110, section 6).

use crate::wire::http::field::{HeaderField, ListFields};
use crate::wire::http::lines::HeaderLines;

/// The version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112), and every other HTTP/1.x.
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
}

impl HttpVersion {
    /// The version's usual name, such as `HTTP/1.1`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// One request, borrowed from the stream that parsed it.
#[derive(Clone, Debug)]
pub struct HttpRequest<'a> {
    version: HttpVersion,
    method: &'a [u8],
    target: &'a [u8],
    fields: HeaderFields<'a>,
}

impl<'a> HttpRequest<'a> {
    /// A request of HTTP/1: its request line, and the lines after it.
    pub(crate) const fn from_lines(
        version: HttpVersion,
        method: &'a [u8],
        target: &'a [u8],
        lines: HeaderLines<'a>,
    ) -> Self {
        Self { version, method, target, fields: HeaderFields::Lines(lines) }
    }

    /// The request of a decoded field section; `None` if it has no `:method`, as trailers have none.
    pub(crate) fn from_list(fields: ListFields<'a>) -> Option<Self> {
        let named = |name| fields.clone().find(|field| field.name == name).map(|field| field.value);
        let method = named(b":method".as_slice())?;
        let target = named(b":path").unwrap_or_default();
        Some(Self { version: HttpVersion::Http2, method, target, fields: HeaderFields::List(fields) })
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> HttpVersion {
        self.version
    }

    /// The method, or `:method`, in its original case.
    #[must_use]
    pub const fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The request target, or `:path`; empty if absent.
    #[must_use]
    pub const fn target(&self) -> &'a [u8] {
        self.target
    }

    /// The fields in wire order, duplicates and pseudo-header fields included.
    #[must_use]
    pub fn fields(&self) -> HeaderFields<'a> {
        self.fields.clone()
    }

    /// The value of the first field `name`.
    #[must_use]
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields().find(|field| field.is(name)).map(|field| field.value)
    }

    /// The requested host: `:authority` if present (RFC 9113, section 8.3.1), else Host.
    #[must_use]
    pub fn host(&self) -> Option<&'a [u8]> {
        self.field(b":authority").or_else(|| self.field(b"host"))
    }

    /// User-Agent.
    #[must_use]
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.field(b"user-agent")
    }
}

/// Fields in wire order.
#[derive(Clone, Debug)]
pub enum HeaderFields<'a> {
    /// Lines of HTTP/1, parsed by the iteration.
    Lines(HeaderLines<'a>),
    /// A decoded list of HTTP/2.
    List(ListFields<'a>),
}

impl HeaderFields<'_> {
    /// Lines of HTTP/1 that are not fields, among those iterated so far.
    #[must_use]
    pub const fn skipped_lines(&self) -> u16 {
        match self {
            Self::Lines(lines) => lines.skipped(),
            Self::List(_) => 0,
        }
    }
}

impl<'a> Iterator for HeaderFields<'a> {
    type Item = HeaderField<'a>;

    #[inline]
    fn next(&mut self) -> Option<HeaderField<'a>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::List(list) => list.next(),
        }
    }
}
