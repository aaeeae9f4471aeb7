//! A table of prefixes, each with a value.

/// A sorted table of prefixes. A lookup is one binary search, whatever the lengths of the prefixes.
#[derive(Clone, Debug)]
pub(super) struct PrefixTable<T> {
    rows: Box<[PrefixNode<T>]>,
}

#[derive(Clone, Debug)]
struct PrefixNode<T> {
    prefix: Box<str>,
    /// The row of the longest other prefix of this one; always a lower index.
    parent: Option<u32>,
    value: T,
}

impl<T> PrefixTable<T> {
    /// Builds a table. The first of equal prefixes is used.
    pub(super) fn new(mut prefixes: Vec<(Box<str>, T)>) -> Self {
        prefixes.sort_by(|(one, _), (other, _)| one.cmp(other));
        prefixes.dedup_by(|(later, _), (first, _)| later == first);
        let mut rows: Vec<PrefixNode<T>> = Vec::with_capacity(prefixes.len());
        for (prefix, value) in prefixes {
            let above = u32::try_from(rows.len()).ok().and_then(|length| length.checked_sub(1));
            let parent = climb(&rows, above, &prefix);
            rows.push(PrefixNode { prefix, parent, value });
        }
        Self { rows: rows.into_boxed_slice() }
    }

    /// The values of all prefixes of `text`, the longest prefix first.
    #[inline]
    pub(super) fn of(&self, text: &str) -> impl Iterator<Item = &T> {
        // Every row between a prefix of `text` and `text` has that prefix too. So the prefixes of `text` are the row before
        // it, or parents of that row.
        let above = self.rows.partition_point(|row| *row.prefix <= *text).checked_sub(1);
        let first = climb(&self.rows, above.and_then(|row| u32::try_from(row).ok()), text);
        std::iter::successors(first.and_then(|row| self.row(row)), |row| row.parent.and_then(|row| self.row(row)))
            .map(|row| &row.value)
    }

    /// Every prefix with its value.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Box<str>, T)> {
        self.rows.into_iter().map(|row| (row.prefix, row.value))
    }

    /// Every prefix, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| &*row.prefix)
    }

    /// The number of prefixes.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, row: u32) -> Option<&PrefixNode<T>> {
        self.rows.get(row as usize)
    }
}

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        Self { rows: Box::default() }
    }
}

/// Returns the first row, from `from` to its parents, with a prefix of `text`.
fn climb<T>(rows: &[PrefixNode<T>], from: Option<u32>, text: &str) -> Option<u32> {
    std::iter::successors(from, |row| rows.get(*row as usize).and_then(|row| row.parent))
        .find(|row| rows.get(*row as usize).is_some_and(|row| text.starts_with(&*row.prefix)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_prefixes_of_a_text_are_found_longest_first(
            prefixes in prop::collection::btree_set("[ab_]{1,5}", 0..40),
            text in "[ab_]{0,8}",
        ) {
            let table = PrefixTable::new(prefixes.iter().map(|prefix| (prefix.as_str().into(), prefix)).collect());
            let mut naive: Vec<_> = prefixes.iter().filter(|prefix| text.starts_with(prefix.as_str())).collect();
            naive.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
            prop_assert_eq!(table.of(&text).copied().collect::<Vec<_>>(), naive);
        }
    }
}
