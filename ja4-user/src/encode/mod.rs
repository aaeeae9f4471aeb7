//! Encoders: events to lines of text.
//!
//! A [`Formatter`] belongs to one shard. It takes no lock and appends whole lines to a buffer of the caller, so it allocates
//! nothing once the buffer has grown. Strings of an event come from the wire; each [`Format`] escapes them in its own way.

pub(crate) mod address;
pub(crate) mod clock;
mod connection_columns;
mod csv;
pub(crate) mod escape;
mod eve;
#[cfg(test)]
mod every_field;
mod filter;
mod format;
mod invisible;
mod json;
mod quic_version;
#[cfg(test)]
mod recorded;
mod table;

use std::sync::Arc;

pub use self::filter::{Filter, FilterError};
pub use self::format::{Format, FormatError, LineUnit};
pub(crate) use self::json::{attributes as attributes_json, group as group_json};
use self::{connection_columns::ConnectionColumns, csv::Csv, eve::Eve, json::Json, table::Table};
use crate::model::field::{EventRef, FieldSource, Subject, place};
use crate::model::{
    Alert, ConnectionRecord, EventContext, FingerprintEvent, FingerprintRecord, InterfaceNames, StatsRecord, Time,
};

/// What all lines of a run share.
#[derive(Clone, Debug, Default)]
pub struct EncodeContext {
    /// Name of this sensor.
    pub sensor: Option<String>,
    /// Names of the interfaces, by the index in events; empty in a replay.
    pub interfaces: Arc<InterfaceNames>,
    /// Which events are printed.
    pub filter: Filter,
    /// What a line is about.
    pub by: LineUnit,
}

impl EncodeContext {
    /// Returns the subject of an event.
    fn subject<'a>(
        &'a self,
        event: EventRef<'a>,
        record: Option<&'a ConnectionRecord>,
        seen: Option<&'a FingerprintRecord>,
    ) -> Subject<'a> {
        Subject { event, record, seen, sensor: self.sensor.as_deref(), interfaces: Some(&self.interfaces) }
    }
}

/// Appends events to a buffer, one line each.
#[derive(Debug)]
pub struct Formatter {
    filter: Filter,
    form: Form,
    context: Arc<EncodeContext>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each shard, which uses it for every event")]
enum Form {
    Json(Json),
    Eve(Eve),
    Csv(Csv),
    Table(Table),
    ConnectionColumns(ConnectionColumns),
}

impl Formatter {
    /// Creates a formatter.
    #[must_use]
    pub fn new(format: Format, context: Arc<EncodeContext>) -> Self {
        let filter = match context.by {
            LineUnit::Event => context.filter,
            LineUnit::Connection => context.filter.by_connection(),
        };
        let form = match (format, context.by) {
            (Format::Json, _) => Form::Json(Json::new(context.sensor.clone())),
            (Format::Eve, _) => Form::Eve(Eve::new(filter, context.sensor.clone())),
            (Format::Csv, _) => Form::Csv(Csv::new()),
            (Format::Table, LineUnit::Event) => Form::Table(Table::new()),
            (Format::Table, LineUnit::Connection) => Form::ConnectionColumns(ConnectionColumns::new()),
        };
        Self { filter, form, context }
    }

    /// Appends the header of a stream; JSON has none.
    pub fn header(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Json(_) | Form::Eve(_) => {}
            Form::Csv(_) => csv::header(out),
            Form::Table(_) => table::header(out),
            Form::ConnectionColumns(_) => connection_columns::header(out),
        }
    }

    /// Appends the line of a fingerprint of a connection, unless the filter excludes it. `seen` is its record, if there is
    /// one.
    pub fn fingerprint(
        &mut self,
        event: &FingerprintEvent<'_>,
        record: &ConnectionRecord,
        seen: Option<&FingerprintRecord>,
        out: &mut Vec<u8>,
    ) {
        if !self.filter.fingerprint(event.method) {
            return;
        }
        let Self { form, context, .. } = self;
        let (at, subject) = (event.cause.time, context.subject(EventRef::Fingerprint(event), Some(record), seen));
        match form {
            Form::Json(json) => json.event::<{ place::FINGERPRINT }>(at, &subject, out),
            Form::Eve(eve) => eve.fingerprint(event, &subject, out),
            Form::Csv(csv) => csv.row(place::FINGERPRINT, at, &subject, out),
            Form::Table(table) => table.fingerprint(event, record, seen, out),
            Form::ConnectionColumns(_) => {}
        }
    }

