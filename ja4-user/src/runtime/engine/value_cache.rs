//! Values that came lately: their texts, shared by all who keep them, and what is known of them.

use std::hash::BuildHasher;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use crate::model::{KnownBad, Label, Method};

/// Values remembered: those of a network's usual software, a few hundred, and the latest others.
const SLOTS: usize = 1 << 13;

/// A value, and what the local lists say of it.
#[derive(Clone, Debug)]
pub(super) struct CachedValue {
    pub(super) value: ArcStr,
    pub(super) label: Option<Arc<Label>>,
    pub(super) known_bad: Option<Arc<KnownBad>>,
}

/// Values that came lately, so that one which comes again costs no further copy and is not looked up again.
#[derive(Debug)]
pub(super) struct ValueCache {
    /// By the hash of the text; a raw form has no method.
    slots: Vec<Option<(Option<Method>, CachedValue)>>,
    seed: RandomState,
}

impl Default for ValueCache {
    fn default() -> Self {
        Self { slots: vec![None; SLOTS], seed: RandomState::default() }
    }
}

impl ValueCache {
    /// What is known of a value; `look` finds out, as long as nothing else becomes known.
    pub(super) fn know(
        &mut self,
        method: Method,
        text: &str,
        look: impl FnOnce(&str) -> (Option<Arc<Label>>, Option<Arc<KnownBad>>),
    ) -> CachedValue {
        self.remember(Some(method), text, look)
    }

    /// The text of a raw form, with whoever had it lately.
    pub(super) fn share(&mut self, text: &str) -> ArcStr {
        self.remember(None, text, |_| (None, None)).value
    }

    #[inline]
    fn remember(
        &mut self,
        method: Option<Method>,
        text: &str,
        look: impl FnOnce(&str) -> (Option<Arc<Label>>, Option<Arc<KnownBad>>),
    ) -> CachedValue {
        let place = self.seed.hash_one(text) as usize % SLOTS;
        let slot = self.slots.get_mut(place);
        if let Some(Some((of, known))) = &slot
            && *of == method
            && *known.value == *text
        {
            return known.clone();
        }
        let (label, known_bad) = look(text);
        let known = CachedValue { value: text.into(), label, known_bad };
        if let Some(slot) = slot {
            *slot = Some((method, known.clone()));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_again_is_the_same_text() {
        let mut values = ValueCache::default();
        let first = values.share("t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert!(ArcStr::ptr_eq(&first, &values.share("t13d1516h2_8daaf6152771_e5627efa2ab1")));
        for number in 0..3 * SLOTS {
            assert_eq!(&*values.share(&number.to_string()), number.to_string());
        }
    }

    #[test]
    fn what_is_known_of_a_value_is_looked_up_once_for_each_method() {
        let mut values = ValueCache::default();
        let named = |name: &str| {
            let label = Label { name: name.into(), source: "mine".into(), category: None, confidence: None };
            (Some(Arc::new(label)), None)
        };
        for (method, name, known) in [(Method::Ja4, "a", "a"), (Method::Ja4, "b", "a"), (Method::Ja4s, "c", "c")] {
            let CachedValue { label, .. } =
                values.know(method, "t13d1516h2_8daaf6152771_e5627efa2ab1", |_| named(name));
            assert_eq!(label.map(|label| label.name.to_string()).as_deref(), Some(known));
        }
    }
}
