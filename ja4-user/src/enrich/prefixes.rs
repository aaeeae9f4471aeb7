//! Prefixes, and what is known of texts that begin with them.

/// A sorted table of prefixes. A look-up costs a binary search, however many lengths there are.
#[derive(Clone, Debug)]
pub(super) struct Prefixes<T> {
    rows: Box<[Row<T>]>,
}

#[derive(Clone, Debug)]
struct Row<T> {
    prefix: Box<str>,
    /// The row of the longest other prefix that this one begins with; always further up.
    parent: Option<u32>,
    known: T,
}

impl<T> Prefixes<T> {
    /// A table of these; of two alike the first counts.
    pub(super) fn new(mut prefixes: Vec<(Box<str>, T)>) -> Self {
        prefixes.sort_by(|(one, _), (other, _)| one.cmp(other));
        prefixes.dedup_by(|(later, _), (first, _)| later == first);
        let mut rows: Vec<Row<T>> = Vec::with_capacity(prefixes.len());
        for (prefix, known) in prefixes {
            let above = u32::try_from(rows.len()).ok().and_then(|length| length.checked_sub(1));
            let parent = climb(&rows, above, &prefix);
            rows.push(Row { prefix, parent, known });
        }
        Self { rows: rows.into_boxed_slice() }
    }

    /// What is known of `text`, by the longest prefix first.
    #[inline]
    pub(super) fn of(&self, text: &str) -> impl Iterator<Item = &T> {
        // Whatever stands between a prefix of `text` and `text` itself begins with this prefix too: all that
        // `text` begins with is the row before it, or one of that row's parents.
        let above = self.rows.partition_point(|row| *row.prefix <= *text).checked_sub(1);
        let first = climb(&self.rows, above.and_then(|row| u32::try_from(row).ok()), text);
        std::iter::successors(first.and_then(|row| self.row(row)), |row| row.parent.and_then(|row| self.row(row)))
            .map(|row| &row.known)
    }

    /// Every prefix with its value.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Box<str>, T)> {
        self.rows.into_iter().map(|row| (row.prefix, row.known))
    }

    /// Every prefix, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| &*row.prefix)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, row: u32) -> Option<&Row<T>> {
        self.rows.get(row as usize)
    }
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { rows: Box::default() }
    }
}

/// From this row upwards, the first whose prefix `text` begins with.
fn climb<T>(rows: &[Row<T>], from: Option<u32>, text: &str) -> Option<u32> {
    std::iter::successors(from, |row| rows.get(*row as usize).and_then(|row| row.parent))
        .find(|row| rows.get(*row as usize).is_some_and(|row| text.starts_with(&*row.prefix)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_prefixes_of_a_text_are_found_the_longest_first(
            prefixes in prop::collection::btree_set("[ab_]{1,5}", 0..40),
            text in "[ab_]{0,8}",
        ) {
            let table = Prefixes::new(prefixes.iter().map(|prefix| (prefix.as_str().into(), prefix)).collect());
            let mut naive: Vec<_> = prefixes.iter().filter(|prefix| text.starts_with(prefix.as_str())).collect();
            naive.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
            prop_assert_eq!(table.of(&text).copied().collect::<Vec<_>>(), naive);
        }
    }
}
