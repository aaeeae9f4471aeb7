//! The state of one connection in a shard.

use ja4_common::flow::{FlowCounters, FlowKey};

use crate::conntrack::Budget;
use crate::conntrack::latency::Latencies;
use crate::conntrack::method_counts::Told;
use crate::conntrack::sequence::Seen;
use crate::conntrack::stream::{Half, Stretch};
use crate::conntrack::table::Keyed;
use crate::conntrack::tcp_handshake::Opening;
use crate::model::{self, EndReason, FlowIdentity, Method, OptTime, SharedAttributes, Side, Time};
use crate::packet::flow_key;
use crate::protocol::dtls::Association;
use crate::protocol::openvpn::ControlChannel;
use crate::protocol::quic::Connections;
use ja4::SshWindow;

/// What a connection carries beside byte streams.
#[derive(Debug, Default)]
pub enum Carried {
    /// Nothing, or nothing that is known yet.
    #[default]
    Nothing,
    /// SSH.
    Ssh(Box<Ssh>),
    /// QUIC connections and DTLS associations.
    Datagrams(Box<Datagrams>),
}

/// An SSH connection's traffic.
#[derive(Debug)]
pub struct Ssh {
    /// What JA4SSH is made of; `None` once there was no room for it.
    pub window: Option<SshWindow>,
    /// Bytes of each side that were counted; client, server.
    pub seen: [Seen; 2],
}

/// What comes in datagrams. Anybody who knows the ports can send a hello of either protocol, from either
/// end: none decides what the others are.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// QUIC connections.
    pub quic: Connections<Quic>,
    /// DTLS associations: whose client is the low end of the flow's key, and whose client is the high end.
    pub dtls: [Option<Box<Dtls>>; 2],
    /// The control channel of OpenVPN.
    pub openvpn: Option<Box<ControlChannel>>,
}

/// What is known of a QUIC connection beside its keys and CRYPTO streams.
#[derive(Debug, Default)]
pub struct Quic {
    /// Its handshake.
    pub session: Session,
    /// B: time and TTL of the first server Initial.
    pub answered: Option<(Time, u8)>,
    /// C: time of the last server Handshake packet so far.
    pub server_handshake: Option<Time>,
    /// D, the first client Handshake packet, has come; no later one takes its place.
    pub client_handshake: bool,
}

/// A DTLS association.
#[derive(Debug, Default)]
pub struct Dtls {
    /// Both directions.
    pub association: Association,
    /// Its handshake.
    pub session: Session,
}

/// What is known of one of several handshakes on the same ports. As long as a datagram of it is read, and at
/// the end that of the one that counts, it is in the [`Connection`]: see [`Connection::exchange`].
#[derive(Debug, Default)]
pub struct Session {
    tls: Option<model::CowArc<model::TlsAttributes>>,
    quic: Option<model::CowArc<model::QuicAttributes>>,
    sealed: bool,
    surplus: bool,
    latencies: Latencies,
    told: Told,
    /// Time of its last datagram.
    last: Time,
}

impl Datagrams {
    /// The association whose client is at this end, if there is one.
    pub fn dtls_of(&mut self, client_is_high: bool) -> Option<&mut Option<Box<Dtls>>> {
        self.dtls.get_mut(usize::from(client_is_high))
    }

    /// Whether the high end of the flow's key is the client of an association, of two the one that was
    /// answered.
    pub fn likely_dtls(&self) -> Option<bool> {
        let both =
            self.dtls.iter().zip([false, true]).filter_map(|(dtls, high)| dtls.as_ref().map(|dtls| (dtls, high)));
        both.max_by_key(|(dtls, _)| (dtls.session.is_answered(), dtls.session.last)).map(|(_, high)| high)
    }

