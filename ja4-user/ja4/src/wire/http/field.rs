//! Header fields (RFC 9110, section 5).

/// One header field, as bytes on the wire: neither part needs to be text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// Name in its original case.
    pub name: &'a [u8],
    /// Value without the whitespace around it.
    pub value: &'a [u8],
}

impl HeaderField<'_> {
    /// Whether this is the field `name`. Names are case-insensitive (RFC 9110, section 5.1).
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

/// The items of a value that is a comma-separated list, without the whitespace around them
/// (RFC 9110, section 5.6.1).
pub(crate) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The fields of a decoded field section of HTTP/2.
#[derive(Clone, Debug)]
pub struct ListFields<'a> {
    bytes: &'a [u8],
    lengths: core::slice::Iter<'a, (u32, u32)>,
}

impl<'a> ListFields<'a> {
    /// Concatenated names and values, and the lengths of each; the lengths add up to the bytes.
    pub(crate) fn new(bytes: &'a [u8], lengths: &'a [(u32, u32)]) -> Self {
        Self { bytes, lengths: lengths.iter() }
    }
}

impl<'a> Iterator for ListFields<'a> {
    type Item = HeaderField<'a>;

    #[inline]
    fn next(&mut self) -> Option<HeaderField<'a>> {
        let &(name_len, value_len) = self.lengths.next()?;
        let (name, rest) = self.bytes.split_at_checked(name_len as usize)?;
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        self.bytes = rest;
        Some(HeaderField { name, value })
    }
}
