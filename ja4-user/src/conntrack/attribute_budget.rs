//! The memory of attributes, which live as long as their connection: texts from the wire, and the lengths of JA4SSH.
//!
//! Boxes are of fixed size, and bounded with the number of connections. Memory of varying size is charged to a budget of its
//! own, since it stays longer than buffered messages.

use std::mem;

use arcstr::ArcStr;
use ja4::Ja3;
use thin_vec::ThinVec;

use super::app_state::AppState;
use super::budget::Budget;
use super::connection::Connection;
use super::session::Session;
use crate::model::{Attributes, CertificateAttributes, PerSide, TlsAttributes};

/// Memory of an allocation besides its bytes: the heap's header and rounding.
const ALLOCATION: usize = 16;

/// Length and reference count before a shared text.
const SHARED: usize = 16;

/// Heap bytes of a text.
fn cost(text: Option<&String>) -> usize {
    text.map_or(0, |text| text.capacity() + ALLOCATION)
}

/// Heap bytes of a shared text. Each holder is charged for it.
fn cost_of_shared(text: &ArcStr) -> usize {
    if ArcStr::is_static(text) { 0 } else { text.len() + SHARED + ALLOCATION }
}

/// Heap bytes of several texts.
fn costs<'a>(texts: impl IntoIterator<Item = &'a Option<String>>) -> usize {
    texts.into_iter().map(|text| cost(text.as_ref())).sum()
}

fn cost_of_certificate(certificate: &CertificateAttributes) -> usize {
    costs([&certificate.subject, &certificate.issuer])
}

fn cost_of_ja3(ja3: &PerSide<Option<Ja3>>) -> usize {
    ja3.iter().filter_map(|(_, of_side)| of_side.as_ref()).map(|of_side| cost(Some(&of_side.string))).sum()
}

fn cost_of_tls(tls: &TlsAttributes) -> usize {
    let list = tls.alpn.capacity() * size_of::<ArcStr>();
    let texts = tls.sni.iter().chain(&tls.alpn_chosen).chain(&tls.alpn);
    texts.map(cost_of_shared).sum::<usize>()
        + list
        + tls.certificate.as_deref().map_or(0, cost_of_certificate)
        + tls.ja3.as_deref().map_or(0, cost_of_ja3)
}

/// Heap bytes of all texts.
fn cost_of_texts(attributes: &Attributes) -> usize {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    let tls = tls.as_deref().map_or(0, cost_of_tls);
    let http = http.as_deref().map_or(0, |http| costs([&http.method, &http.host, &http.user_agent]));
    let ssh = ssh.as_deref().map_or(0, |ssh| costs(ssh.banner.iter().chain(ssh.hassh.iter()).map(|(_, text)| text)));
    let dhcp = dhcp.as_deref().map_or(0, |dhcp| costs([&dhcp.host_name, &dhcp.vendor_class, &dhcp.client_mac]));
    tls + http + ssh + dhcp
}

/// Drops the present texts that say the least about a connection.
fn drop_texts(attributes: &mut Attributes) {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    if let Some(tls) = tls.as_deref_mut()
        && drop_certificate(tls)
    {
        return;
    }
    // Only the TLS server name belongs to connections that have other attributes.
    *http = None;
    *ssh = None;
    *dhcp = None;
    if let Some(tls) = tls {
        drop_hello(tls);
    }
}

/// Drops a certificate's texts. Returns whether there were any.
fn drop_certificate(tls: &mut TlsAttributes) -> bool {
    match tls.certificate.as_deref_mut() {
        Some(certificate) if cost_of_certificate(certificate) > 0 => {
            (certificate.subject, certificate.issuer) = (None, None);
            true
        }
        _ => false,
    }
}

/// Drops JA3 and JA3S, or if there are none, the ALPN names, or if there are none, the server name.
fn drop_hello(tls: &mut TlsAttributes) {
    if tls.ja3.take().is_some() {
        return;
    }
    if tls.alpn_chosen.is_some() || tls.alpn.capacity() > 0 {
        (tls.alpn_chosen, tls.alpn) = (None, ThinVec::new());
    } else {
        tls.sni = None;
    }
}

/// Drops texts of a session, in the same order as those of a connection.
fn drop_session_texts(session: &mut Session) {
    if let Some(tls) = session.tls_mut()
        && !drop_certificate(tls)
    {
        drop_hello(tls);
    }
}

impl<A: AppState> Connection<A> {
    /// Heap bytes of everything that is charged.
    fn attribute_cost(&self) -> usize {
        let sessions: usize = self.app_state.sessions().filter_map(Session::tls).map(cost_of_tls).sum();
        cost_of_texts(&self.record.attributes) + sessions + self.app_state.lasting_bytes()
    }

    /// Charges the attributes. While they exceed the budget, drops texts, then the rest. Returns the number of bytes dropped.
    pub(crate) fn charge_attributes(&mut self, budget: &mut Budget) -> usize {
        let mut cost = self.attribute_cost();
        let mut refused = 0;
        while cost > self.attribute_bytes && !budget.charge(cost - self.attribute_bytes) {
            let before = cost;
            drop_texts(&mut self.record.attributes);
            self.app_state.sessions_mut().for_each(|(session, _)| drop_session_texts(session));
            cost = self.attribute_cost();
            if cost == before {
                self.app_state.drop_lasting();
                cost = self.attribute_cost();
            }
            refused += before.saturating_sub(cost);
            if cost == before {
                // Nothing is left to drop.
                return refused;
            }
        }
        budget.credit(self.attribute_bytes.saturating_sub(cost));
        self.attribute_bytes = cost;
        refused
    }

    /// Returns the charged bytes before the connection is dropped.
    pub(crate) fn credit_attributes(&mut self, budget: &mut Budget) {
        budget.credit(mem::take(&mut self.attribute_bytes));
    }
}
