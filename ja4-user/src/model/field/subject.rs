//! What fields are read from.

use ja4::Ja3;

use super::kind::Section;
use super::value::{FieldValue, MethodValues};
use crate::model::{
    Alert, Attributes, CertificateAttributes, ConnectionRecord, DhcpAttributes, EndReason, EventContext,
    FingerprintEvent, FingerprintRecord, FlowIdentity, HttpAttributes, InterfaceNames, KnownBad, Label, Latency,
    Method, Side, Time, TlsAttributes,
};

/// Reference to the event that the fields are read from.
#[derive(Clone, Copy, Debug)]
pub enum EventRef<'a> {
    /// None: a record alone.
    None,
    /// A fingerprint of the record.
    Fingerprint(&'a FingerprintEvent<'a>),
    /// A change or the end of the record.
    Connection(&'a EventContext),
    /// An alert, and the raw form of its fingerprint.
    Alert(&'a Alert, Option<&'a str>),
    /// A flow alone.
    Flow(&'a FlowIdentity),
}

/// What fields are read from: an event, a record, or both.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The event.
    pub event: EventRef<'a>,
    /// What the engine knows of the connection.
    pub record: Option<&'a ConnectionRecord>,
    /// The fingerprint, as the engine records it.
    pub seen: Option<&'a FingerprintRecord>,
    /// Name of the sensor.
    pub sensor: Option<&'a str>,
    /// Names of the interfaces, by index, if known.
    pub interfaces: Option<&'a InterfaceNames>,
}

/// Versions in an SSH identification string (RFC 4253, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SshVersions<'a> {
    pub(super) protocol: Option<&'a str>,
    pub(super) software: Option<&'a str>,
}

static NO_ATTRIBUTES: Attributes = Attributes { tls: None, quic: None, http: None, ssh: None, dhcp: None };

impl Subject<'_> {
    /// A subject of which nothing is known.
    pub const NONE: Self = Self { event: EventRef::None, record: None, seen: None, sensor: None, interfaces: None };
}

impl<'a> Subject<'a> {
    /// A record, and one of its fingerprints where the subject is one.
    #[must_use]
    pub(crate) const fn of_record(
        record: &'a ConnectionRecord,
        seen: Option<&'a FingerprintRecord>,
        interfaces: Option<&'a InterfaceNames>,
    ) -> Self {
        Self { event: EventRef::None, record: Some(record), seen, sensor: None, interfaces }
    }

    /// The flow.
    #[inline]
    #[must_use]
    pub fn flow(&self) -> Option<&'a FlowIdentity> {
        match self.event {
            EventRef::Alert(alert, _) => alert.flow.as_ref(),
            EventRef::Flow(flow) => Some(flow),
            _ => self.record.map(|record| &record.identity),
        }
    }

    /// What the messages of the connection contained.
    #[inline]
    pub(super) fn attributes(&self) -> &'a Attributes {
        self.record.map_or(&NO_ATTRIBUTES, |record| &*record.attributes)
    }

    pub(super) fn context(&self) -> Option<&'a EventContext> {
        match self.event {
            EventRef::Fingerprint(event) => Some(&event.cause),
            EventRef::Connection(cause) => Some(cause),
            EventRef::Alert(..) | EventRef::Flow(_) | EventRef::None => None,
        }
    }

    pub(super) fn packet(&self) -> Option<u64> {
        match self.event {
            EventRef::Alert(alert, _) => alert.packet,
            EventRef::None => None,
            _ => self.context()?.packet,
        }
    }

    pub(super) fn interface(&self) -> Option<&'a str> {
        let index = match self.event {
            EventRef::Alert(alert, _) => alert.flow.and(alert.interface)?,
            EventRef::None => self.record?.interface,
            _ => self.context()?.interface,
        };
        self.interfaces?.get(index)
    }

    pub(super) const fn fingerprint(&self) -> Option<&'a FingerprintEvent<'a>> {
        match self.event {
            EventRef::Fingerprint(event) => Some(event),
            _ => None,
        }
    }

    pub(super) const fn alert(&self) -> Option<&'a Alert> {
        match self.event {
            EventRef::Alert(alert, _) => Some(alert),
            _ => None,
        }
    }

    pub(super) fn method(&self) -> Option<Method> {
        match self.event {
            EventRef::Fingerprint(event) => Some(event.method),
            EventRef::Alert(alert, _) => alert.fingerprint.as_ref().map(|(method, _)| *method),
            _ => self.seen.map(|seen| seen.method),
        }
    }

    pub(super) fn fingerprint_value(&self) -> Option<&'a str> {
        match self.event {
            EventRef::Fingerprint(event) => Some(event.value),
            EventRef::Alert(alert, _) => alert.fingerprint.as_ref().map(|(_, value)| &**value),
            _ => self.seen.map(|seen| &*seen.value.text),
        }
    }

    pub(super) fn raw(&self) -> Option<&'a str> {
        match self.event {
            EventRef::Fingerprint(event) => event.raw,
            EventRef::Alert(alert, raw) => raw.filter(|_| alert.fingerprint.is_some()),
            _ => self.seen?.value.raw.as_deref(),
        }
    }

    pub(super) fn side(&self) -> Option<Side> {
        self.fingerprint().map(|event| event.side).or_else(|| self.seen.map(FingerprintRecord::side))
    }

    pub(super) fn fingerprint_count(&self) -> Option<u32> {
        self.fingerprint().map(|event| event.count).or_else(|| self.seen.map(|seen| seen.count().into()))
    }

    pub(super) fn start(&self) -> Option<Time> {
        Some(self.record?.start)
    }

    pub(super) fn end(&self) -> Option<Time> {
        Some(self.record?.last)
    }

    pub(super) fn packets(&self, side: Side) -> Option<u64> {
        Some(self.record?.packets[side])
    }

    pub(super) fn bytes(&self, side: Side) -> Option<u64> {
        Some(self.record?.bytes[side])
    }

    /// Why the connection ended; in an event of it that has not ended, `open`.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        let record = self.record?;
        match self.event {
            EventRef::Connection(_) => Some(record.ended.unwrap_or(EndReason::Open)),
            _ => record.ended,
        }
    }

    pub(super) fn latency(&self) -> Option<&'a Latency> {
        self.record?.latency.as_deref()
    }

    pub(super) fn tls(&self) -> Option<&'a TlsAttributes> {
        self.attributes().tls.as_deref()
    }

    pub(super) fn http(&self) -> Option<&'a HttpAttributes> {
        self.attributes().http.as_deref()
    }

    pub(super) fn dhcp(&self) -> Option<&'a DhcpAttributes> {
        self.attributes().dhcp.as_deref()
    }

    /// The certificate that a JA4X describes.
    pub(crate) fn certificate(&self) -> Option<&'a CertificateAttributes> {
        self.fingerprint()?.certificate
    }

    pub(super) fn ssh_banner(&self, side: Side) -> Option<&'a str> {
        self.attributes().ssh.as_deref()?.banner[side].as_deref()
    }

    pub(super) fn ssh_versions(&self, side: Side) -> Option<SshVersions<'a>> {
        self.ssh_banner(side).map(SshVersions::parse)
    }

    pub(super) fn hassh(&self, side: Side) -> Option<&'a str> {
        self.attributes().ssh.as_deref()?.hassh[side].as_deref()
    }

    pub(super) fn ja3(&self, side: Side) -> Option<&'a Ja3> {
        self.tls()?.ja3.as_deref()?[side].as_ref()
    }

    pub(super) fn label(&self) -> Option<&'a Label> {
        self.seen?.value.label.as_deref()
    }

    pub(super) fn app(&self) -> Option<&'a Label> {
        self.record?.app.as_deref()
    }

    pub(super) fn known_bad(&self) -> Option<&'a KnownBad> {
        match self.seen {
            Some(seen) => seen.value.known_bad.as_deref(),
            None => self.record?.known_bad.as_deref(),
        }
    }

    pub(super) fn first_seen(&self) -> Option<bool> {
        match self.seen {
            Some(seen) => Some(seen.is_first_seen()),
            None => Some(self.record?.is_new),
        }
    }

    pub(super) fn hops(&self, side: Side) -> Option<u8> {
        self.record?.hops[side]
    }

    /// The newest value of a method.
    pub(super) fn newest(&self, method: Method) -> Option<FieldValue<'a>> {
        text(self.record?.newest(method).map(|seen| &*seen.value.text))
    }

    /// Every value of a method.
    pub(super) fn values(&self, method: Method) -> Option<FieldValue<'a>> {
        MethodValues::of(&self.record?.history, method).map(FieldValue::MethodValues)
    }
}

