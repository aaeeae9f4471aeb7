//! The reusable state of the JA4+ methods.

use crate::fingerprint::input::Input;
use crate::fingerprint::ja4plus::ja4h::Ja4hHasher;
use crate::fingerprint::ja4plus::ja4s::Ja4sHasher;
use crate::fingerprint::ja4plus::ja4x::Ja4xHasher;
use crate::fingerprint::ja4plus::{ja4d, ja4d6, ja4l, ja4ssh, ja4t};
use crate::fingerprint::list::Memo;
use crate::fingerprint::value::{Fingerprint, Forms};

/// Computes every method but JA4.
pub(crate) struct PlusHashers {
    ja4s: Ja4sHasher,
    ja4h: Ja4hHasher,
    ja4x: Ja4xHasher,
}

impl PlusHashers {
    /// Hashers with these memos.
    pub(crate) fn new(memo: fn() -> Memo) -> Self {
        Self { ja4s: Ja4sHasher::new(memo()), ja4h: Ja4hHasher::new(memo()), ja4x: Ja4xHasher::new(memo()) }
    }

    /// Writes the fingerprint of `input` to `out`, which is empty. False if the method is none of these.
    #[inline(always)]
    pub(crate) fn write(&mut self, input: Input<'_>, forms: Forms, out: &mut Fingerprint) -> bool {
        match input {
            Input::ClientHello(_) => return false,
            Input::ServerHello(hello) => self.ja4s.write(hello, forms, out),
            Input::Request(request) => self.ja4h.write(request, forms, out),
            Input::Certificate(certificate) => self.ja4x.write(certificate, forms, out),
            Input::Syn(fields) => ja4t::write(fields, &mut out.value),
            Input::SynAck(fields, retransmissions) => {
                ja4t::write(fields, &mut out.value);
                ja4t::write_delays(retransmissions, &mut out.value);
            }
            Input::ClientLatency(between, ttl) | Input::ServerLatency(between, ttl) => {
                ja4l::write(between, ttl, &mut out.value);
            }
            Input::SshWindow(window) => ja4ssh::write(window, &mut out.value),
            Input::Dhcp4(message) => ja4d::write(message, &mut out.value),
            Input::Dhcp6(message) => ja4d6::write(message, &mut out.value),
        }
        true
    }
}
