//! Numbers of emitted fingerprints by method.

use crate::model::Method;

const METHODS: usize = Method::ALL.len();

/// Number of emitted fingerprints of each method. Nearly all stay small, and every connection has one of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodCounts {
    small: [u8; METHODS],
    /// All counts, once one exceeds a byte.
    large: Option<Box<[u32; METHODS]>>,
}

impl MethodCounts {
    /// The count of a method.
    pub(crate) fn get(&self, method: Method) -> u32 {
        let index = method as usize;
        match &self.large {
            Some(large) => large.get(index).copied().unwrap_or_default(),
            None => self.small.get(index).copied().unwrap_or_default().into(),
        }
    }

    /// Whether one fingerprint was emitted in all, of this method.
    pub(crate) fn is_one(&self, method: Method) -> bool {
        self.large.is_none()
            && self.get(method) == 1
            && self.small.iter().all(|count| *count <= 1)
            && self.small.iter().sum::<u8>() == 1
    }

    /// Adds one to the count of a method, and returns it.
    pub(crate) fn increment(&mut self, method: Method) -> u32 {
        let count = self.get(method).saturating_add(1);
        self.set(method, count);
        count
    }

    /// Sets the count of a method to 0.
    pub(crate) fn reset(&mut self, method: Method) {
        self.set(method, 0);
    }

    fn set(&mut self, method: Method, count: u32) {
        let index = method as usize;
        if self.large.is_none() {
            match (u8::try_from(count), self.small.get_mut(index)) {
                (Ok(count), Some(small)) => return *small = count,
                _ => self.large = Some(Box::new(self.small.map(u32::from))),
            }
        }
        if let Some(large) = self.large.as_mut().and_then(|large| large.get_mut(index)) {
            *large = count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_exceed_a_byte() {
        let mut counts = MethodCounts::default();
        assert_eq!((counts.increment(Method::Ja4), counts.get(Method::Ja4h)), (1, 0));
        for count in 1..=1000 {
            assert_eq!(counts.increment(Method::Ja4h), count);
        }
        assert_eq!((counts.get(Method::Ja4), counts.get(Method::Ja4h)), (1, 1000));
        counts.reset(Method::Ja4h);
        assert_eq!((counts.get(Method::Ja4), counts.increment(Method::Ja4h)), (1, 1));
    }
}