    /// Every handshake.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        let dtls = self.dtls.iter().flatten().map(|dtls| &dtls.session);
        let openvpn = self.openvpn.iter().map(|channel| &channel.session);
        self.quic.iter().map(|entry| &entry.kept.session).chain(dtls).chain(openvpn)
    }

    /// Every handshake, and whether the high end of the flow's key is its client.
    pub fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        let quic = self.quic.iter_mut().map(|entry| (&mut entry.kept.session, entry.state.client_is_high()));
        let dtls = self.dtls.iter_mut().zip([false, true]);
        let openvpn = self.openvpn.iter_mut().map(|channel| {
            let high = channel.client_is_high();
            (&mut channel.session, high)
        });
        quic.chain(dtls.filter_map(|(dtls, high)| dtls.as_mut().map(|dtls| (&mut dtls.session, high)))).chain(openvpn)
    }

    /// How many messages are under way, one of each side at most.
    pub fn unfinished(&self) -> u64 {
        let dtls: u64 = self.dtls.iter().flatten().map(|dtls| dtls.association.unfinished()).sum();
        let openvpn: u64 = self.openvpn.iter().map(|channel| channel.unfinished()).sum();
        self.quic.unfinished() + dtls + openvpn
    }

    /// Lets go of all that is held, and gives it back to the budget.
    fn clear(&mut self, budget: &mut Budget) {
        self.quic.close(budget);
        self.dtls.iter_mut().flatten().for_each(|dtls| dtls.association.clear(budget));
        self.openvpn.iter_mut().for_each(|channel| channel.clear(budget));
    }
}

impl Session {
    /// What its handshake said.
    pub fn tls(&self) -> Option<&model::TlsAttributes> {
        self.tls.as_deref()
    }

    /// What its handshake said.
    pub fn tls_mut(&mut self) -> Option<&mut model::TlsAttributes> {
        self.tls.as_deref_mut()
    }

    /// A datagram of it has come.
    pub fn touch(&mut self, now: Time) {
        self.last = now;
    }

    /// Whether the server has said hello.
    pub fn is_answered(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// How every record names it.
    pub identity: FlowIdentity,
    /// Its hash, by which the filter knows it.
    pub hash: u64,
    /// Whether the client is the high end of the key.
    pub client_is_high: bool,
    /// Interface that saw its first packet.
    pub interface: u32,
    /// Time of the first packet.
    pub start: Time,
    /// Time of the last packet that is known of.
    pub last: Time,
    /// Packets and bytes, as the filter counts them.
    pub counters: FlowCounters,
    /// Sequence number of each side's first payload byte, once its SYN was seen; client, server.
    pub first_seq: [Option<u32>; 2],
    /// What was read of each side's last stream, once it is over: what comes of it again is a
    /// retransmission. Client, server.
    pub read: [Option<Stretch>; 2],
    /// Each side's stream; client, server.
    pub halves: [Option<Box<Half>>; 2],
    /// What it carries beside.
    pub carried: Carried,
    /// It is one of SSH.
    pub is_ssh: bool,
    /// What follows the ServerHello is encrypted: so since TLS 1.3.
    pub sealed: bool,
    /// It is one handshake more than there is room for on its ports: its hello is not told.
    pub surplus: bool,
    /// ACKs without payload that came before it was known to be SSH; client, server.
    pub acks: [u8; 2],
    /// Latencies, and what they are made of.
    pub latencies: Latencies,
    /// What is known of it beside its fingerprints.
    pub attributes: SharedAttributes,
    /// Bytes of the budget for what connections keep that it takes.
    pub charged: usize,
    /// The opening, see [`Opening`].
    pub opening: Option<Opening>,
    /// Fingerprints told, by method.
    pub told: Told,
    /// Sides that have sent FIN; client, server.
    pub finished: [bool; 2],
    /// Since when a message is under way.
    pub unfinished_since: OptTime,
    /// How it ended, once it has.
    pub ended: Option<EndReason>,
}

impl Keyed for Connection {
    fn key(&self) -> FlowKey {
        flow_key(self.identity.client, self.identity.server, self.identity.proto)
    }
}

impl Connection {
    /// The number of the next fingerprint of a method, from 1.
    pub fn count(&mut self, method: Method) -> u32 {
        self.told.count(method)
    }

    /// Another connection has begun on the same ports: what is told once may be told again.
    pub fn tell_again(&mut self, methods: &[Method]) {
        methods.iter().for_each(|method| self.told.forget(*method));
    }

    /// How many fingerprints of the method were told.
    pub fn told_of(&self, method: Method) -> u32 {
        self.told.of(method)
    }

    /// Whether a fingerprint of the method was told.
    pub fn has_told(&self, method: Method) -> bool {
        self.told_of(method) > 0
    }

    /// Packets and bytes, client first.
    pub fn totals(&self) -> ([u64; 2], [u64; 2]) {
        let FlowCounters { packets: [low, high], bytes: [low_bytes, high_bytes] } = self.counters;
        if self.client_is_high {
            ([high, low], [high_bytes, low_bytes])
        } else {
            ([low, high], [low_bytes, high_bytes])
        }
    }

