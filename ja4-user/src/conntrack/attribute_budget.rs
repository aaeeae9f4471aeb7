//! What a connection keeps for as long as it lives: texts from the wire, and the lengths of JA4SSH.
//!
//! Their boxes are of fixed size and bounded with the connections themselves; what varies is charged to
//! a [`Budget`] of its own, since it stays longer than anything that waits.

use arcstr::ArcStr;
use thin_vec::ThinVec;

use crate::conntrack::Budget;
use crate::conntrack::connection::{Carried, Connection, Session};
use crate::model::{Attributes, CertificateAttributes, TlsAttributes};

/// What an allocation takes besides its bytes: the heap's header and rounding.
const ALLOCATION: usize = 16;

/// Length and counter before a text that is shared.
const SHARED: usize = 16;

/// Bytes on the heap that a text takes.
fn cost(text: Option<&String>) -> usize {
    text.map_or(0, |text| text.capacity() + ALLOCATION)
}

/// The same of a text that others may hold too: what is counted twice is not missed.
fn cost_of_shared(text: &ArcStr) -> usize {
    if ArcStr::is_static(text) { 0 } else { text.len() + SHARED + ALLOCATION }
}

/// Bytes on the heap that texts of the same kind take.
fn costs<'a>(texts: impl IntoIterator<Item = &'a Option<String>>) -> usize {
    texts.into_iter().map(|text| cost(text.as_ref())).sum()
}

fn cost_of_certificate(certificate: &CertificateAttributes) -> usize {
    costs([&certificate.subject, &certificate.issuer])
}

fn cost_of_tls(tls: &TlsAttributes) -> usize {
    let list = tls.alpn.capacity() * size_of::<ArcStr>();
    let texts = tls.sni.iter().chain(&tls.alpn_chosen).chain(&tls.alpn);
    texts.map(cost_of_shared).sum::<usize>() + list + tls.certificate.as_deref().map_or(0, cost_of_certificate)
}

/// Bytes on the heap that the texts take.
fn cost_of_texts(attributes: &Attributes) -> usize {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    let tls = tls.as_deref().map_or(0, cost_of_tls);
    let http = http.as_deref().map_or(0, |http| costs([&http.method, &http.host, &http.user_agent]));
    let ssh = ssh.as_deref().map_or(0, |ssh| costs(ssh.banner.iter().chain(&ssh.hassh)));
    let dhcp = dhcp.as_deref().map_or(0, |dhcp| costs([&dhcp.host_name, &dhcp.vendor_class, &dhcp.client_mac]));
    tls + http + ssh + dhcp
}

/// Lets go of the texts that say the least about a connection and of which there are any.
fn shed_texts(attributes: &mut Attributes) {
    let Attributes { tls, quic: _, http, ssh, dhcp } = attributes;
    if let Some(tls) = tls.as_deref_mut()
        && shed_certificate(tls)
    {
        return;
    }
    // All but the TLS server name belongs to connections that have nothing else.
    *http = None;
    *ssh = None;
    *dhcp = None;
    if let Some(tls) = tls {
        shed_hello(tls);
    }
}

/// Lets go of a certificate's texts, if there are any.
fn shed_certificate(tls: &mut TlsAttributes) -> bool {
    match tls.certificate.as_deref_mut() {
        Some(certificate) if cost_of_certificate(certificate) > 0 => {
            (certificate.subject, certificate.issuer) = (None, None);
            true
        }
        _ => false,
    }
}

/// Lets go of the protocols, then of the server name.
fn shed_hello(tls: &mut TlsAttributes) {
    if tls.alpn_chosen.is_some() || tls.alpn.capacity() > 0 {
        (tls.alpn_chosen, tls.alpn) = (None, ThinVec::new());
    } else {
        tls.sni = None;
    }
}

/// Lets go of texts of one of several handshakes, as of those of a connection.
fn shed_session(session: &mut Session) {
    if let Some(tls) = session.tls_mut()
        && !shed_certificate(tls)
    {
        shed_hello(tls);
    }
}

impl Connection {
    /// Bytes on the heap that it keeps.
    fn kept(&self) -> usize {
        let beside = match &self.carried {
            Carried::Ssh(ssh) => ssh.window.as_ref().map_or(0, |window| window.heap_size()),
            Carried::Datagrams(datagrams) => datagrams.sessions().filter_map(Session::tls).map(cost_of_tls).sum(),
            _ => 0,
        };
        cost_of_texts(&self.attributes) + beside
    }

    /// Charges what it keeps by now. What finds no room is let go of, texts first, then JA4SSH; gives how many
    /// bytes that were.
    pub fn charge_kept(&mut self, budget: &mut Budget) -> usize {
        let mut kept = self.kept();
        let mut refused = 0;
        while kept > self.charged && !budget.charge(kept - self.charged) {
            let before = kept;
            shed_texts(&mut self.attributes);
            if let Carried::Datagrams(datagrams) = &mut self.carried {
                datagrams.sessions_mut().for_each(|(session, _)| shed_session(session));
            }
            kept = self.kept();
            if kept == before {
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