impl Subject<'_> {
    /// Whether a section has fields; a cheap check that spares asking for each.
    #[inline]
    pub(super) fn has_section(&self, section: Section) -> bool {
        let attributes = self.attributes();
        match section {
            Section::Tls => attributes.tls.is_some(),
            Section::Quic => attributes.quic.is_some(),
            Section::Http => attributes.http.is_some(),
            Section::Ssh => attributes.ssh.is_some(),
            Section::Dhcp => attributes.dhcp.is_some(),
            Section::Certificate => self.certificate().is_some(),
            Section::Label => self.label().is_some(),
            Section::App => self.app().is_some(),
            Section::KnownBad => self.known_bad().is_some(),
            Section::Ja4 => self.record.is_some_and(|record| !record.history.is_empty()),
            Section::Tunnel => self.record.is_some_and(|record| record.tunnel().is_some()),
            Section::Top | Section::Other => true,
        }
    }
}

impl<'a> SshVersions<'a> {
    /// Versions in `SSH-protoversion-softwareversion SP comments`. A string of another form counts as the software's.
    fn parse(banner: &'a str) -> Self {
        match banner.strip_prefix("SSH-").and_then(|rest| rest.split_once('-')) {
            Some((protocol, rest)) => {
                let software = rest.split_once(' ').map_or(rest, |(software, _comments)| software);
                Self { protocol: Some(protocol), software: Some(software) }
            }
            None => Self { protocol: None, software: Some(banner) },
        }
    }
}

/// A text that is known.
#[inline]
pub(super) fn text(text: Option<&str>) -> Option<FieldValue<'_>> {
    text.map(FieldValue::Text)
}

/// A number that is known.
#[inline]
pub(super) fn count<'a>(number: Option<impl TryInto<i64>>) -> Option<FieldValue<'a>> {
    number.map(FieldValue::number)
}

/// A time that is known.
#[inline]
pub(super) fn time<'a>(time: Option<Time>) -> Option<FieldValue<'a>> {
    time.map(FieldValue::Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_an_ssh_identification_string() {
        for (banner, protocol, software) in [
            ("SSH-2.0-OpenSSH_9.2p1 Debian-2", Some("2.0"), "OpenSSH_9.2p1"),
            ("SSH-1.99-x-y z", Some("1.99"), "x-y"),
            ("SSH-2.0-", Some("2.0"), ""),
            ("SSH-2.0", None, "SSH-2.0"),
            ("hello", None, "hello"),
        ] {
            assert_eq!(SshVersions::parse(banner), SshVersions { protocol, software: Some(software) }, "{banner}");
        }
    }
}
