//! Texts of values, shared by all who keep them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

/// Values remembered: those of a network's usual software, a few hundred, and the latest others.
const SLOTS: usize = 1 << 13;

/// Texts that came lately, so that a value which comes again costs no further copy.
#[derive(Debug)]
pub(super) struct Values {
    slots: Vec<Option<Arc<str>>>,
    seed: RandomState,
}

impl Default for Values {
    fn default() -> Self {
        Self { slots: vec![None; SLOTS], seed: RandomState::default() }
    }
}

impl Values {
    /// The text, with whoever had it lately.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        let place = self.seed.hash_one(text) as usize % SLOTS;
        match self.slots.get_mut(place) {
            Some(Some(held)) if **held == *text => Arc::clone(held),
            Some(slot) => Arc::clone(slot.insert(text.into())),
            None => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_again_is_the_same_text() {
        let mut values = Values::default();
        let first = values.share("t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert!(Arc::ptr_eq(&first, &values.share("t13d1516h2_8daaf6152771_e5627efa2ab1")));
        for number in 0..3 * SLOTS {
            assert_eq!(&*values.share(&number.to_string()), number.to_string());
        }
    }
}