    /// Appends the line of a connection's end, unless the filter excludes it.
    pub fn connection(&mut self, cause: &EventContext, record: &ConnectionRecord, out: &mut Vec<u8>) {
        let Self { form, context, filter } = self;
        let (at, subject) = (cause.time, context.subject(EventRef::Connection(cause), Some(record), None));
        match form {
            // The events of its protocol are selected by their methods.
            Form::Eve(eve) => eve.connection(cause, &subject, record, out),
            _ if !filter.connection() => {}
            Form::Json(json) => json.event::<{ place::CONNECTION }>(at, &subject, out),
            Form::Csv(csv) => csv.row(place::CONNECTION, at, &subject, out),
            Form::Table(table) => table.connection(at, record, out),
            Form::ConnectionColumns(table) => table.connection(record, out),
        }
    }

    /// Appends the JSON line of a connection with its fingerprints.
    pub(crate) fn snapshot(&mut self, cause: &EventContext, record: &ConnectionRecord, out: &mut Vec<u8>) {
        if let Self { form: Form::Json(json), context, .. } = self {
            let subject = context.subject(EventRef::Connection(cause), Some(record), None);
            json.snapshot(cause.time, &subject, record, out);
        }
    }

    /// Appends an alert's line, unless the filter excludes it. `raw` is the raw form of its fingerprint, if
    /// raw forms are requested.
    pub fn alert(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        if !self.filter.alert() {
            return;
        }
        let Self { form, context, .. } = self;
        let subject = context.subject(EventRef::Alert(alert, raw), None, None);
        match form {
            Form::Json(json) => json.event::<{ place::ALERT }>(alert.time, &subject, out),
            Form::Eve(eve) => eve.alert(alert, &subject, out),
            Form::Csv(csv) => csv.row(place::ALERT, alert.time, &subject, out),
            Form::Table(table) => table.alert(alert, raw, out),
            Form::ConnectionColumns(_) => {}
        }
    }

    /// Appends the line of a stored row, an event of this [`place`], as JSON or CSV.
    pub(crate) fn row(&mut self, event: u8, at: Time, row: &impl FieldSource, out: &mut Vec<u8>) {
        match &mut self.form {
            Form::Json(json) => {
                json.row(event, at, row, out);
                json::end(out);
            }
            Form::Csv(csv) => csv.row(event, at, row, out),
            Form::Eve(_) | Form::Table(_) | Form::ConnectionColumns(_) => {}
        }
    }

    /// Appends the JSON line of a stored connection with its fingerprints.
    pub(crate) fn row_with_fingerprints<'a, S: FieldSource + 'a>(
        &mut self,
        at: Time,
        row: &impl FieldSource,
        fingerprints: impl IntoIterator<Item = (Time, S)>,
        out: &mut Vec<u8>,
    ) {
        if let Form::Json(json) = &mut self.form {
            json.row(place::CONNECTION, at, row, out);
            let begin = out.len();
            json::fingerprints(fingerprints, out);
            if out.len() == begin {
                out.extend_from_slice(b"\"fingerprints\":[],");
            }
            json::end(out);
        }
    }

    /// Appends a line of statistics, unless the filter or the format excludes it.
    pub fn stats(&mut self, time: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        if !self.filter.stats() {
            return;
        }
        match &mut self.form {
            Form::Json(json) => json.stats(time, record, out),
            Form::Eve(eve) => eve.stats(time, record, out),
            Form::Csv(_) | Form::ConnectionColumns(_) => {}
            Form::Table(table) => table.stats(time, record, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::model::Method;
    use samples::{attributes, connection, context, end, fingerprint, flow, tls};

    #[test]
    fn format_names_parse_both_ways_and_a_bad_one_lists_them() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(<Format as ValueEnum>::from_str(format.name(), false), Ok(format));
        }
        let error = "xml".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "'xml' is no output format; there are json, eve, csv and table");
    }

