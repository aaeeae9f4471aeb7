//! A computed fingerprint.

use core::fmt;

use crate::method::Method;

/// Which forms of a fingerprint are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forms {
    /// The value alone.
    #[default]
    Value,
    /// The raw and original-order forms as well.
    All,
}

/// A fingerprint: its value and, where requested and defined by the method, its other forms.
///
/// Displays as the value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub(super) method: Method,
    pub(super) value: String,
    /// This form and the two below are empty unless they are computed. A computed form is never empty.
    pub(super) raw: String,
    pub(super) original: String,
    pub(super) raw_original: String,
    pub(super) is_capped: bool,
}

impl Fingerprint {
    pub(super) const fn new(method: Method) -> Self {
        const EMPTY: String = String::new();
        Self { method, value: EMPTY, raw: EMPTY, original: EMPTY, raw_original: EMPTY, is_capped: false }
    }

    /// Clears everything but the buffers' capacity.
    #[inline]
    pub(super) fn reset(&mut self, method: Method) {
        self.method = method;
        self.is_capped = false;
        for form in [&mut self.value, &mut self.raw, &mut self.original, &mut self.raw_original] {
            form.clear();
        }
    }

    /// The method that computed it.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The value, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The raw form, with lists in place of hashes: JA4_r, JA4S_r, JA4H_r, JA4X_r.
    #[must_use]
    pub fn raw(&self) -> Option<&str> {
        computed(&self.raw)
    }

    /// The form with lists in their original order: JA4_o, JA4H_o.
    #[must_use]
    pub fn original(&self) -> Option<&str> {
        computed(&self.original)
    }

    /// The raw form with lists in their original order: JA4_ro, JA4H_ro.
    #[must_use]
    pub fn raw_original(&self) -> Option<&str> {
        computed(&self.raw_original)
    }

    /// Whether the message has more items than are read, so that the value covers the first of them only: JA4H reads
    /// 1024 cookies.
    #[must_use]
    pub const fn is_capped(&self) -> bool {
        self.is_capped
    }
}

fn computed(form: &str) -> Option<&str> {
    Some(form).filter(|form| !form.is_empty())
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.value)
    }
}
