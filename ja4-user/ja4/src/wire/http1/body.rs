//! The body between two requests: of known length, or in chunks (RFC 9112, sections 6 and 7).

use crate::wire::WireError;
use crate::wire::http::{HttpRequest, find_lf, list_items};

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// The number of remaining bytes; 0: no body.
    Length(u64),
    /// Chunks, which delimit themselves.
    Chunked(Chunks),
}

/// What the fields of a request state about the bytes after it.
pub(super) struct BodyFraming {
    /// How the body ends (RFC 9112, section 6.3): [`WireError::Unsupported`] for a transfer coding that does
    /// not end in chunks, [`WireError::BadLength`] for a Content-Length that is not a number or is contradictory.
    pub(super) body: Result<RequestBody, WireError>,
    /// Whether another protocol may follow.
    pub(super) upgrade: bool,
    /// The number of lines that are not fields.
    pub(super) skipped: u16,
}

impl BodyFraming {
    /// Reads the fields of `request` once.
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
    /// Reads body bytes; returns the bytes after the body if it has ended.
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

    /// Skips `count` bytes that were not captured. False if the body may have ended within them.
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

/// The position in a chunked body (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In a chunk's size, after this many digits.
    Size { size: u64, digits: u8 },
    /// After a size, before the end of its line.
    Extension { size: u64 },
    /// In a chunk, before its last bytes of this number.
    Data(u64),
    /// In the line end after a chunk.
    End,
    /// In the trailer section; `text`: the current line is not empty.
    Trailer { text: bool },
}

/// Most digits of a chunk's size, which is a number of 64 bits.
const MAX_DIGITS: u8 = 16;

impl Chunks {
    const START: Self = Self::Size { size: 0, digits: 0 };

    /// Reads bytes; returns the bytes after the body if it has ended.
    ///
    /// # Errors
    /// [`WireError::Value`] if a size or a line end is missing,
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

/// Skips up to `left` of `bytes`; returns the others.
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

/// A decimal number of 64 bits, without a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
