//! Characters that are invisible or control the text around them.

/// Whether a character is invisible, or affects a terminal or the text around it: controls, separators of lines and
/// paragraphs, and all that Unicode calls format characters (general category Cf) or default-ignorable. With them,
/// names that look alike could differ, and a name could reverse the text around it (UAX #9).
///
/// Cf and Default_Ignorable_Code_Point are those of Unicode 16.0 (DerivedGeneralCategory.txt,
/// DerivedCoreProperties.txt).
pub(super) fn is_invisible(character: char) -> bool {
    character.is_control()
        || (!character.is_ascii()
            && matches!(character,
                // Soft hyphen, combining grapheme joiner.
                '\u{ad}' | '\u{34f}'
                // Signs that enclose Arabic numbers, the Arabic letter mark, the Syriac abbreviation mark.
                | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
                // Hangul fillers, Khmer inherent vowels, Mongolian selectors and separator.
                | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                // Zero width; directional marks, embeddings and overrides; line and paragraph separators.
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                // Word joiner, invisible operators, isolates, deprecated format characters.
                | '\u{2060}'..='\u{206f}'
                // Hangul fillers, variation selectors, byte order mark, reserved specials, interlinear annotation.
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                // Kaithi number signs, Egyptian hieroglyph controls, shorthand and musical format controls.
                | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                // Tags, variation selectors, and code points reserved for more of them.
                | '\u{e0000}'..='\u{e0fff}'))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn the_class_is_that_of_unicode() {
        let class = Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]$").unwrap();
        let mut text = String::new();
        for character in char::MIN..=char::MAX {
            text.clear();
            text.push(character);
            // A difference may be one between two versions of Unicode: the table above is to follow regex-syntax's.
            assert_eq!(is_invisible(character), class.is_match(&text), "U+{:04X}", u32::from(character));
        }
    }
}