    /// Ends one side's stream and gives back what it held. What follows is not to begin another by
    /// chance: only a hello does.
    pub fn close_half(&mut self, side: Side, budget: &mut Budget) {
        if let Some(half) = self.halves.get_mut(side as usize)
            && let Some(mut half) = half.take()
        {
            half.clear(budget);
            if let Some(read) = self.read.get_mut(side as usize) {
                *read = Some(half.stretch());
            }
        }
    }

    /// This handshake is read from here on.
    pub fn enter(&mut self, session: &mut Session, client_is_high: bool) {
        if self.client_is_high != client_is_high {
            self.turn_round();
        }
        self.exchange(session);
    }

    /// Undoes [`enter`](Self::enter). `client_was_high`: which end was the client before. Over TCP, the client stays
    /// the end that opened the connection.
    pub fn leave(&mut self, session: &mut Session, client_was_high: bool) {
        self.exchange(session);
        if self.is_tcp() && self.client_is_high != client_was_high {
            self.turn_round();
        }
    }

    /// Whether it is a TCP connection.
    fn is_tcp(&self) -> bool {
        const TCP: u8 = 6;
        self.identity.proto == TCP
    }

    /// Exchanges the state of the connection and that of the handshake. Over TCP, latencies and fingerprint numbers
    /// stay those of the connection.
    pub fn exchange(&mut self, session: &mut Session) {
        let Session { tls, quic, sealed, surplus, latencies, told, last: _ } = session;
        let attributes = &mut *self.attributes;
        std::mem::swap(&mut attributes.tls, tls);
        std::mem::swap(&mut attributes.quic, quic);
        std::mem::swap(&mut self.sealed, sealed);
        std::mem::swap(&mut self.surplus, surplus);
        if !self.is_tcp() {
            std::mem::swap(&mut self.latencies, latencies);
            std::mem::swap(&mut self.told, told);
        }
    }

    /// Of several handshakes the last one that was answered, else the last one, is what the connection's end
    /// tells of.
    pub fn settle(&mut self) {
        let mut datagrams = match std::mem::take(&mut self.carried) {
            Carried::Datagrams(datagrams) => datagrams,
            other => return self.carried = other,
        };
        let counts = |session: &Session| (session.is_answered(), session.last);
        if let Some((session, high)) = datagrams.sessions_mut().max_by_key(|(session, _)| counts(session)) {
            let before = self.client_is_high;
            self.enter(session, high);
            if self.is_tcp() && self.client_is_high != before {
                self.turn_round();
            }
        }
        self.carried = Carried::Datagrams(datagrams);
    }

    /// The client is the server and the server the client.
    fn turn_round(&mut self) {
        let FlowIdentity { client, server, .. } = &mut self.identity;
        std::mem::swap(client, server);
        self.client_is_high = !self.client_is_high;
    }

    /// Whether a ServerHello was seen that leaves the rest of the handshake in the clear.
    pub fn is_answered(&self) -> bool {
        !self.sealed && self.attributes.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
    }

    /// Whether a message of either side is under way, or bytes wait for missing ones.
    pub fn is_unfinished(&self) -> bool {
        self.halves.iter().flatten().any(|half| half.is_unfinished())
            || matches!(&self.carried, Carried::Datagrams(datagrams) if datagrams.unfinished() > 0)
    }

    /// Lets go of messages that are under way; what else there is goes on.
    pub fn release_unfinished(&mut self, budget: &mut Budget) {
        for side in [Side::Client, Side::Server] {
            if self.halves.get(side as usize).and_then(Option::as_ref).is_some_and(|half| half.is_unfinished()) {
                self.close_half(side, budget);
            }
        }
        if let Carried::Datagrams(datagrams) = &mut self.carried {
            datagrams.quic.give_up(budget);
            datagrams.dtls.iter_mut().flatten().for_each(|dtls| dtls.association.clear(budget));
            datagrams.openvpn.iter_mut().for_each(|channel| channel.clear(budget));
        }
    }

    /// Gives back all that the connection holds.
    pub fn release(&mut self, budget: &mut Budget) {
        self.close_half(Side::Client, budget);
        self.close_half(Side::Server, budget);
        match &mut self.carried {
            Carried::Datagrams(datagrams) => datagrams.clear(budget),
            Carried::Ssh(_) | Carried::Nothing => {}
        }
    }
}
