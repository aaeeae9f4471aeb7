//! The header lines of HTTP/1 (RFC 9112, section 5).

use memchr::memchr;

use crate::wire::http::field::HeaderField;

/// The position of the first line feed.
#[inline]
pub(crate) fn find_lf(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes)
}

/// A line without the carriage return that may end it (RFC 9112, section 2.2).
pub(crate) const fn without_cr(line: &[u8]) -> &[u8] {
    match line {
        [line @ .., b'\r'] => line,
        line => line,
    }
}

/// Whether a line continues the previous one (obs-fold, RFC 9112, section 5.2).
pub(crate) const fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Header lines as fields. A line without a colon, without a name, or that continues no field is skipped: servers
/// differ in which lines they reject, and the other lines still identify the client.
#[derive(Clone, Debug)]
pub struct HeaderLines<'a> {
    rest: &'a [u8],
    skipped: u16,
}

impl<'a> HeaderLines<'a> {
    /// The lines up to the first empty one.
    pub(crate) const fn new(lines: &'a [u8]) -> Self {
        Self { rest: lines, skipped: 0 }
    }

    /// Lines skipped so far.
    #[must_use]
    pub const fn skipped(&self) -> u16 {
        self.skipped
    }
}

impl<'a> Iterator for HeaderLines<'a> {
    type Item = HeaderField<'a>;

    #[inline]
    fn next(&mut self) -> Option<HeaderField<'a>> {
        loop {
            let (line, rest) = self.rest.split_at_checked(find_lf(self.rest)?)?;
            self.rest = rest.get(1..)?;
            let line = without_cr(line);
            if line.is_empty() {
                self.rest = &[];
                return None;
            }
            let colon = memchr(b':', line);
            if let Some((name, [_colon, value @ ..])) = colon.and_then(|at| line.split_at_checked(at))
                && let name = name.trim_ascii_end()
                && !name.is_empty()
                && !is_folded(name)
            {
                return Some(HeaderField { name, value: value.trim_ascii() });
            }
            self.skipped = self.skipped.saturating_add(1);
        }
    }
}
