//! A cache of recent fingerprint values: their shared texts, labels and known-bad matches.

use std::hash::BuildHasher;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use crate::model::{KnownBad, Label, Method};

/// Slots of the cache: a few hundred values of the network's usual software, and recent others.
const SLOTS: usize = 1 << 13;

/// A value with its label and known-bad match.
#[derive(Clone, Debug)]
pub(super) struct CachedValue {
    pub(super) value: ArcStr,
    pub(super) label: Option<Arc<Label>>,
    pub(super) known_bad: Option<Arc<KnownBad>>,
}

/// Recent values: a repeated value costs no copy and no lookup.
#[derive(Debug)]
pub(super) struct ValueCache {
    /// Indexed by the hash of the text. Raw forms have no method.
    slots: Vec<Option<(Option<Method>, CachedValue)>>,
    seed: RandomState,
}

impl Default for ValueCache {
    fn default() -> Self {
        Self { slots: vec![None; SLOTS], seed: RandomState::default() }
    }
}

impl ValueCache {
    /// Returns the entry of a value; `look` looks it up if it is not cached.
    pub(super) fn get(
        &mut self,
        method: Method,
        text: &str,
        look: impl FnOnce(&str) -> (Option<Arc<Label>>, Option<Arc<KnownBad>>),
    ) -> CachedValue {
        self.entry(Some(method), text, look)
    }

    /// Returns the shared text of a raw form.
    pub(super) fn share(&mut self, text: &str) -> ArcStr {
        self.entry(None, text, |_| (None, None)).value
    }

    #[inline]
    fn entry(
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
        // Copies of this thread: threads that count the references of one label delay each other.
        let (label, known_bad) = look(text);
        let label = label.map(|label| Arc::new((*label).clone()));
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
    fn a_repeated_value_shares_its_text() {
        let mut values = ValueCache::default();
        let first = values.share("t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert!(ArcStr::ptr_eq(&first, &values.share("t13d1516h2_8daaf6152771_e5627efa2ab1")));
        for number in 0..3 * SLOTS {
            assert_eq!(&*values.share(&number.to_string()), number.to_string());
        }
    }

    #[test]
    fn a_value_is_looked_up_once_per_method() {
        let mut values = ValueCache::default();
        let named = |name: &str| {
            let label = Label { name: name.into(), source: "mine".into(), category: None, confidence: None };
            (Some(Arc::new(label)), None)
        };
        for (method, name, known) in [(Method::Ja4, "a", "a"), (Method::Ja4, "b", "a"), (Method::Ja4s, "c", "c")] {
            let CachedValue { label, .. } = values.get(method, "t13d1516h2_8daaf6152771_e5627efa2ab1", |_| named(name));
            assert_eq!(label.map(|label| label.name.to_string()).as_deref(), Some(known));
        }
    }
}
