//! The event of a connection's end.

use std::sync::LazyLock;

use super::event::{DTLS, EventWriter, close, key, plus};
use crate::encode::json::{FieldWriter, end, text};
use crate::model::field::{Field, FieldValue, HandshakeState, Section, Subject, place};
use crate::model::{ConnectionRecord, EndReason, EventContext, Time};

/// Fields for which the event has a place of its own.
const MAPPED: [Field; 18] = [
    Field::Sensor,
    Field::InIface,
    Field::FlowId,
    Field::CommunityId,
    Field::PcapCnt,
    Field::Vlan,
    Field::SrcIp,
    Field::SrcPort,
    Field::DestIp,
    Field::DestPort,
    Field::Proto,
    Field::AppProto,
    Field::ConnectionStart,
    Field::ConnectionEnd,
    Field::PktsToserver,
    Field::PktsToclient,
    Field::BytesToserver,
    Field::BytesToclient,
];

/// Fields of `ja4plus`: the others of a connection, without those of its messages, which have an event.
static OF_FLOW: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let of_connection = Field::ALL.iter().copied().filter(|field| field.is_in(place::CONNECTION));
    of_connection.filter(|field| !field.is_in(place::ATTRIBUTES) && !MAPPED.contains(field)).collect()
});

/// Fields of a DTLS handshake, which has no event in Suricata.
static OF_DTLS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let of_tls = Field::ALL.iter().copied().filter(|field| field.row().section() == Section::Tls);
    [Field::AppProto].into_iter().chain(of_tls.filter(|field| field.is_in(place::CONNECTION))).collect()
});

impl EventWriter {
    /// Writes the event of a connection's end.
    pub(super) fn flow(
        &mut self,
        cause: &EventContext,
        subject: &Subject<'_>,
        record: &ConnectionRecord,
        out: &mut Vec<u8>,
    ) {
        self.open(b"flow", cause.time, None, subject, out);
        key(b"flow", out);
        out.push(b'{');
        for field in [Field::PktsToserver, Field::PktsToclient, Field::BytesToserver, Field::BytesToclient] {
            self.known(field, subject, out);
        }
        for (name, at) in [(&b"start"[..], record.start), (b"end", record.last)] {
            key(name, out);
            text(out, |out| self.clock.offset_timestamp(at, out));
            out.push(b',');
        }
        let seconds = |at: Time| at.0 / 1_000_000_000;
        let age = seconds(record.last).saturating_sub(seconds(record.start));
        self.field(b"age", FieldValue::number(age), out);
        let ended = record.ended.unwrap_or(EndReason::Open);
        self.field(b"state", FieldValue::Text(state(record, ended)), out);
        self.field(b"reason", FieldValue::Text(reason(ended)), out);
        self.field(b"alerted", FieldValue::Bool(!record.fired.is_empty()), out);
        close(out);
        plus(out, |out| {
            let dtls = if record.protocol() == Some(DTLS) { OF_DTLS.as_slice() } else { &[] };
            let fields = dtls.iter().chain(OF_FLOW.iter()).copied();
            FieldWriter::write_list(subject, fields, &mut self.clock, out);
        });
        end(out);
    }
}

/// Suricata's state of a flow that has ended.
fn state(record: &ConnectionRecord, ended: EndReason) -> &'static str {
    let is_new = || {
        let packets = record.packets;
        let is_one_sided = packets.client == 0 || packets.server == 0;
        is_one_sided || matches!(HandshakeState::of(record), HandshakeState::SynOnly | HandshakeState::HalfOpen)
    };
    match ended {
        EndReason::Fin | EndReason::Rst | EndReason::Reused => "closed",
        EndReason::Idle | EndReason::Evicted | EndReason::Open if is_new() => "new",
        EndReason::Idle | EndReason::Evicted | EndReason::Open => "established",
    }
}

/// Suricata's reason: it removes a closed flow after a timeout, as an idle one.
const fn reason(ended: EndReason) -> &'static str {
    match ended {
        EndReason::Fin | EndReason::Rst | EndReason::Idle => "timeout",
        EndReason::Evicted => "forced",
        EndReason::Reused => "tcp_reuse",
        EndReason::Open => "shutdown",
    }
}
