//! Patterns in which `*` matches any text, or none.

/// The character that matches any text.
pub(crate) const STAR: char = '*';

/// Whether a pattern matches a whole text. Linear in both, since the first match of a part is as good as any.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once(STAR) else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once(STAR).unwrap_or(("", rest));
    for part in middle.split(STAR) {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pattern_matches_like_the_regular_expression(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let regex = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            prop_assert_eq!(matches(&pattern, &text), regex.is_match(&text), "{} {}", pattern, text);
        }
    }
}
