//! JSON lines, in the shape of Suricata's EVE.
//!
//! Written by hand and in one pass: the order of the fields is part of the contract, what is absent
//! has no field, and a line costs no allocation.

mod additions;
mod alert;
mod attributes;

pub(super) use self::additions::{
    connection as add_to_connection, fingerprint as add_to_fingerprint, history as add_history,
};
pub(crate) use self::attributes::attributes;
use self::attributes::{certificate, latency};
use super::address::address;
use super::clock::Clock;
use super::filter::{ALERT, CONNECTION, FINGERPRINT, STATS};
use super::{Context, escape};
use crate::model::{
    Attributes, ConnectionEvent, CounterGroup, CounterValue, EventContext, FingerprintEvent, FlowIdentity, Hook, Side,
    StatsRecord, Time,
};

/// Room made for a line before it is written. Most fit; a longer one grows the buffer on its way.
const LINE: usize = 1024;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Writes events as JSON; see [`Format::Json`](super::Format::Json).
#[derive(Debug)]
pub(super) struct Json {
    clock: Clock,
    /// From the end of the timestamp to the end of the sensor's name, by event type.
    fingerprint: Vec<u8>,
    connection: Vec<u8>,
    alert: Vec<u8>,
    stats: Vec<u8>,
    /// `,"in_iface":"…"` by interface.
    interfaces: Vec<Vec<u8>>,
    /// The flow that the next two name.
    flow: Option<FlowIdentity>,
    before_count: Vec<u8>,
    after_count: Vec<u8>,
}

