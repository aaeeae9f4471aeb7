//! Text in a given number of columns.

use ratatui::text::Span;

/// Number of columns of a text.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Cuts a text to a width, with an ellipsis where it was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = most.saturating_sub(1);
    for character in text.chars() {
        let columns = width(character.encode_utf8(&mut [0; 4]));
        if columns > left {
            break;
        }
        left -= columns;
        out.push(character);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// Cuts or fills a text to a width.
pub(super) fn fit(text: &str, columns: usize, is_right: bool) -> String {
    let text = cut(text, columns);
    let space = " ".repeat(columns.saturating_sub(width(&text)));
    if is_right { space + &text } else { text + &space }
}

/// Splits a text into lines of a width, at spaces where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let taken = lines.last().map_or(0, |line| width(line));
        if taken > 0 && taken + width(word.trim_end()) > columns {
            lines.push(String::new());
        }
        for character in word.chars() {
            let columns_of_it = width(character.encode_utf8(&mut [0; 4]));
            if lines.last().is_some_and(|line| width(line) + columns_of_it > columns && !line.is_empty()) {
                lines.push(String::new());
            }
            lines.iter_mut().next_back().into_iter().for_each(|line| line.push(character));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_columns() {
        assert_eq!(cut("t13d1516h2_8daaf6152771", 12), "t13d1516h2_…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!((cut("abc", 3), cut("abc", 0)), ("abc".to_owned(), String::new()));
        assert_eq!((fit("ab", 4, false), fit("ab", 4, true)), ("ab  ".to_owned(), "  ab".to_owned()));
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("never seen on this network", 11), ["never seen ", "on this ", "network"]);
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
    }
}