    #[test]
    fn the_filter_holds_in_every_format() {
        for format in Format::ALL {
            let context = EncodeContext { filter: "ja4h".parse().unwrap(), ..context() };
            let mut formatter = Formatter::new(format, Arc::new(context));
            let (record, mut out) = (connection(flow(), attributes(tls())), Vec::new());

            formatter.connection(&end(), &record, &mut out);
            formatter.stats(Time(0), &StatsRecord::default(), &mut out);
            formatter.fingerprint(&fingerprint(), &record, None, &mut out);
            assert!(out.is_empty(), "{format:?}");
            let ja4h = FingerprintEvent { method: Method::Ja4h, ..fingerprint() };
            formatter.fingerprint(&ja4h, &record, None, &mut out);
            assert_eq!(out.last(), Some(&b'\n'), "{format:?}");
        }
    }

    #[test]
    fn a_full_buffer_is_kept_and_lines_follow_it() {
        let record = connection(flow(), attributes(tls()));
        for format in Format::ALL {
            let mut formatter = Formatter::new(format, Arc::new(context()));
            let mut out = b"kept\n".to_vec();
            formatter.fingerprint(&fingerprint(), &record, None, &mut out);
            formatter.connection(&end(), &record, &mut out);
            assert!(out.starts_with(b"kept\n"), "{format:?}");
            assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 3, "{format:?}");
        }
    }

    /// Events for the tests of all formats.
    pub(crate) mod samples {
        use std::net::{IpAddr, Ipv4Addr};
        use std::sync::Arc;

        use ja4::{Ja3, Md5Hex};

        use crate::encode::EncodeContext;
        use crate::model::path::Syn;
        use crate::model::{
            Alert, Attributes, CertificateAttributes, CommunityId, ConnectionRecord, CowArc, DhcpAttributes, EndReason,
            EventContext, FingerprintEvent, FingerprintRecord, FingerprintValue, FlowIdentity, Hook, HttpAttributes,
            InterfaceNames, KnownBad, Label, Method, PerSide, QuicAttributes, Severity, SharedAttributes, Side,
            SshAttributes, SshSession, Time, TlsAttributes, os,
        };

        /// 2026-11-23T07:00:00.123456789Z
        pub(crate) const TIME: Time = Time(1_795_417_200_123_456_789);
        const START: Time = Time(TIME.0 - 1_500_000_000);

        pub(crate) fn context() -> EncodeContext {
            EncodeContext {
                sensor: Some("web1".to_owned()),
                interfaces: Arc::new(InterfaceNames::from_iter(["lo", "eth0"])),
                ..EncodeContext::default()
            }
        }

        pub(crate) fn flow() -> FlowIdentity {
            FlowIdentity {
                id: 1_811_942_318_310_512,
                community: CommunityId::of(
                    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 51_234),
                    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 443),
                    6,
                ),
                client: (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 51_234),
                server: (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 443),
                proto: 6,
                vlan: [100].into_iter().collect(),
            }
        }

        pub(crate) fn tls() -> TlsAttributes {
            TlsAttributes {
                sni: Some("example.org".into()),
                version: Some("TLS 1.3"),
                alpn: ["h2", "http/1.1"].map(Into::into).into(),
                cipher: Some(0x1301),
                group: Some(0x11ec),
                ..TlsAttributes::default()
            }
        }

        pub(crate) fn ja3() -> PerSide<Option<Ja3>> {
            let of = |string: &str| Some(Ja3 { hash: Md5Hex::of(string.as_bytes()), string: string.to_owned() });
            [of("771,4865-4866,0-10-11,29-23,0"), of("771,4865,51-43")].into()
        }

        pub(crate) fn attributes(tls: TlsAttributes) -> SharedAttributes {
            Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into()
        }

        pub(crate) fn certificate() -> CertificateAttributes {
            CertificateAttributes {
                subject: Some("www.example.org".to_owned()),
                issuer: Some("Example CA".to_owned()),
                // 2026-11-01T00:00:00 to 2027-01-30T23:59:59
                not_before: Some(1_793_491_200),
                not_after: Some(1_801_353_599),
                san_count: 2,
            }
        }

        /// Every protocol at once.
        pub(crate) fn known() -> Attributes {
            let own = |text: &str| Some(text.to_owned());
            Attributes {
                tls: Some(CowArc::new(tls())),
                quic: Some(CowArc::new(QuicAttributes { version: 0xff00_001d })),
                http: Some(CowArc::new(HttpAttributes {
                    version: Some("HTTP/1.1"),
                    method: own("GET"),
                    host: own("www.example.org"),
                    user_agent: own("curl/8.5.0"),
                })),
                ssh: Some(CowArc::new(SshAttributes {
                    banner: [own("SSH-2.0-OpenSSH_9.6"), own("SSH-2.0-OpenSSH_9.2p1 Debian-2")].into(),
                    hassh: [own("0123456789abcdef0123456789abcdef"), own("fedcba9876543210fedcba9876543210")].into(),
                })),
                dhcp: Some(CowArc::new(DhcpAttributes {
                    host_name: own("printer-2"),
                    vendor_class: own("MSFT 5.0"),
                    client_mac: own("02:00:00:00:00:01"),
                    duid: None,
                })),
            }
        }

        pub(crate) fn cause() -> EventContext {
            EventContext { time: TIME, interface: 1, hook: Some(Hook::Ingress), packet: Some(12) }
        }

        pub(crate) fn fingerprint() -> FingerprintEvent<'static> {
            FingerprintEvent {
                cause: cause(),
                method: Method::Ja4,
                side: Side::Client,
                count: 1,
                value: "t13d1516h2_8daaf6152771_e5627efa2ab1",
                raw: None,
                original: None,
                raw_original: None,
                ttl: None,
                certificate: None,
            }
        }

        /// An alert with everything.
        pub(crate) fn alert() -> Alert {
            Alert {
                time: TIME,
                packet: Some(12),
                rule: "known_bad".into(),
                sid: None,
                description: "a fingerprint is known to be bad".into(),
                severity: Severity::High,
                group: vec![("src_ip".into(), "10.0.0.1".into())],
                reason: "ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver".to_owned(),
                flow: Some(flow()),
                interface: Some(1),
                fingerprint: Some((Method::Ja4, "t13d190900_9dc949149365_97f8aa674fd9".into())),
                category: Some("c2".into()),
                confidence: Some(40),
                suppressed: 3,
            }
        }

        /// A fingerprint of which everything is known.
        pub(crate) fn seen() -> FingerprintRecord {
            let value = FingerprintValue {
                label: Some(Arc::new(Label {
                    name: "Chromium".into(),
                    source: "builtin".into(),
                    category: Some("browser".into()),
                    confidence: Some(90),
                })),
                known_bad: Some(Arc::new(KnownBad {
                    pattern: "t13d15*".into(),
                    category: "c2".into(),
                    confidence: 20,
                    note: "shared with browsers".into(),
                })),
                .."t13d1516h2_8daaf6152771_e5627efa2ab1".into()
            };
            FingerprintRecord::new(Method::Ja4, Side::Client, 1, Arc::new(value), (START, TIME)).sighted(true)
        }

        /// A connection of which everything is known.
        pub(crate) fn record() -> ConnectionRecord {
            ConnectionRecord {
                identity: flow(),
                interface: 1,
                start: START,
                last: TIME,
                packets: [12, 10].into(),
                bytes: [1_234, 56_789].into(),
                ended: Some(EndReason::Fin),
                latency: None,
                attributes: SharedAttributes::default(),
                app: seen().value.label.clone(),
                known_bad: seen().value.known_bad.clone(),
                history: thin_vec::thin_vec![seen()],
                hops: [Some(3), None].into(),
                mss: Some(1380),
                os: Syn::parse("64240_2-4-8-1-3_1380_7").and_then(|syn| os::hint(&syn, Some(64))),
                ssh: Some(SshSession::Interactive),
                is_new: true,
                stored_at: 0,
                is_known: true,
                fired: thin_vec::thin_vec!["a fingerprint is known to be bad".into(), "a value was never seen".into()],
            }
        }

        /// A connection as its shard reports it, without what an engine adds.
        pub(crate) fn connection(flow: FlowIdentity, attributes: impl Into<SharedAttributes>) -> ConnectionRecord {
            ConnectionRecord {
                packets: [12, 10].into(),
                bytes: [1_234, 56_789].into(),
                ended: Some(EndReason::Fin),
                last: TIME,
                attributes: attributes.into(),
                ..ConnectionRecord::new(&flow, 1, START)
            }
        }

        /// The context of the end of a connection.
        pub(crate) fn end() -> EventContext {
            EventContext { packet: None, ..cause() }
        }
    }
}
