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

/// Fields of a block that are indexed. Browsers send about 20.
const INDEXED: usize = 40;

/// The positions of the first fields of a header block, which is read several times. On the stack, as it is of use only
/// while a request is delivered.
#[derive(Debug)]
pub(crate) struct FieldIndex {
    spans: [FieldSpan; INDEXED],
    len: usize,
    /// Start of the lines after the last indexed field.
    end: usize,
    skipped: u16,
}

/// The position of a field, bytes. They fit, since a block has at most 64 KiB with its request line.
#[derive(Clone, Copy, Debug, Default)]
struct FieldSpan {
    name: u16,
    name_len: u16,
    value: u16,
    value_len: u16,
}

impl FieldSpan {
    /// The next field of `lines` from `at`, which moves after it; `None` at the first empty line. A line that is no
    /// field counts as skipped.
    #[inline]
    fn next(lines: &[u8], at: &mut usize, skipped: &mut u16) -> Option<Self> {
        loop {
            let start = *at;
            let rest = lines.get(start..)?;
            let line = rest.get(..find_lf(rest)?)?;
            *at = start + line.len() + 1;
            let line = without_cr(line);
            if line.is_empty() {
                *at = lines.len();
                return None;
            }
            if let Some(colon) = memchr(b':', line)
                && let Some((name, [_colon, value @ ..])) = line.split_at_checked(colon)
                && let name = name.trim_ascii_end()
                && !name.is_empty()
                && !is_folded(name)
            {
                let value = value.trim_ascii_end();
                let value_len = value.trim_ascii_start().len();
                let value_start = start + colon + 1 + (value.len() - value_len);
                let [name, name_len, value, value_len] =
                    [start, name.len(), value_start, value_len].map(|place| place as u16);
                return Some(Self { name, name_len, value, value_len });
            }
            *skipped = skipped.saturating_add(1);
        }
    }

    #[inline]
    fn of(self, lines: &[u8]) -> Option<HeaderField<'_>> {
        let part = |start: u16, len: u16| lines.get(usize::from(start)..)?.get(..usize::from(len));
        Some(HeaderField { name: part(self.name, self.name_len)?, value: part(self.value, self.value_len)? })
    }
}

impl FieldIndex {
    /// The index of the lines up to the first empty one.
    pub(crate) fn new(lines: &[u8]) -> Self {
        let mut index = Self { spans: [FieldSpan::default(); INDEXED], len: 0, end: 0, skipped: 0 };
        for place in &mut index.spans {
            let Some(span) = FieldSpan::next(lines, &mut index.end, &mut index.skipped) else { break };
            *place = span;
            index.len += 1;
        }
        index
    }
}

/// Header lines as fields. A line without a colon, without a name, or that continues no field is skipped: servers
/// differ in which lines they reject, and the other lines still identify the client.
#[derive(Clone, Debug)]
pub struct HeaderLines<'a> {
    lines: &'a [u8],
    /// The next fields.
    indexed: core::slice::Iter<'a, FieldSpan>,
    /// Start of the lines after them.
    at: usize,
    skipped: u16,
}

impl<'a> HeaderLines<'a> {
    /// The lines up to the first empty one, and their index.
    pub(crate) fn new(lines: &'a [u8], index: &'a FieldIndex) -> Self {
        let indexed = index.spans.get(..index.len).unwrap_or_default().iter();
        Self { lines, indexed, at: index.end, skipped: index.skipped }
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
        let span = match self.indexed.next() {
            Some(span) => *span,
            None => FieldSpan::next(self.lines, &mut self.at, &mut self.skipped)?,
        };
        span.of(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_after_the_indexed_ones_are_read_as_well() {
        for count in [0, 1, INDEXED - 1, INDEXED, INDEXED + 1, 3 * INDEXED] {
            let line = |number| format!("no field\r\nName-{number} :\t value {number} \r\n");
            let text = (0..count).map(line).collect::<String>() + "\r\nNot: this\r\n";
            let index = FieldIndex::new(text.as_bytes());
            let mut fields = HeaderLines::new(text.as_bytes(), &index);
            for number in 0..count {
                let (name, value) = (format!("Name-{number}"), format!("value {number}"));
                assert_eq!(fields.next(), Some(HeaderField { name: name.as_bytes(), value: value.as_bytes() }));
            }
            assert_eq!((fields.next(), fields.next()), (None, None));
            assert_eq!(usize::from(fields.skipped()), count);
        }
    }
}
