//! An HPACK decoder (RFC 7541).
//!
//! The decoded size is limited, because one byte can refer to an entry of 4 KiB.

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

/// Largest dynamic table that a client may select, bytes in the sense of RFC 7541, section 4.1. The server's SETTINGS,
/// which limit it, are not parsed; the default is 4096, and few servers change it.
pub const MAX_TABLE: usize = 64 * 1024;

/// A decoded field section. Its buffers can be reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderList {
    /// Concatenated names and values.
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

    /// Whether it has no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of heap memory.
    pub(super) const fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn heap_size(&self) -> usize {
        self.bytes.capacity() + self.lengths.capacity() * size_of::<(u32, u32)>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }

    /// Starts a field; returns its start in `bytes`.
    fn open(&self) -> Result<usize, WireError> {
        if self.lengths.len() == MAX_FIELDS { Err(WireError::TooMany) } else { Ok(self.bytes.len()) }
    }

    /// Adds a name or a value to the current field.
    fn add(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        if self.bytes.len() + bytes.len() > MAX_LIST {
            return Err(WireError::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a string of the block to the current field (RFC 7541, section 5.2).
    fn add_string(&mut self, cursor: &mut Cursor<'_>) -> Result<(), WireError> {
        let first = cursor.u8()?;
        let length = integer(first, 7, cursor)?;
        let string = cursor.take(length as usize).map_err(|_| WireError::BadLength)?;
        if first & 0x80 == 0 { self.add(string) } else { huffman::decode(string, &mut self.bytes, MAX_LIST) }
    }

    /// Ends the field with its name at `start` and its value at `value`; returns it.
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
    /// Decodes one block into `list`, and replaces its fields.
    ///
    /// # Errors
    /// [`WireError::Truncated`] and [`WireError::BadLength`] if a field exceeds the block,
    /// [`WireError::Value`] for an unused index, a misplaced size update or a malformed Huffman code,
    /// [`WireError::Unsupported`] for a table above [`MAX_TABLE`], [`WireError::TooLong`] and
    /// [`WireError::TooMany`] above [`MAX_LIST`] and [`MAX_FIELDS`]. After an error the table is
    /// inconsistent, and the decoder cannot be used any more.
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

    /// Bytes of heap memory.
    pub(super) fn heap_size(&self) -> usize {
        self.table.heap_size()
    }
}

#[cfg(test)]
mod tests;
