//! The word that was meant.

/// Longest word that is compared: what is longer is no slip of the finger.
const MAX_WORD: usize = 40;

/// The one of `words` that is at most a third of its letters away from `word`.
fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let scored = words.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.len() / 3).max(1)).then_some(candidate)
}

/// `; did you mean "dst_port"?`, or nothing.
pub(crate) fn suggestion<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, words).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let (mut diagonal, mut before) = (i, i + 1);
        for (right, cell) in b.bytes().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(!left.eq_ignore_ascii_case(&right));
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in
            [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("", "ab", 2), ("SNI", "sni", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn slips_are_understood_and_strangers_are_not() {
        let words = ["dst_port", "dst_ip", "src_ip", "sni"];
        assert_eq!(nearest("dst_prt", words), Some("dst_port"));
        assert_eq!(nearest("srcip", words), Some("src_ip"));
        assert_eq!(nearest("user", words), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), words), None);
    }
}
