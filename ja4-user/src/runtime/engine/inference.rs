//! Inference from fingerprints: network path, operating system, SSH session type and application.

use std::sync::Arc;

use crate::detect::first_seen::Sighting;
use crate::enrich::{BETWEEN, ssh_session};
use crate::model::path::{self, Syn};
use crate::model::{ConnectionRecord, FingerprintRecord, Label, Method, Side, os};

/// Category of labels that name an operating system.
const SYSTEM: &str = "os";

/// Returns the client application that a fingerprint names. Fingerprints of the server and operating systems name none.
fn application(seen: &FingerprintRecord) -> Option<&Arc<Label>> {
    seen.value.label.as_ref().filter(|label| names_application(seen.method, seen.side(), label))
}

/// Whether the label of a fingerprint names the client's application.
pub(super) fn names_application(method: Method, side: Side, label: &Label) -> bool {
    // A label of several owners without a common category: for a JA4T, one of them may be an operating system.
    let may_be_system = method == Method::Ja4t && label.category.is_none() && label.name.contains(BETWEEN);
    side == Side::Client
        && ConnectionRecord::OF_CLIENT.contains(&method)
        && label.category.as_deref() != Some(SYSTEM)
        && !may_be_system
}

impl ConnectionRecord {
    /// Updates path, operating system and SSH session type from a fingerprint. `ttl` is the TTL of the SYN, for JA4T.
    pub(super) fn apply_fingerprint(&mut self, seen: &FingerprintRecord, ttl: Option<u8>) {
        match seen.method {
            Method::Ja4t if seen.count() == 1 => {
                let Some(syn) = Syn::parse(&seen.value.text) else {
                    return;
                };
                self.mss = syn.mss;
                self.hops.client = ttl.and_then(path::hops);
                // The TTL confirms or contradicts the operating system.
                self.os = os::hint(&syn, ttl.filter(|ttl| *ttl > 0));
            }
            Method::Ja4l => self.hops.client = path::ttl(&seen.value.text).and_then(path::hops),
            Method::Ja4ls => self.hops.server = path::ttl(&seen.value.text).and_then(path::hops),
            Method::Ja4ssh => self.ssh = ssh_session::of(&seen.value.text).or(self.ssh),
            _ => {}
        }
    }

    /// Sets the application from the most specific client fingerprint that names one.
    pub(super) fn label(&mut self) {
        let named = self.of_client().find_map(application).cloned();
        self.app = named.or_else(|| self.app.take());
    }

    /// Records a known-bad match, unless one of higher confidence is recorded.
    pub(super) fn raise_known_bad(&mut self, seen: &FingerprintRecord) {
        let worse = |bad: &Arc<crate::model::KnownBad>| {
            self.known_bad.as_ref().is_none_or(|held| held.confidence < bad.confidence)
        };
        if let Some(bad) = seen.value.known_bad.as_ref().filter(|bad| worse(bad)) {
            self.known_bad = Some(Arc::clone(bad));
        }
    }
}

impl ConnectionRecord {
    /// Records what the first-seen history knows of the last fingerprint.
    pub(crate) fn note_sighting(&mut self, sighting: Sighting) {
        if sighting.first
            && let Some(seen) = self.history.last_mut()
        {
            seen.set_first_seen(true);
            self.is_new = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommunityId, FlowIdentity, Time, VlanTags};

    fn seen(method: Method, side: Side, name: &str, category: Option<&str>) -> FingerprintRecord {
        let label =
            Label { name: name.into(), source: "mine".into(), category: category.map(Arc::from), confidence: Some(50) };
        FingerprintRecord::example(method, "x").of_side(side).labelled(Some(Arc::new(label)))
    }

    #[test]
    fn only_client_fingerprints_name_the_application() {
        let (client, server) = (([10, 0, 0, 1].into(), 50_000), ([10, 0, 0, 2].into(), 443));
        let community = CommunityId::of(client, server, 6);
        let flow = FlowIdentity { id: 1, community, client, server, proto: 6, vlan: VlanTags::NONE };
        let mut record = ConnectionRecord::new(&flow, 0, Time(0));
        record.history = thin_vec::thin_vec![
            seen(Method::Ja4t, Side::Client, "Linux", Some("os")),
            seen(Method::Ja4ts, Side::Server, "F5", None),
            seen(Method::Ja4s, Side::Server, "nginx", Some("application")),
            seen(Method::Ja4x, Side::Server, "openssl req", Some("tool")),
            seen(Method::Ja4d, Side::Server, "dnsmasq", Some("application")),
        ];
        record.label();
        assert_eq!(record.app, None);
        for (method, name, category) in [
            (Method::Ja4t, "scanner", Some("tool")),
            (Method::Ja4d, "dhclient", None),
            (Method::Ja4h, "wget", Some("application")),
            (Method::Ja4, "curl / wget", None),
        ] {
            record.history.push(seen(method, Side::Client, name, category));
            record.label();
            assert_eq!(record.app.as_ref().map(|app| &*app.name), Some(name), "{method:?}");
        }
    }
}
