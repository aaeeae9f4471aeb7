//! The entry points: reusable state for many messages, and functions for one.

use crate::fingerprint::input::Input;
use crate::fingerprint::ja4::Ja4Hasher;
use crate::fingerprint::ja4plus::hashers::PlusHashers;
use crate::fingerprint::list::Memo;
use crate::fingerprint::value::{Fingerprint, Forms};
use crate::method::Method;
use crate::wire::tls::ClientHello;

/// Computes fingerprints of many messages, for example one per thread.
///
/// It keeps its buffers, and the hashes of lists that recur from message to message, such as cipher suites: a repeated
/// ClientHello costs a fraction of a new one. It takes about 750 KiB, does not grow with the number of messages, and
/// allocates nothing once its buffers have the size of the largest message.
///
/// ```
/// use ja4::wire::tls::{Carrier, ClientHello};
/// use ja4::{Forms, Hashers, Input};
///
/// # fn main() -> Result<(), ja4::wire::WireError> {
/// # let bodies = [[&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 0x01, 1, 0]].concat()];
/// let mut hashers = Hashers::new(Forms::Value);
/// for body in &bodies {
///     let hello = ClientHello::parse(body, Carrier::Tcp)?;
///     let fingerprint = hashers.compute(Input::ClientHello(&hello)).expect("JA4 is always built");
///     assert_eq!(fingerprint.as_str(), "t12i010000_0f2cb44170f4_000000000000");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Hashers {
    forms: Forms,
    ja4: Ja4Hasher,
    plus: PlusHashers,
    out: Fingerprint,
}

impl Default for Hashers {
    fn default() -> Self {
        Self::new(Forms::default())
    }
}

impl Hashers {
    /// Hashers that compute these forms.
    #[must_use]
    pub fn new(forms: Forms) -> Self {
        Self::with(forms, Memo::new)
    }

    fn with(forms: Forms, memo: fn() -> Memo) -> Self {
        Self { forms, ja4: Ja4Hasher::new(memo), plus: PlusHashers::new(memo), out: Fingerprint::new(Method::Ja4) }
    }

    /// Computes one fingerprint, without the memory that only pays off for many.
    pub(super) fn once(input: Input<'_>) -> Fingerprint {
        let mut hashers = Self::with(Forms::All, Memo::disabled);
        hashers.compute(input);
        hashers.out
    }

    /// The fingerprint of `input`; `None` if its method is not [available](Method::is_available) in this build.
    // Each caller passes one kind of input: inlined, the dispatch costs nothing.
    #[inline(always)]
    pub fn compute(&mut self, input: Input<'_>) -> Option<&Fingerprint> {
        let out = &mut self.out;
        out.reset(input.method());
        if let Input::ClientHello(hello) = input {
            self.ja4.write(hello, self.forms, out);
        } else if !self.plus.write(input, self.forms, out) {
            return None;
        }
        Some(out)
    }
}

/// JA4 of a ClientHello, in all forms.
#[must_use]
pub fn ja4(hello: &ClientHello<'_>) -> Fingerprint {
    Hashers::once(Input::ClientHello(hello))
}
