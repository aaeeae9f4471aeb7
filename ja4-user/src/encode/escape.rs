//! Strings from the wire, made harmless.

use super::address::nibble;
use super::invisible::is_invisible;

/// Appends the content of a JSON string (RFC 8259 section 7), without its quotes.
///
/// DEL and the C1 controls, which JSON allows as they are, are escaped too: a line that is shown in
/// a terminal must not steer it.
#[inline]
pub(crate) fn json(text: &str, out: &mut Vec<u8>) {
    // Without an early end, so that the compiler takes many bytes at a time.
    let plain = |byte| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        json_slowly(text, out);
    }
}

#[cold]
fn json_slowly(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            // All of them are below U+00A0.
            _ if character.is_control() => {
                let code = u32::from(character) as u16;
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', nibble(code >> 4), nibble(code)]);
            }
            _ => push(character, out),
        }
    }
}

/// Appends text as one CSV field (RFC 4180 section 2), quoted where it has to be.
///
/// Spreadsheets run a field that starts with `=`, `+`, `-` or `@` as a formula. Such text gets a `'` in front,
/// which they take for "this is text". So does text that starts with `'`, so that a reader who takes one
/// leading `'` off always has what stood behind it. What would steer a terminal shows as in a table: a file is
/// looked at with `less`, too, and a NUL or a line end within a field is more than many readers bear.
pub(crate) fn csv(text: &str, out: &mut Vec<u8>) {
    let quoted = text.bytes().any(|byte| matches!(byte, b'"' | b','));
    if quoted {
        out.push(b'"');
    }
    // The last four are the full-width forms, which some spreadsheets fold to the others.
    if text.starts_with(['=', '+', '-', '@', '\'', '＝', '＋', '－', '＠']) {
        out.push(b'\'');
    }
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(br#""""#),
            ' '..='~' => out.push(character as u8),
            _ => show(character, out),
        }
    }
    if quoted {
        out.push(b'"');
    }
}

/// Appends text for a terminal: at most `limit` characters, an ellipsis where that cut it; what
/// shows nothing of its own, or would steer the terminal, shows as `\u{1b}`.
pub(crate) fn terminal(text: &str, limit: usize, out: &mut Vec<u8>) {
    for (place, character) in text.chars().enumerate() {
        if place == limit {
            return push('…', out);
        }
        show(character, out);
    }
}

fn show(character: char, out: &mut Vec<u8>) {
    if is_invisible(character) {
        for character in character.escape_unicode() {
            push(character, out);
        }
    } else {
        push(character, out);
    }
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(with: impl Fn(&str, &mut Vec<u8>), text: &str) -> String {
        let mut out = Vec::new();
        with(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_escapes_what_it_must() {
        assert_eq!(escaped(json, "plain ~"), "plain ~");
        assert_eq!(escaped(json, "a\"b\\c\n\r\t"), r#"a\"b\\c\n\r\t"#);
        assert_eq!(escaped(json, "\0\u{1b}[2J\u{7f}\u{9b}é😀"), r"\u0000\u001b[2J\u007f\u009bé😀");
    }

    #[test]
    fn csv_quotes_and_defuses() {
        assert_eq!(escaped(csv, "example.org"), "example.org");
        assert_eq!(escaped(csv, "a,b"), "\"a,b\"");
        assert_eq!(escaped(csv, "say \"a\""), "\"say \"\"a\"\"\"");
        assert_eq!(escaped(csv, "=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(escaped(csv, "+1"), "'+1");
        assert_eq!(escaped(csv, "-1"), "'-1");
        assert_eq!(escaped(csv, "@SUM(1,2)"), "\"'@SUM(1,2)\"");
        assert_eq!(escaped(csv, "\t=1"), r"\u{9}=1");
        assert_eq!(escaped(csv, "'quoted'"), "''quoted'");
        assert_eq!(escaped(csv, "bücher.de"), "bücher.de");
    }

    #[test]
    fn csv_steers_no_terminal_and_has_a_line_a_record() {
        assert_eq!(escaped(csv, "\u{1b}[2J\0,\u{9b}\u{202e}x"), "\"\\u{1b}[2J\\u{0},\\u{9b}\\u{202e}x\"");
        assert_eq!(escaped(csv, "one\r\ntwo"), r"one\u{d}\u{a}two");
    }

    #[test]
    fn terminals_are_not_steered() {
        let shown = |text: &str| escaped(|text, out| terminal(text, 12, out), text);
        assert_eq!(shown("\u{1b}]0;x\u{7}"), r"\u{1b}]0;x\u{7}");
        assert_eq!(shown("\u{9b}2J"), r"\u{9b}2J");
        assert_eq!(shown("a\nb\u{202e}c"), r"a\u{a}b\u{202e}c");
        assert_eq!(shown("bücher.de"), "bücher.de");
        for character in ['\u{ad}', '\u{34f}', '\u{200b}', '\u{2063}', '\u{fe0f}', '\u{feff}', '\u{e0041}'] {
            let visible = format!("a{}b", character.escape_unicode());
            for with in [csv, |text: &str, out: &mut Vec<u8>| terminal(text, usize::MAX, out)] {
                assert_eq!(escaped(with, &format!("a{character}b")), visible);
            }
        }
        assert_eq!(shown("Ωé漢字😀\u{301}"), "Ωé漢字😀\u{301}");
        assert_eq!(shown("0123456789ab"), "0123456789ab");
        assert_eq!(shown("0123456789abc"), "0123456789ab…");
    }

    proptest! {
        #[test]
        fn any_string_comes_back_out_of_json(text in any::<String>()) {
            let line = format!("\"{}\"", escaped(json, &text));
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }

        #[test]
        fn nothing_steers_through_a_table_or_csv(text in any::<String>()) {
            let shown = escaped(|text, out| terminal(text, usize::MAX, out), &text);
            prop_assert!(!shown.chars().any(is_invisible));
            prop_assert!(!escaped(csv, &text).chars().any(is_invisible));
        }
    }
}
