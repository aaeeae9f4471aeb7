//! A cache of recent fingerprint values, each with its label and its known-bad match.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::model::{FingerprintValue, KnownBad, Label, Method};

/// Slots of the cache: a few hundred values of the network's usual software, and recent others.
const SLOTS: usize = 1 << 13;

/// Recent values: a repeated value costs no copy and no lookup.
#[derive(Debug)]
pub(super) struct ValueCache {
    /// Indexed by the hash of the text.
    slots: Vec<Option<(Method, Arc<FingerprintValue>)>>,
    seed: RandomState,
}

impl Default for ValueCache {
    fn default() -> Self {
        Self { slots: vec![None; SLOTS], seed: RandomState::default() }
    }
}

impl ValueCache {
    /// Returns the entry of a value; `look` looks it up if it is not cached.
    #[inline]
    pub(super) fn get(
        &mut self,
        method: Method,
        text: &str,
        raw: Option<&str>,
        look: impl FnOnce(&str) -> (Option<Arc<Label>>, Option<Arc<KnownBad>>),
    ) -> Arc<FingerprintValue> {
        let place = self.seed.hash_one(text) as usize % SLOTS;
        let slot = self.slots.get_mut(place);
        if let Some(Some((of, known))) = &slot
            && *of == method
            && *known.text == *text
            && known.raw.as_deref() == raw
        {
            return Arc::clone(known);
        }
        // Copies of this thread: threads that count the references of one label delay each other.
        let (label, known_bad) = look(text);
        let label = label.map(|label| Arc::new((*label).clone()));
        let value = Arc::new(FingerprintValue { text: text.into(), raw: raw.map(Into::into), label, known_bad });
        if let Some(slot) = slot {
            *slot = Some((method, Arc::clone(&value)));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";

    #[test]
    fn a_repeated_value_is_shared() {
        let mut values = ValueCache::default();
        let mut get = |text: &str, raw: Option<&str>| values.get(Method::Ja4, text, raw, |_| (None, None));
        let first = get(VALUE, None);
        assert!(Arc::ptr_eq(&first, &get(VALUE, None)));
        for number in 0..3 * SLOTS {
            let (text, raw) = (format!("{}", number / 2), number.to_string());
            let value = get(&text, Some(&raw));
            assert_eq!((&*value.text, value.raw.as_deref()), (&*text, Some(&*raw)));
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
            let value = values.get(method, VALUE, None, |_| named(name));
            assert_eq!(value.label.as_ref().map(|label| label.name.to_string()).as_deref(), Some(known));
        }
    }
}
