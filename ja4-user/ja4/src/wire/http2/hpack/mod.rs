//! HPACK, the decoder's side (RFC 7541).
//!
//! Bounds are kept on what a block may ask for: a byte that names an entry of 4 KiB is cheap to send.

mod huffman;
mod integer;
mod table;

use crate::wire::http::{HeaderField, ListFields};
use crate::wire::{Cursor, WireError};

use integer::integer;
use table::{DynamicTable, STATIC_LEN, static_field};

/// Most fields of one section.
pub const MAX_FIELDS: usize = 1024;

/// Longest decoded section, names and values together, bytes.
pub const MAX_LIST: usize = 64 * 1024;

/// Largest dynamic table that a client may switch to, bytes as RFC 7541, section 4.1 counts them. The
/// server's SETTINGS are not seen here; until it says otherwise they allow 4096, and it rarely does.
pub const MAX_TABLE: usize = 64 * 1024;

/// A decoded field section. Meant to be kept and filled again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList {
    /// Names and values, one behind the other.
    bytes: Vec<u8>,
    /// Lengths of name and value; they add up to the length of `bytes`.
    lengths: Vec<(u32, u32)>,
}

impl HeaderList {
    /// The fields in wire order.
    #[must_use]
    pub fn iter(&self) -> ListFields<'_> {
        ListFields::new(&self.bytes, &self.lengths)
    }

    /// Number of fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lengths.len()
    }

    /// True without fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of memory held.
    pub(super) const fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn held(&self) -> usize {
        self.bytes.capacity() + self.lengths.capacity() * size_of::<(u32, u32)>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }

    /// Where the field that is begun now starts.
    fn open(&self) -> Result<usize, WireError> {
        if self.lengths.len() == MAX_FIELDS { Err(WireError::TooMany) } else { Ok(self.bytes.len()) }
    }

    /// Adds a name or a value to the field under way.
    fn add(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if self.bytes.len() + bytes.len() > MAX_LIST {
            return Err(WireError::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a string of the block to the field under way (RFC 7541, section 5.2).
    fn add_string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), WireError> {
        let first = cursor.u8()?;
        let length = integer(first, 7, cursor)?;
        let string = cursor.take(length as usize).map_err(|_| WireError::BadLength)?;
        if first & 0x80 == 0 { self.add(string) } else { huffman::decode(string, &mut self.bytes, MAX_LIST) }
    }

    /// Ends the field that began at `start` and whose value begins at `value`; gives it.
    fn close(&mut self, start: usize, value: usize) -> HeaderField<'_> {
        // All below MAX_LIST.
        self.lengths.push(((value - start) as u32, (self.bytes.len() - value) as u32));
        let (name, value) =
            self.bytes.get(start..).unwrap_or_default().split_at_checked(value - start).unwrap_or_default();
        HeaderField { name, value }
    }
}

/// Decodes the field sections of one direction, which share a dynamic table.
#[derive(Debug, Default)]
pub struct Decoder {
    table: DynamicTable,
}

impl Decoder {
    /// Decodes one block over `list`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] and [`WireError::BadLength`] where a field runs over the block,
    /// [`WireError::Value`] for an index that names nothing, a misplaced size update or a bad Huffman code,
    /// [`WireError::Unsupported`] for a table above [`MAX_TABLE`], [`WireError::TooLong`] and
    /// [`WireError::TooMany`] above [`MAX_LIST`] and [`MAX_FIELDS`]. After any of them the table is out of
    /// step and the decoder of no further use.
    pub fn decode(&mut self, block: &[u8], list: &mut HeaderList) -> Result<(), WireError> {
        list.clear();
        let mut cursor = Cursor::new(block);
        while !cursor.is_empty() {
            let first = cursor.u8()?;
            match first {
                // Indexed field (section 6.1).
                0x80.. => {
                    let index = integer(first, 7, &mut cursor)?;
                    let start = list.open()?;
                    let HeaderField { name, value } = self.field(index)?;
                    list.add(name)?;
                    list.add(value)?;
                    list.close(start, start + name.len());
                }
                // Size update, only before the first field (sections 4.2 and 6.3).
                0x20..0x40 => {
                    let size = integer(first, 5, &mut cursor)? as usize;
                    if !list.is_empty() {
                        return Err(WireError::Value);
                    }
                    if size > MAX_TABLE {
                        return Err(WireError::Unsupported);
                    }
                    self.table.resize(size);
                }
                // Literal: with incremental indexing, without it, never indexed (section 6.2).
                _ => {
                    let remembered = first >= 0x40;
                    let name = integer(first, if remembered { 6 } else { 4 }, &mut cursor)?;
                    let start = list.open()?;
                    if name == 0 {
                        list.add_string(&mut cursor)?;
                    } else {
                        list.add(self.field(name)?.name)?;
                    }
                    let value = list.bytes.len();
                    list.add_string(&mut cursor)?;
                    let field = list.close(start, value);
                    if remembered {
                        self.table.insert(field);
                    }
                }
            }
        }
        Ok(())
    }

    /// The field with `index` in static and dynamic table (RFC 7541, section 2.3.3).
    fn field(&self, index: u32) -> Result<HeaderField<'_>, WireError> {
        let index = index as usize;
        let field = match index.checked_sub(STATIC_LEN + 1) {
            Some(newer) => self.table.field(newer),
            None => static_field(index),
        };
        field.ok_or(WireError::Value)
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.table.held()
    }
}

#[cfg(test)]
mod tests;
