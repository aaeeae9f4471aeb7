//! How many fingerprints of each method a connection has told.

use crate::model::Method;

const METHODS: usize = Method::ALL.len();

/// Counts by method. Nearly all stay small, and there is one of these in every connection.
#[derive(Clone, Debug, Default)]
pub struct Told {
    few: [u8; METHODS],
    /// All of them, once one no longer fits there.
    many: Option<Box<[u32; METHODS]>>,
}

impl Told {
    /// How many there were of a method.
    pub fn of(&self, method: Method) -> u32 {
        let place = method as usize;
        match &self.many {
            Some(many) => many.get(place).copied().unwrap_or_default(),
            None => self.few.get(place).copied().unwrap_or_default().into(),
        }
    }

    /// Counts one more; its number, from 1.
    pub fn count(&mut self, method: Method) -> u32 {
        let number = self.of(method).saturating_add(1);
        self.set(method, number);
        number
    }

    /// Counts a method from the beginning again.
    pub fn forget(&mut self, method: Method) {
        self.set(method, 0);
    }

    fn set(&mut self, method: Method, number: u32) {
        let place = method as usize;
        if self.many.is_none() {
            match (u8::try_from(number), self.few.get_mut(place)) {
                (Ok(number), Some(few)) => return *few = number,
                _ => self.many = Some(Box::new(self.few.map(u32::from))),
            }
        }
        if let Some(many) = self.many.as_mut().and_then(|many| many.get_mut(place)) {
            *many = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_past_a_byte() {
        let mut told = Told::default();
        assert_eq!((told.count(Method::Ja4), told.of(Method::Ja4h)), (1, 0));
        for number in 1..=1000 {
            assert_eq!(told.count(Method::Ja4h), number);
        }
        assert_eq!((told.of(Method::Ja4), told.of(Method::Ja4h)), (1, 1000));
        told.forget(Method::Ja4h);
        assert_eq!((told.of(Method::Ja4), told.count(Method::Ja4h)), (1, 1));
    }
}
