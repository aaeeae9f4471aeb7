//! The static and the dynamic table (RFC 7541, section 2.3).

use std::collections::VecDeque;

use crate::wire::http::HeaderField;

/// What an entry counts in addition to its name and value (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Size of the dynamic table until an update changes it (RFC 9113, section 6.5.2).
const INITIAL_TABLE: usize = 4096;

/// The number of entries of the static table, which begins with index 1.
pub(super) const STATIC_LEN: usize = STATIC.len();

/// The field at an index of the static table.
pub(super) fn static_field(index: usize) -> Option<HeaderField<'static>> {
    let (name, value) = STATIC.get(index.checked_sub(1)?)?;
    Some(HeaderField { name, value })
}

/// Recent fields, within a size that also bounds the memory.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// Names and values, oldest first, after `dead` bytes of dropped entries.
    bytes: Vec<u8>,
    dead: usize,
    /// The start of each entry in `bytes`, and the lengths of name and value; newest first.
    entries: VecDeque<(u32, u32, u32)>,
    /// Sum of the entries' sizes, `<= max`.
    size: usize,
    max: usize,
}

impl Default for DynamicTable {
    fn default() -> Self {
        Self { bytes: Vec::new(), dead: 0, entries: VecDeque::new(), size: 0, max: INITIAL_TABLE }
    }
}

impl DynamicTable {
    /// The field with `newer` newer fields.
    pub(super) fn field(&self, newer: usize) -> Option<HeaderField<'_>> {
        let &(start, name_len, value_len) = self.entries.get(newer)?;
        let bytes = self.bytes.get(start as usize..)?;
        let (name, rest) = bytes.split_at_checked(name_len as usize)?;
        Some(HeaderField { name, value: rest.get(..value_len as usize)? })
    }

    /// Adds a field and drops the oldest ones that do not fit any more; a field larger than the table empties it
    /// (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, field: HeaderField<'_>) {
        let size = field.name.len() + field.value.len() + ENTRY_OVERHEAD;
        self.shrink(self.max.saturating_sub(size));
        if size > self.max {
            return;
        }
        // At most `max` bytes are in use, and at most as many are dead.
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(field.name);
        self.bytes.extend_from_slice(field.value);
        self.entries.push_front((start, field.name.len() as u32, field.value.len() as u32));
        self.size += size;
    }

    /// Changes the maximum size of the table.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.shrink(max);
    }

    /// Drops the oldest entries until the size is at most `size`.
    fn shrink(&mut self, size: usize) {
        while self.size > size
            && let Some((_, name_len, value_len)) = self.entries.pop_back()
        {
            let length = name_len as usize + value_len as usize;
            self.dead += length;
            self.size = self.size.saturating_sub(length + ENTRY_OVERHEAD);
        }
        // Each byte is moved at most once for each dropped byte.
        if self.dead > self.bytes.len() / 2 {
            let dead = self.dead;
            self.bytes.drain(..dead.min(self.bytes.len()));
            self.entries.iter_mut().for_each(|(start, ..)| *start = start.saturating_sub(dead as u32));
            self.dead = 0;
        }
    }

    /// Bytes of heap memory.
    pub(super) fn heap_size(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<(u32, u32, u32)>()
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}

/// RFC 7541, appendix A.
#[rustfmt::skip]
const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];
