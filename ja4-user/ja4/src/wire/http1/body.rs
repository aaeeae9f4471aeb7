//! What lies between two requests: a body of known length, or chunks (RFC 9112, sections 6 and 7).

use crate::wire::WireError;
use crate::wire::http::{HttpRequest, find_lf, list_items};

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// Bytes that are still to come; 0: no body.
    Length(u64),
    /// It says itself where it ends.
    Chunked(Chunks),
}

/// What a request says of the bytes behind it.
pub(super) struct BodyFraming {
    /// How the body ends (RFC 9112, section 6.3): [`WireError::Unsupported`] for a transfer coding that does
    /// not end in chunks, [`WireError::BadLength`] for a Content-Length that is no number or two.
    pub(super) body: Result<RequestBody, WireError>,
    /// Another protocol may follow.
    pub(super) upgrade: bool,
    /// Lines that are no field.
    pub(super) skipped: u16,
}

impl BodyFraming {
    /// Looks once through the fields of `request`.
    pub(super) fn of(request: &HttpRequest<'_>) -> Self {
        let (mut coding, mut length, mut upgrade) = (None, None, false);
        let mut fields = request.fields();
        for field in fields.by_ref() {
            if field.is(b"transfer-encoding") {
                coding = list_items(field.value).last();
            } else if field.is(b"content-length") {
                for stated in list_items(field.value).map(decimal) {
                    let agrees = length.is_none_or(|earlier| earlier == stated);
                    length = Some(stated.filter(|_| agrees));
                }
            }
            upgrade |= field.is(b"upgrade");
        }
        let body = match (coding, length) {
            (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Ok(RequestBody::Chunked(Chunks::START)),
            (Some(_), _) => Err(WireError::Unsupported),
            (None, Some(length)) => length.map(RequestBody::Length).ok_or(WireError::BadLength),
            (None, None) => Ok(RequestBody::Length(0)),
        };
        Self { body, upgrade, skipped: fields.skipped_lines() }
    }
}

impl RequestBody {
    /// Takes body bytes; gives those behind the body once it has ended.
    ///
    /// # Errors
    /// As [`Chunks::take`].
    pub(super) fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, WireError> {
        match self {
            Self::Length(left) => {
                let rest = pass(left, bytes);
                Ok((*left == 0).then_some(rest))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }

    /// Passes over `count` bytes that were not seen. False where the body may have ended within them.
    pub(super) const fn skip(&mut self, count: u64) -> bool {
        match self {
            Self::Length(left) | Self::Chunked(Chunks::Data(left)) if count <= *left => {
                *left -= count;
                true
            }
            _ => false,
        }
    }
}

/// Where a chunked body stands (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, of which `digits` have come.
    Size { size: u64, digits: u8 },
    /// Behind a size, before the end of its line.
    Extension { size: u64 },
    /// In a chunk with so many bytes left.
    Data(u64),
    /// In the line's end behind a chunk.
    End,
    /// In the trailer section; `text` when the line under way is not empty.
    Trailer { text: bool },
}

/// Most digits of a chunk's size: it then fits 64 bits.
const MAX_DIGITS: u8 = 16;

impl Chunks {
    const START: Self = Self::Size { size: 0, digits: 0 };

    /// Takes bytes; gives those behind the body once it has ended.
    ///
    /// # Errors
    /// [`WireError::Value`] where a size or a line's end should be and is not,
    /// [`WireError::TooLong`] for a size beyond 64 bits.
    fn take<'b>(&mut self, mut bytes: &'b [u8]) -> Result<Option<&'b [u8]>, WireError> {
        loop {
            if let Self::Data(left) = self {
                bytes = pass(left, bytes);
                if *left == 0 {
                    *self = Self::End;
                }
            }
            if matches!(self, Self::Extension { .. } | Self::Trailer { text: true }) {
                let Some(at) = find_lf(bytes) else { return Ok(None) };
                bytes = bytes.get(at..).unwrap_or_default();
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(None);
            };
            bytes = rest;
            *self = match (*self, byte) {
                (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                    if digits == MAX_DIGITS {
                        return Err(WireError::TooLong);
                    }
                    Self::Size { size: size << 4 | u64::from(hex_value(byte)), digits: digits + 1 }
                }
                (Self::Size { digits: 0, .. }, _) => return Err(WireError::Value),
                (Self::Size { size, .. } | Self::Extension { size }, b'\n') => match size {
                    0 => Self::Trailer { text: false },
                    size => Self::Data(size),
                },
                (Self::Size { size, .. }, b';' | b' ' | b'\t' | b'\r') => Self::Extension { size },
                (Self::End, b'\n') => Self::START,
                (Self::End | Self::Trailer { text: false }, b'\r') => *self,
                (Self::Trailer { text: false }, b'\n') => return Ok(Some(bytes)),
                (Self::Trailer { text }, _) => Self::Trailer { text: !text },
                _ => return Err(WireError::Value),
            };
        }
    }
}

/// Passes over as many of `bytes` as are left; gives the others.
fn pass<'b>(left: &mut u64, bytes: &'b [u8]) -> &'b [u8] {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    // Never below zero: taken <= left.
    *left = left.saturating_sub(taken as u64);
    bytes.get(taken..).unwrap_or_default()
}

/// The value of a hex digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit & 0x0f) + 9,
    }
}

/// A decimal number of digits alone that fits 64 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
