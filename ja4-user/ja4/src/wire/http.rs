//! An HTTP request as any version carries it (RFC 9110): a method and fields in wire order.

use core::slice;

use crate::wire::http1::Lines;
use crate::wire::http2::HeaderList;

/// The version a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112), and whatever else calls itself HTTP/1.
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
}

impl Version {
    /// The name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// One header field. Its bytes are those of the wire: nothing says that they are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name in the case it was sent in.
    pub name: &'a [u8],
    /// Value without the whitespace around it.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`. Names have no case (RFC 9110, section 5.1).
    #[must_use]
    #[inline]
    pub const fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether this is a pseudo-header field, such as `:authority` (RFC 9113, section 8.3).
    #[must_use]
    #[inline]
    pub const fn is_pseudo(&self) -> bool {
        matches!(self.name, [b':', ..])
    }
}

/// One request, lent from the stream that found it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    version: Version,
    method: &'a [u8],
    target: &'a [u8],
    source: Source<'a>,
}

/// Where the fields lie.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Lines(Lines<'a>),
    List(&'a HeaderList),
}

impl<'a> Request<'a> {
    /// A request of HTTP/1: what its request line says, and the lines behind it.
    pub(crate) const fn from_lines(version: Version, method: &'a [u8], target: &'a [u8], lines: Lines<'a>) -> Self {
        Self { version, method, target, source: Source::Lines(lines) }
    }

    /// The request that a decoded field section makes; `None` for one without `:method`, as trailers are.
    pub(crate) fn from_list(list: &'a HeaderList) -> Option<Self> {
        let named = |name| list.iter().find(|field| field.name == name).map(|field| field.value);
        let method = named(b":method".as_slice())?;
        let target = named(b":path").unwrap_or_default();
        Some(Self { version: Version::Http2, method, target, source: Source::List(list) })
    }

    /// The version it came in.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The method, or `:method`, in the case it was sent in.
    #[must_use]
    pub const fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The request target, or `:path`; empty where there is none.
    #[must_use]
    pub const fn target(&self) -> &'a [u8] {
        self.target
    }

    /// The fields in wire order, duplicates and pseudo-header fields included.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        match self.source {
            Source::Lines(lines) => Fields::Lines(lines),
            Source::List(list) => Fields::List(list.iter()),
        }
    }

    /// The value of the first field `name`.
    #[must_use]
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields().find(|field| field.is(name)).map(|field| field.value)
    }

    /// Whom it is for: `:authority` where there is one (RFC 9113, section 8.3.1), else Host.
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

/// The items of a value that is a comma-separated list, without the whitespace around them
/// (RFC 9110, section 5.6.1).
pub(crate) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Fields in wire order.
#[derive(Clone, Debug)]
pub enum Fields<'a> {
    /// Lines of HTTP/1, read as they are asked for.
    Lines(Lines<'a>),
    /// A list that HPACK has decoded.
    List(ListFields<'a>),
}

impl Fields<'_> {
    /// Lines of HTTP/1 that are no field, among those read so far.
    #[must_use]
    pub const fn skipped_lines(&self) -> u16 {
        match self {
            Self::Lines(lines) => lines.skipped(),
            Self::List(_) => 0,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::List(list) => list.next(),
        }
    }
}

/// Fields of a [`HeaderList`].
#[derive(Clone, Debug)]
pub struct ListFields<'a> {
    bytes: &'a [u8],
    lengths: slice::Iter<'a, (u32, u32)>,
}

impl<'a> ListFields<'a> {
    /// Names and values one behind the other, and how long each is; the lengths add up to the bytes.
    pub(crate) fn new(bytes: &'a [u8], lengths: &'a [(u32, u32)]) -> Self {
        Self { bytes, lengths: lengths.iter() }
    }
}

impl<'a> Iterator for ListFields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let &(name_len, value_len) = self.lengths.next()?;
        let (name, rest) = self.bytes.split_at_checked(name_len as usize)?;
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        self.bytes = rest;
        Some(Field { name, value })
    }
}
