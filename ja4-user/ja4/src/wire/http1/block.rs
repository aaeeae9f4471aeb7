//! A request's header block: the request line, header lines, and the empty line that ends them.

use crate::wire::WireError;
use crate::wire::http::{HttpVersion, find_lf, is_folded, without_cr};

/// Longest header block, request line included, bytes. Common servers accept 8 to 32 KiB.
pub const MAX_BLOCK: usize = 64 * 1024;

/// Most lines of a header block. Servers that limit the number of fields allow 100 to 2,000.
pub const MAX_LINES: u16 = 1024;

/// Longest method. The longest registered one, UPDATEREDIRECTREF, has 17 bytes.
pub const MAX_METHOD: usize = 32;

/// Whether tokens, such as methods, contain this byte (RFC 9110, section 5.6.2).
const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// Whether registered methods contain this byte. Text of a body looks like a token more often than like such a method,
/// which matters when a stream resynchronizes.
const fn is_usual(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')
}

/// Whether these bytes can be the start of a request line: a token of at most [`MAX_METHOD`] bytes and a space, or a
/// prefix of that. With `usual` the token must look like a registered method.
pub(super) fn may_begin(bytes: &[u8], usual: bool) -> bool {
    let fits = |&byte: &u8| if usual { is_usual(byte) } else { is_token(byte) };
    let method = bytes.iter().take(MAX_METHOD + 1).take_while(|byte| fits(byte)).count();
    method <= MAX_METHOD && bytes.get(method).is_none_or(|&byte| byte == b' ' && method > 0)
}

/// Method, target and version of a request line.
pub(super) type RequestLine<'a> = (&'a [u8], &'a [u8], HttpVersion);

/// Parses a request line. The target may contain spaces: the version follows the last one.
fn request_line(line: &[u8]) -> Result<RequestLine<'_>, WireError> {
    if !may_begin(line, false) {
        return Err(WireError::Magic);
    }
    let line = line.trim_ascii_end();
    let method_end = line.iter().position(|&byte| byte == b' ').ok_or(WireError::Magic)?;
    let target_end = line.iter().rposition(|&byte| byte == b' ').ok_or(WireError::Magic)?;
    let version = match line.get(target_end + 1..) {
        Some(b"HTTP/1.0") => HttpVersion::Http10,
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9']) => HttpVersion::Http11,
        _ => return Err(WireError::Magic),
    };
    let method = line.get(..method_end).unwrap_or_default();
    Ok((method, line.get(method_end..target_end).unwrap_or_default().trim_ascii(), version))
}

/// Searches for the end of a block that may span several slices, and resumes where it stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// Start of the current line, `<= seen`.
    line: u32,
    /// Bytes searched for a line feed.
    seen: u32,
    /// Complete lines.
    lines: u16,
    /// Whether a line continues another.
    pub(super) folded: bool,
}

impl Scan {
    /// A search from the start of a block.
    pub(super) const fn new() -> Self {
        Self { line: 0, seen: 0, lines: 0, folded: false }
    }

    /// The block's length, if `bytes`, which begin with the block, contain all of it. Each call passes the bytes of the
    /// previous call again.
    ///
    /// # Errors
    /// [`WireError::Magic`] if this is not a request, [`WireError::TooLong`] and [`WireError::TooMany`]
    /// above [`MAX_BLOCK`] and [`MAX_LINES`].
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let within = bytes.get(..MAX_BLOCK).unwrap_or(bytes);
        while let Some(rest) = within.get(self.seen as usize..)
            && let Some(at) = find_lf(rest)
        {
            let line = within.get(self.line as usize..self.seen as usize + at).unwrap_or_default();
            let line = without_cr(line);
            // At most MAX_BLOCK.
            self.seen += at as u32 + 1;
            self.line = self.seen;
            match self.lines {
                0 => request_line(line).map(drop)?,
                _ if line.is_empty() => return Ok(Some(self.seen as usize)),
                1 => {}
                MAX_LINES.. => return Err(WireError::TooMany),
                _ => self.folded |= is_folded(line),
            }
            self.lines += 1;
        }
        if bytes.len() > MAX_BLOCK {
            return Err(WireError::TooLong);
        }
        if self.lines == 0 && !may_begin(bytes, false) {
            return Err(WireError::Magic);
        }
        // At most MAX_BLOCK.
        self.seen = bytes.len() as u32;
        Ok(None)
    }
}

/// Joins continued lines: replaces the line ends between them with spaces, as a recipient may do (RFC 9112, section
/// 5.2). The request line and its continuation are unchanged.
pub(super) fn unfold(block: &mut [u8]) {
    let lf = |bytes: &[u8]| find_lf(bytes).map_or(bytes.len(), |at| at + 1);
    let request_line = lf(block);
    let Some(mut rest) = block.get_mut(request_line..) else { return };
    loop {
        let end = lf(rest);
        let Some((line, after)) = rest.split_at_mut_checked(end) else { return };
        if after.is_empty() {
            return;
        }
        if is_folded(after) {
            line.iter_mut().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
        rest = after;
    }
}

/// The request line of a complete block, delimited by [`Scan`] and unfolded by [`unfold`], and the lines after it.
///
/// # Errors
/// As [`request_line`].
pub(super) fn split(block: &[u8]) -> Result<(RequestLine<'_>, &[u8]), WireError> {
    let (line, lines) = block.split_at_checked(find_lf(block).unwrap_or(0)).ok_or(WireError::Truncated)?;
    Ok((request_line(without_cr(line))?, lines.get(1..).unwrap_or_default()))
}
