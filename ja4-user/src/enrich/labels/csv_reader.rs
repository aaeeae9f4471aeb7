//! CSV (RFC 4180), record by record: an error in a record skips that record only.

use std::borrow::Cow;

/// Longest record, bytes: the bound of an unclosed quote.
const MAX_RECORD: usize = 64 << 10;

/// A record that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkippedRow {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// Why it was skipped.
    pub(super) reason: String,
}

/// A record and the line on which it begins.
pub(super) struct CsvRecord<'t> {
    pub(super) line: usize,
    pub(super) fields: Vec<Cow<'t, str>>,
}

/// Iterates over the records of a file. Empty lines are ignored.
pub(super) struct CsvReader<'t> {
    rest: &'t [u8],
    line: usize,
}

impl<'t> CsvReader<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        // Spreadsheets write a byte order mark.
        Self { rest: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), line: 1 }
    }

    /// Skips bytes, counting their line ends.
    fn advance(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, &[]));
        self.line += memchr::memchr_iter(b'\n', skipped).count();
        self.rest = rest;
    }
}

impl<'t> Iterator for CsvReader<'t> {
    type Item = Result<CsvRecord<'t>, SkippedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let blank = self.rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.advance(blank);
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            match record(self.rest) {
                Ok((fields, length)) => {
                    self.advance(length);
                    if fields.iter().any(|field| !field.is_empty()) {
                        return Some(Ok(CsvRecord { line, fields }));
                    }
                }
                Err(reason) => {
                    // Continue with the next line.
                    let end = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
                    self.advance(end);
                    return Some(Err(SkippedRow { line, reason: reason.to_owned() }));
                }
            }
        }
    }
}

/// Returns the fields of the record at the start of a text, and its length with the line end.
fn record(text: &[u8]) -> Result<(Vec<Cow<'_, str>>, usize), &'static str> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let (field, length) = if rest.first() == Some(&b'"') { quoted(rest)? } else { plain(rest)? };
        fields.push(field);
        at += length;
        if at > MAX_RECORD {
            return Err("is longer than 64 KiB");
        }
        match text.get(at..).unwrap_or_default() {
            [b',', ..] => at += 1,
            [b'\r', b'\n', ..] => return Ok((fields, at + 2)),
            [b'\n', ..] => return Ok((fields, at + 1)),
            [] | [b'\r'] => return Ok((fields, text.len())),
            _ => return Err("has text after a closing quote"),
        }
    }
}

fn plain(text: &[u8]) -> Result<(Cow<'_, str>, usize), &'static str> {
    let end = memchr::memchr2(b',', b'\n', text).unwrap_or(text.len());
    let field = text.get(..end).unwrap_or_default();
    let is_last = text.get(end) != Some(&b',');
    let field = field.strip_suffix(b"\r").filter(|_| is_last).unwrap_or(field);
    if field.contains(&b'"') {
        return Err("has a quote in an unquoted field");
    }
    Ok((Cow::Borrowed(utf8(field)?), field.len()))
}

fn quoted(text: &[u8]) -> Result<(Cow<'_, str>, usize), &'static str> {
    let within = text.get(..MAX_RECORD).unwrap_or(text);
    let mut field = Vec::new();
    // After the opening quote.
    let mut at = 1;
    loop {
        let rest = within.get(at..).unwrap_or_default();
        let quote = memchr::memchr(b'"', rest).ok_or("has an unclosed quote")?;
        field.extend_from_slice(rest.get(..quote).unwrap_or_default());
        at += quote + 1;
        if within.get(at) != Some(&b'"') {
            break;
        }
        field.push(b'"');
        at += 1;
    }
    Ok((Cow::Owned(utf8(&field)?.to_owned()), at))
}

fn utf8(field: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(field).map_err(|_| "is not UTF-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `line: field|field`, or `line! reason`.
    fn read(text: &[u8]) -> Vec<String> {
        let shown = |record: Result<CsvRecord<'_>, SkippedRow>| match record {
            Ok(CsvRecord { line, fields }) => format!("{line}: {}", fields.join("|")),
            Err(SkippedRow { line, reason }) => format!("{line}! {reason}"),
        };
        CsvReader::new(text).map(shown).collect()
    }

    #[test]
    fn records_are_read_as_in_rfc_4180() {
        assert_eq!(read(b"a,b\r\n1,2\r\n"), ["1: a|b", "2: 1|2"]);
        assert_eq!(read(b"\xef\xbb\xbfa,b\n\n,\n\"x\"\"y\",\"1,\n2\"\nlast,"), ["1: a|b", "4: x\"y|1,\n2", "6: last|"]);
        assert!(read(b"").is_empty());
    }

    #[test]
    fn a_bad_record_skips_that_record_only() {
        let bad = read(b"a,b\n\"open,1\nx,y\nq\"r,1\n\"x\"y,1\n\xff,1\nlast,2\n");
        assert_eq!(
            bad,
            [
                "1: a|b",
                "2! has text after a closing quote",
                "3: x|y",
                "4! has a quote in an unquoted field",
                "5! has text after a closing quote",
                "6! is not UTF-8",
                "7: last|2",
            ],
        );
        assert_eq!(read(b"a\n\"open\nb\n"), ["1: a", "2! has an unclosed quote", "3: b"]);
    }

    proptest! {
        #[test]
        fn quoted_fields_are_read_unchanged(rows in prop::collection::vec(prop::collection::vec(any::<String>(), 1..5), 0..5)) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let text: String =
                rows.iter().map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n").collect();
            let read: Vec<Vec<String>> = CsvReader::new(text.as_bytes())
                .map(|record| record.unwrap().fields.into_iter().map(Cow::into_owned).collect())
                .collect();
            let said: Vec<_> = rows.into_iter().filter(|row| row.iter().any(|field| !field.is_empty())).collect();
            prop_assert_eq!(read, said);
        }

        #[test]
        fn nothing_breaks_the_reader(bytes in prop::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200)) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            for record in CsvReader::new(&bytes) {
                prop_assert!(record.map_or_else(|bad| bad.line, |record| record.line) <= lines);
            }
        }
    }
}
