//! What a connection keeps for as long as it lives: texts from the wire, and the lengths of JA4SSH.
//!
//! Their boxes are of fixed size and bounded with the connections themselves; what varies is charged to
//! a [`Budget`] of its own, since it stays longer than anything that waits.

use super::Budget;
#[cfg(feature = "ja4plus")]
use super::connection::Carried;
use super::connection::Connection;
use crate::event::{Attributes, Certificate};

/// What an allocation takes besides its bytes: the heap's header and rounding.
const ALLOCATION: usize = 16;

/// Bytes on the heap that a text takes.
fn cost(text: Option<&String>) -> usize {
    text.map_or(0, |text| text.capacity() + ALLOCATION)
}

/// Bytes on the heap that texts of the same kind take.
fn costs<'a>(texts: impl IntoIterator<Item = &'a Option<String>>) -> usize {
    texts.into_iter().map(|text| cost(text.as_ref())).sum()
}

fn cost_of_certificate(certificate: &Certificate) -> usize {
    costs([&certificate.subject, &certificate.issuer])
}

/// Bytes on the heap that the texts take.
fn cost_of_texts(attributes: &Attributes) -> usize {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    let tls = tls.as_deref().map_or(0, |tls| {
        let list = tls.alpn.capacity() * size_of::<String>();
        let alpn: usize = tls.alpn.iter().map(|name| cost(Some(name))).sum();
        costs([&tls.sni, &tls.alpn_chosen]) + list + alpn + tls.certificate.as_deref().map_or(0, cost_of_certificate)
    });
    let http = http.as_deref().map_or(0, |http| costs([&http.method, &http.host, &http.user_agent]));
    let ssh = ssh.as_deref().map_or(0, |ssh| costs(ssh.banner.iter().chain(&ssh.hassh)));
    let dhcp = dhcp.as_deref().map_or(0, |dhcp| costs([&dhcp.host_name, &dhcp.vendor_class, &dhcp.client_mac]));
    tls + http + ssh + dhcp
}

/// Lets go of the texts that say the least about a connection and of which there are any.
fn shed_texts(attributes: &mut Attributes) {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    if let Some(certificate) = tls.as_deref_mut().and_then(|tls| tls.certificate.as_deref_mut())
        && cost_of_certificate(certificate) > 0
    {
        (certificate.subject, certificate.issuer) = (None, None);
        return;
    }
    // All but the TLS server name belongs to connections that have nothing else.
    *http = None;
    *ssh = None;
    *dhcp = None;
    if let Some(tls) = tls {
        if tls.alpn_chosen.is_some() || tls.alpn.capacity() > 0 {
            (tls.alpn_chosen, tls.alpn) = (None, Vec::new());
        } else {
            tls.sni = None;
        }
    }
}

impl Connection {
    /// Bytes on the heap that it keeps.
    fn kept(&self) -> usize {
        let texts = cost_of_texts(&self.attributes);
        #[cfg(feature = "ja4plus")]
        if let Carried::Ssh(ssh) = &self.carried {
            return texts + ssh.window.as_ref().map_or(0, |window| window.held_bytes());
        }
        texts
    }

    /// Charges what it keeps by now. What finds no room is let go of, texts first, then JA4SSH; gives how many
    /// bytes that were.
    pub fn charge_kept(&mut self, budget: &mut Budget) -> usize {
        let mut kept = self.kept();
        let mut refused = 0;
        while kept > self.charged && !budget.charge(kept - self.charged) {
            let before = kept;
            shed_texts(&mut self.attributes);
            kept = self.kept();
            if kept == before {
                #[cfg(feature = "ja4plus")]
                self.shed_window();
                kept = self.kept();
            }
            refused += before.saturating_sub(kept);
            if kept == before {
                // Nothing is left to let go of.
                return refused;
            }
        }
        budget.credit(self.charged.saturating_sub(kept));
        self.charged = kept;
        refused
    }

    /// No further JA4SSH: one of a part of the packets would be another value.
    #[cfg(feature = "ja4plus")]
    fn shed_window(&mut self) {
        if let Carried::Ssh(ssh) = &mut self.carried {
            ssh.window = None;
        }
    }

    /// Gives back what it keeps: it is about to be dropped.
    pub fn credit_kept(&mut self, budget: &mut Budget) {
        budget.credit(std::mem::take(&mut self.charged));
    }
}
