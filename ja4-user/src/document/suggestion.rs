//! "Did you mean": the known word nearest to an unknown one.

/// Longest word that is compared, bytes. A longer one is not a typing error.
const MAX_WORD: usize = 40;

/// Returns the one of `words` with the smallest edit distance to `word`, at most a third of its length.
fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let scored = words.into_iter().map(|candidate| (strsim::levenshtein(&word, candidate), candidate));
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.len() / 3).max(1)).then_some(candidate)
}

/// Returns `; did you mean 'dest_port'?`, or an empty string if no word is near.
pub(crate) fn suggestion<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, words).map_or_else(String::new, |near| format!("; did you mean '{near}'?"))
}

/// Returns `low, medium or high`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_get_a_suggestion_and_other_words_do_not() {
        let words = ["dst_port", "dst_ip", "src_ip", "sni"];
        assert_eq!(nearest("dst_prt", words), Some("dst_port"));
        assert_eq!(nearest("srcip", words), Some("src_ip"));
        assert_eq!(nearest("SNI", words), Some("sni"));
        assert_eq!(nearest("user", words), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), words), None);
    }

    #[test]
    fn lists_of_words_end_with_or() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
