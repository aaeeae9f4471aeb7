//! What the values of a connection say of its path, its client's system and its use.

use super::record::{Record, Seen};
use crate::event::Method;
use crate::lookup::path::{self, Path, Syn};
use crate::lookup::{os, session};

impl Record {
    /// Takes what a value says; what an earlier value said and this one does not stays.
    pub(super) fn heed(&mut self, seen: &Seen) {
        match seen.method {
            Method::Ja4t if seen.count == 1 => {
                let Some(syn) = Syn::parse(&seen.value) else {
                    return;
                };
                self.mss = syn.mss;
                self.tunnel = syn.mss.and_then(|mss| Path::of(mss, self.identity.client.0.is_ipv6()).tunnel());
                self.os = os::hint(&syn, None);
            }
            Method::Ja4l => {
                let ttl = path::ttl(&seen.value);
                self.hops[0] = ttl.and_then(path::hops);
                // The TTL confirms the system, or contradicts it.
                let syn = self.history.iter().find(|seen| seen.method == Method::Ja4t);
                if let Some(syn) = syn.and_then(|seen| Syn::parse(&seen.value)) {
                    self.os = os::hint(&syn, ttl.filter(|ttl| *ttl > 0));
                }
            }
            Method::Ja4ls => self.hops[1] = path::ttl(&seen.value).and_then(path::hops),
            Method::Ja4ssh => self.ssh = session::of(&seen.value).or(self.ssh),
            _ => {}
        }
    }

    /// Takes what is known of a value: whose it is, what is bad about it, whether it is new.
    pub(super) fn label(&mut self) {
        let primary = self.primary().and_then(|seen| seen.label.as_ref());
        let app = primary.or_else(|| self.history.iter().find_map(|seen| seen.label.as_ref())).cloned();
        self.app = app.or_else(|| self.app.take());
    }

    /// Takes what is bad about a value; what is worse stays.
    pub(super) fn blame(&mut self, seen: &Seen) {
        self.is_new |= seen.first_seen;
        let worse = |bad: &std::sync::Arc<super::record::KnownBad>| {
            self.known_bad.as_ref().is_none_or(|held| held.confidence < bad.confidence)
        };
        if let Some(bad) = seen.known_bad.as_ref().filter(|bad| worse(bad)) {
            self.known_bad = Some(std::sync::Arc::clone(bad));
        }
    }
}