impl Json {
    pub(super) fn new(context: &Context) -> Self {
        let named = |event_type| {
            let mut out = Vec::new();
            string(br#"","event_type":""#, event_type, &mut out);
            out.push(b'"');
            if let Some(sensor) = &context.sensor {
                string(br#","sensor":""#, sensor, &mut out);
                out.push(b'"');
            }
            out
        };
        let interface = |name: &String| {
            let mut out = Vec::new();
            string(br#","in_iface":""#, name, &mut out);
            out.push(b'"');
            out
        };
        Self {
            clock: Clock::new(),
            fingerprint: named(FINGERPRINT),
            connection: named(CONNECTION),
            alert: named(ALERT),
            stats: named(STATS),
            interfaces: context.interfaces.iter().map(interface).collect(),
            flow: None,
            before_count: Vec::new(),
            after_count: Vec::new(),
        }
    }

    /// Leaves the line open behind the comma of its last field; [`end`] closes it.
    pub(super) fn fingerprint(&mut self, event: &FingerprintEvent<'_>, out: &mut Vec<u8>) {
        out.reserve(LINE);
        time(&mut self.clock, event.cause.time, &self.fingerprint, out);
        self.head(&event.cause, event.flow, event.attributes, out);

        out.extend_from_slice(br#","fingerprint":{"type":""#);
        out.extend_from_slice(event.method.name().as_bytes());
        string(br#"","value":""#, event.value, out);
        out.extend_from_slice(match event.side {
            Side::Client => br#"","side":"client","count":"#,
            Side::Server => br#"","side":"server","count":"#,
        });
        number(event.count, out);
        for (name, text) in [
            (&br#","raw":""#[..], event.raw),
            (br#","original":""#, event.original),
            (br#","raw_original":""#, event.raw_original),
        ] {
            if let Some(text) = text {
                string(name, text, out);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b"},");
        if let Some(of) = event.certificate {
            certificate(of, out);
        }
        attributes(event.attributes, out);
    }

    /// Leaves the line open, as [`Self::fingerprint`] does.
    pub(super) fn connection(&mut self, event: &ConnectionEvent<'_>, out: &mut Vec<u8>) {
        out.reserve(LINE);
        time(&mut self.clock, event.cause.time, &self.connection, out);
        self.head(&event.cause, event.flow, event.attributes, out);

        out.extend_from_slice(br#","connection":{"start":""#);
        self.clock.timestamp(event.start, out);
        out.extend_from_slice(br#"","end":""#);
        self.clock.timestamp(event.end, out);
        let ([to_server, to_client], [bytes_to_server, bytes_to_client]) = (event.packets, event.bytes);
        out.extend_from_slice(br#"","pkts_toserver":"#);
        number(to_server, out);
        out.extend_from_slice(br#","pkts_toclient":"#);
        number(to_client, out);
        out.extend_from_slice(br#","bytes_toserver":"#);
        number(bytes_to_server, out);
        out.extend_from_slice(br#","bytes_toclient":"#);
        number(bytes_to_client, out);
        out.extend_from_slice(br#","state":""#);
        out.extend_from_slice(event.ended.name().as_bytes());
        out.extend_from_slice(b"\"},");
        latency(&event.latency, out);
        attributes(event.attributes, out);
    }

    pub(super) fn stats(&mut self, at: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        time(&mut self.clock, at, &self.stats, out);
        out.extend_from_slice(br#","stats":"#);
        group(record, out);
        out.extend_from_slice(b"}\n");
    }

    /// From the interface to the application's protocol: what says where and whose.
    #[inline]
    fn head(&mut self, cause: &EventContext, flow: &FlowIdentity, known: &Attributes, out: &mut Vec<u8>) {
        if let Some(interface) = self.interfaces.get(cause.interface as usize) {
            out.extend_from_slice(interface);
        }
        match cause.hook {
            Some(Hook::Ingress) => out.extend_from_slice(br#","direction":"ingress""#),
            Some(Hook::Egress) => out.extend_from_slice(br#","direction":"egress""#),
            None => {}
        }
        // The events of a flow come in bursts.
        if self.flow.as_ref() != Some(flow) {
            self.name(flow);
        }
        out.extend_from_slice(&self.before_count);
        if let Some(packet) = cause.packet {
            out.extend_from_slice(br#","pcap_cnt":"#);
            number(packet, out);
        }
        out.extend_from_slice(&self.after_count);
        if let Some(protocol) = known.protocol(flow.proto) {
            out.extend_from_slice(br#","app_proto":""#);
            out.extend_from_slice(protocol.as_bytes());
            out.push(b'"');
        }
    }

    /// Writes what names a flow: what stands before the packet's number, and what stands behind it.
    fn name(&mut self, flow: &FlowIdentity) {
        self.flow = Some(*flow);
        let out = &mut self.before_count;
        out.clear();
        out.extend_from_slice(br#","flow_id":"#);
        number(flow.id, out);
        out.extend_from_slice(br#","community_id":""#);
        out.extend_from_slice(flow.community.as_bytes());
        out.push(b'"');
        let out = &mut self.after_count;
        out.clear();
        if flow.vlan != [0, 0] {
            out.extend_from_slice(br#","vlan":["#);
            for tag in flow.vlan.into_iter().filter(|&tag| tag != 0) {
                number(tag, out);
                out.push(b',');
            }
            out.pop();
            out.push(b']');
        }
        out.extend_from_slice(br#","src_ip":""#);
        address(flow.client.0, out);
        out.extend_from_slice(br#"","src_port":"#);
        number(flow.client.1, out);
        out.extend_from_slice(br#","dest_ip":""#);
        address(flow.server.0, out);
        out.extend_from_slice(br#"","dest_port":"#);
        number(flow.server.1, out);
        match flow.proto {
            TCP => out.extend_from_slice(br#","proto":"TCP""#),
            UDP => out.extend_from_slice(br#","proto":"UDP""#),
            other => {
                out.extend_from_slice(br#","proto":""#);
                number(other, out);
                out.push(b'"');
            }
        }
    }
}

/// The start of a line: its time, and what `named` says follows that.
#[inline]
fn time(clock: &mut Clock, at: Time, named: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"timestamp":""#);
    clock.timestamp(at, out);
    out.extend_from_slice(named);
}

/// Closes a line, in place of the comma that its last object has left.
#[inline]
pub(super) fn end(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"}\n");
}

/// Appends a tree of counters as a JSON object.
pub(crate) fn group(CounterGroup(entries): &CounterGroup, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (name, value)) in entries.iter().enumerate() {
        string(if place == 0 { b"\"" } else { b",\"" }, name, out);
        out.extend_from_slice(b"\":");
        match value {
            CounterValue::Count(count) => number(*count, out),
            CounterValue::Text(text) => {
                string(b"\"", text, out);
                out.push(b'"');
            }
            CounterValue::Group(inner) => group(inner, out),
        }
    }
    out.push(b'}');
}

/// A field's name with its opening quote, then its text; the closing quote is left to what follows.
#[inline]
fn string(name: &[u8], text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    escape::json(text, out);
}

#[inline]
fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Parsed;

    use super::super::tests::samples::{
        TIME, alert, attributes, cause, certificate, connection, context, fingerprint, flow, tls,
    };
    use super::*;
    use crate::model::{Alert, Latency, Method, SharedAttributes, TlsAttributes};

    fn line(context: &Context, write: impl FnOnce(&mut Json, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut Json::new(context), &mut out);
        if out.last() == Some(&b',') {
            end(&mut out);
        }
        let line = String::from_utf8(out).unwrap();
        let line = line.strip_suffix('\n').unwrap().to_owned();
        assert!(serde_json::from_str::<Parsed>(&line).unwrap().is_object());
        line
    }

    #[test]
    fn a_live_fingerprint_with_everything() {
        let (flow, attributes) = (flow(), attributes(tls()));
        let event = FingerprintEvent {
            raw: Some("t13d_a"),
            original: Some("t13d_b"),
            raw_original: Some("t13d_c"),
            ..fingerprint(&flow, &attributes)
        };
        assert_eq!(
            line(&context(), |json, out| json.fingerprint(&event, out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"fingerprint","sensor":"web1","#,
                r#""in_iface":"eth0","direction":"ingress","flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","pcap_cnt":12,"vlan":[100],"#,
                r#""src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","#,
                r#""app_proto":"tls","fingerprint":{"type":"ja4","value":"t13d1516h2_8daaf6152771_e5627efa2ab1","#,
                r#""side":"client","count":1,"raw":"t13d_a","original":"t13d_b","raw_original":"t13d_c"},"#,
                r#""tls":{"sni":"example.org","version":"TLS 1.3","alpn":["h2","http/1.1"],"cipher":"0x1301"}}"#,
            ),
        );
    }

    #[test]
    fn what_is_absent_has_no_field() {
        let nothing = SharedAttributes::default();
        let flow = FlowIdentity {
            client: ("2001:db8::1".parse().unwrap(), 1),
            server: ("::ffff:10.0.0.2".parse().unwrap(), 65_535),
            proto: UDP,
            vlan: [0, 0],
            ..flow()
        };
        let event = FingerprintEvent {
            cause: EventContext { hook: None, packet: None, ..cause() },
            method: Method::Ja4ls,
            side: Side::Server,
            count: u32::MAX,
            value: "1_2",
            ..fingerprint(&flow, &nothing)
        };
        assert_eq!(
            line(&Context::default(), |json, out| json.fingerprint(&event, out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"fingerprint","#,
                r#""flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","src_ip":"2001:db8::1","src_port":1,"#,
                r#""dest_ip":"::ffff:10.0.0.2","dest_port":65535,"proto":"UDP","#,
                r#""fingerprint":{"type":"ja4ls","value":"1_2","side":"server","count":4294967295}}"#,
            ),
        );
    }

    #[test]
    fn a_handshake_of_which_nothing_is_known_still_names_the_protocol() {
        let (flow, attributes) = (flow(), attributes(TlsAttributes::default()));
        let event = connection(&flow, &attributes);
        let line = line(&context(), |json, out| json.connection(&event, out));
        assert!(line.contains(r#""app_proto":"tls","connection":{"#), "{line}");
        assert!(!line.contains(r#""tls":{"#), "{line}");
    }

    #[test]
    fn the_end_of_a_connection() {
        let flow = FlowIdentity { vlan: [7, 4094], proto: 132, ..flow() };
        let attributes = attributes(TlsAttributes { cipher: Some(0x00ff), ..TlsAttributes::default() });
        let event = connection(&flow, &attributes);
        let event =
            ConnectionEvent { cause: EventContext { hook: Some(Hook::Egress), interface: 9, ..event.cause }, ..event };
        assert_eq!(
            line(&context(), |json, out| json.connection(&event, out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"connection","sensor":"web1","#,
                r#""direction":"egress","flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","vlan":[7,4094],"#,
                r#""src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","dest_port":443,"proto":"132","#,
                r#""app_proto":"tls","connection":{"start":"2026-11-23T06:59:58.623456789Z","#,
                r#""end":"2026-11-23T07:00:00.123456789Z","pkts_toserver":12,"pkts_toclient":10,"#,
                r#""bytes_toserver":1234,"bytes_toclient":56789,"state":"fin"},"tls":{"cipher":"0x00ff"}}"#,
            ),
        );
    }

    #[test]
    fn a_certificate_stands_beside_its_fingerprint_and_latency_beside_its_connection() {
        let (flow, certificate) = (FlowIdentity { vlan: [0, 0], ..flow() }, certificate());
        let attributes = attributes(TlsAttributes { sni: Some("example.org".into()), ..TlsAttributes::default() });
        let event = FingerprintEvent {
            method: Method::Ja4x,
            side: Side::Server,
            value: "a_b_c",
            certificate: Some(&certificate),
            ..fingerprint(&flow, &attributes)
        };
        let printed = line(&Context::default(), |json, out| json.fingerprint(&event, out));
        assert!(
            printed.ends_with(concat!(
                r#""fingerprint":{"type":"ja4x","value":"a_b_c","side":"server","count":1},"#,
                r#""certificate":{"subject_cn":"www.example.org","issuer_cn":"Example CA","#,
                r#""notbefore":"2026-11-01T00:00:00","notafter":"2027-01-30T23:59:59","san_count":2},"#,
                r#""tls":{"sni":"example.org"}}"#,
            )),
            "{printed}"
        );

        let latency = Latency { client: Some(100), ..Latency::default() };
        let event = ConnectionEvent { latency, ..connection(&flow, &attributes) };
        let printed = line(&Context::default(), |json, out| json.connection(&event, out));
        assert!(
            printed.ends_with(r#""state":"fin"},"latency":{"client_us":100},"tls":{"sni":"example.org"}}"#),
            "{printed}"
        );
    }

    #[test]
    fn an_alert_with_everything() {
        assert_eq!(
            line(&context(), |json, out| json.alert(&alert(), Some("t13d_raw"), out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"alert","sensor":"web1","#,
                r#""in_iface":"eth0","flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","pcap_cnt":12,"vlan":[100],"#,
                r#""src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","#,
                r#""alert":{"action":"allowed","signature":"a fingerprint is known to be bad","category":"c2","severity":2,"#,
                r#""ja4sensor":{"rule":"known_bad","description":"a fingerprint is known to be bad","severity":"high","#,
                r#""reason":"ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver","group":{"src_ip":"10.0.0.1"},"#,
                r#""confidence":40,"suppressed":3}},"#,
                r#""fingerprint":{"type":"ja4","value":"t13d190900_9dc949149365_97f8aa674fd9","raw":"t13d_raw"}}"#,
            ),
        );
        let bare =
            Alert { flow: None, fingerprint: None, group: Vec::new(), category: None, confidence: None, ..alert() };
        assert_eq!(
            line(&Context::default(), |json, out| json.alert(&bare, None, out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"alert","pcap_cnt":12,"#,
                r#""alert":{"action":"allowed","signature":"a fingerprint is known to be bad","severity":2,"#,
                r#""ja4sensor":{"rule":"known_bad","description":"a fingerprint is known to be bad","severity":"high","#,
                r#""reason":"ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver","suppressed":3}}}"#,
            ),
        );
    }

    #[test]
    fn statistics_nest() {
        let (mut record, mut kernel, mut shards) =
            (CounterGroup::default(), CounterGroup::default(), CounterGroup::default());
        kernel.count("seen", 5).count("dropped", u64::MAX);
        shards.group(0.to_string(), CounterGroup::default()).group("a\"b", CounterGroup::default());
        record.count("uptime_ms", 1).group("kernel", kernel).group("shards", shards).text("hook", "native");
        assert_eq!(
            line(&context(), |json, out| json.stats(TIME, &record, out)),
            concat!(
                r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"stats","sensor":"web1","#,
                r#""stats":{"uptime_ms":1,"kernel":{"seen":5,"dropped":18446744073709551615},"#,
                r#""shards":{"0":{},"a\"b":{}},"hook":"native"}}"#,
            ),
        );
    }

    proptest! {
        #[test]
        fn any_strings_come_back(
            strings in any::<[String; 6]>(),
            alpn: Vec<String>,
            sni: Option<String>,
        ) {
            let [sensor, interface, value, raw, original, raw_original] = &strings;
            let context = Context {
                sensor: Some(sensor.clone()),
                interfaces: vec![String::new(), interface.clone()],
                ..Context::default()
            };
            let offered = alpn.iter().cloned().map(Into::into).collect();
            let tls = TlsAttributes { sni: sni.clone().map(Into::into), alpn: offered, ..TlsAttributes::default() };
            let (flow, attributes) = (flow(), attributes(tls));
            let event = FingerprintEvent {
                value,
                raw: Some(raw),
                original: Some(original),
                raw_original: Some(raw_original),
                ..fingerprint(&flow, &attributes)
            };
            let line = line(&context, |json, out| json.fingerprint(&event, out));
            prop_assert!(!line.chars().any(char::is_control));
            let parsed: Parsed = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(parsed["sensor"].as_str(), Some(sensor.as_str()));
            prop_assert_eq!(parsed["in_iface"].as_str(), Some(interface.as_str()));
            let printed = &parsed["fingerprint"];
            prop_assert_eq!(printed["value"].as_str(), Some(value.as_str()));
            prop_assert_eq!(printed["raw"].as_str(), Some(raw.as_str()));
            prop_assert_eq!(printed["original"].as_str(), Some(original.as_str()));
            prop_assert_eq!(printed["raw_original"].as_str(), Some(raw_original.as_str()));
            prop_assert_eq!(parsed["tls"]["sni"].as_str(), sni.as_deref());
            let protocols = parsed["tls"]["alpn"].as_array().cloned().unwrap_or_default();
            prop_assert_eq!(protocols, alpn.into_iter().map(Parsed::String).collect::<Vec<_>>());
        }
    }
}
