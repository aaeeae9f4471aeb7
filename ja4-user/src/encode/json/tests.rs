use proptest::prelude::*;
use serde_json::Value as Parsed;

use super::*;
use crate::encode::tests::samples::{
    TIME, alert, attributes, cause, certificate, connection, context, end, fingerprint, flow, known, record, tls,
};
use crate::encode::{EncodeContext, Format, Formatter};
use crate::model::{
    Alert, Attributes, CertificateAttributes, CowArc, DhcpAttributes, EventContext, FingerprintEvent, Hook,
    HttpAttributes, InterfaceNames, Latency, Method, SharedAttributes, Side, SshAttributes, TlsAttributes, VlanTags,
};
use std::sync::Arc;

fn line(context: &EncodeContext, write: impl FnOnce(&mut Formatter, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut Formatter::new(Format::Json, Arc::new(context.clone())), &mut out);
    let line = String::from_utf8(out).unwrap();
    let line = line.strip_suffix('\n').unwrap().to_owned();
    assert!(serde_json::from_str::<Parsed>(&line).unwrap().is_object());
    line
}

#[test]
fn a_live_fingerprint_with_everything() {
    let record = connection(flow(), attributes(tls()));
    let event = FingerprintEvent {
        raw: Some("t13d_a"),
        original: Some("t13d_b"),
        raw_original: Some("t13d_c"),
        ..fingerprint()
    };
    assert_eq!(
        line(&context(), |json, out| json.fingerprint(&event, &record, None, out)),
        concat!(
            r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"fingerprint","sensor":"web1","#,
            r#""in_iface":"eth0","direction":"ingress","flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","pcap_cnt":12,"vlan":[100],"#,
            r#""src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","#,
            r#""app_proto":"tls","fingerprint":{"type":"ja4","value":"t13d1516h2_8daaf6152771_e5627efa2ab1","#,
            r#""side":"client","count":1,"raw":"t13d_a","original":"t13d_b","raw_original":"t13d_c"},"#,
            r#""tls":{"sni":"example.org","version":"TLS 1.3","alpn":["h2","http/1.1"],"cipher":"0x1301","group":"0x11ec"}}"#,
        ),
    );
}

#[test]
fn what_is_absent_has_no_field() {
    let flow = FlowIdentity {
        client: ("2001:db8::1".parse().unwrap(), 1),
        server: ("::ffff:10.0.0.2".parse().unwrap(), 65_535),
        proto: 17,
        vlan: VlanTags::NONE,
        ..flow()
    };
    let record = connection(flow, SharedAttributes::default());
    let event = FingerprintEvent {
        cause: EventContext { hook: None, packet: None, ..cause() },
        method: Method::Ja4ls,
        side: Side::Server,
        count: u32::MAX,
        value: "1_2",
        ..fingerprint()
    };
    assert_eq!(
        line(&EncodeContext::default(), |json, out| json.fingerprint(&event, &record, None, out)),
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
    let record = connection(flow(), attributes(TlsAttributes::default()));
    let line = line(&context(), |json, out| json.connection(&end(), &record, out));
    assert!(line.contains(r#""app_proto":"tls","connection":{"#), "{line}");
    assert!(!line.contains(r#""tls":{"#), "{line}");
}

#[test]
fn the_end_of_a_connection() {
    let flow = FlowIdentity { vlan: [7, 4094].into_iter().collect(), ..flow() };
    let attributes = attributes(TlsAttributes { cipher: Some(0x00ff), ..TlsAttributes::default() });
    let record = connection(flow, attributes);
    let cause = EventContext { hook: Some(Hook::Egress), interface: 9, ..end() };
    assert_eq!(
        line(&context(), |json, out| json.connection(&cause, &record, out)),
        concat!(
            r#"{"timestamp":"2026-11-23T07:00:00.123456789Z","event_type":"connection","sensor":"web1","#,
            r#""direction":"egress","flow_id":1811942318310512,"community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","vlan":[7,4094],"#,
            r#""src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","#,
            r#""app_proto":"tls","connection":{"start":"2026-11-23T06:59:58.623456789Z","#,
            r#""end":"2026-11-23T07:00:00.123456789Z","pkts_toserver":12,"pkts_toclient":10,"#,
            r#""bytes_toserver":1234,"bytes_toclient":56789,"state":"fin"},"tls":{"cipher":"0x00ff"}}"#,
        ),
    );
}

#[test]
fn a_certificate_stands_beside_its_fingerprint_and_latency_beside_its_connection() {
    let (flow, certificate) = (FlowIdentity { vlan: VlanTags::NONE, ..flow() }, certificate());
    let attributes = attributes(TlsAttributes { sni: Some("example.org".into()), ..TlsAttributes::default() });
    let mut record = connection(flow, attributes);
    let event = FingerprintEvent {
        method: Method::Ja4x,
        side: Side::Server,
        value: "a_b_c",
        certificate: Some(&certificate),
        ..fingerprint()
    };
    let printed = line(&EncodeContext::default(), |json, out| json.fingerprint(&event, &record, None, out));
    assert!(
        printed.ends_with(concat!(
            r#""fingerprint":{"type":"ja4x","value":"a_b_c","side":"server","count":1},"#,
            r#""certificate":{"subject_cn":"www.example.org","issuer_cn":"Example CA","#,
            r#""notbefore":"2026-11-01T00:00:00","notafter":"2027-01-30T23:59:59","san_count":2},"#,
            r#""tls":{"sni":"example.org"}}"#,
        )),
        "{printed}"
    );

    record.latency = Some(Box::new(Latency { client: Some(100), ..Latency::default() }));
    let printed = line(&EncodeContext::default(), |json, out| json.connection(&end(), &record, out));
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
            r#""fingerprint":{"type":"ja4","value":"t13d190900_9dc949149365_97f8aa674fd9","raw":"t13d_raw"},"#,
            r#""alert":{"action":"allowed","signature":"a fingerprint is known to be bad","category":"c2","severity":2,"#,
            r#""ja4sensor":{"rule":"known_bad","description":"a fingerprint is known to be bad","severity":"high","#,
            r#""reason":"ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver","group":{"src_ip":"10.0.0.1"},"#,
            r#""confidence":40,"suppressed":3}}}"#,
        ),
    );
    let bare = Alert { flow: None, fingerprint: None, group: Vec::new(), category: None, confidence: None, ..alert() };
    assert_eq!(
        line(&EncodeContext::default(), |json, out| json.alert(&bare, None, out)),
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
        let context = EncodeContext {
            sensor: Some(sensor.clone()),
            interfaces: Arc::new(InterfaceNames::from_iter([&format!("not {interface}"), interface])),
            ..EncodeContext::default()
        };
        let offered = alpn.iter().cloned().map(Into::into).collect();
        let tls = TlsAttributes { sni: sni.clone().map(Into::into), alpn: offered, ..TlsAttributes::default() };
        let record = connection(flow(), attributes(tls));
        let event = FingerprintEvent {
            value,
            raw: Some(raw),
            original: Some(original),
            raw_original: Some(raw_original),
            ..fingerprint()
        };
        let line = line(&context, |json, out| json.fingerprint(&event, &record, None, out));
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

fn all(known: &Attributes) -> String {
    let record = ConnectionRecord { attributes: known.clone().into(), ..record() };
    let mut out = Vec::new();
    super::attributes(&record, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(serde_json::from_str::<Parsed>(&text).unwrap().is_object());
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap().to_owned()
}

#[test]
fn tls_with_everything() {
    let tls = TlsAttributes {
        alpn_chosen: Some("h2".into()),
        ech: true,
        certificate: Some(Box::new(certificate())),
        ..tls()
    };
    assert_eq!(
        all(&attributes(tls)),
        concat!(
            r#""tls":{"sni":"example.org","version":"TLS 1.3","alpn":["h2","http/1.1"],"alpn_chosen":"h2","#,
            r#""cipher":"0x1301","group":"0x11ec","ech":true,"subject_cn":"www.example.org","issuer_cn":"Example CA","#,
            r#""notbefore":"2026-11-01T00:00:00","notafter":"2027-01-30T23:59:59","san_count":2}"#,
        ),
    );
}

#[test]
fn the_other_protocols() {
    assert_eq!(
        all(&Attributes { tls: None, ..known() }),
        concat!(
            r#""quic":{"version":"draft-29"},"#,
            r#""http":{"hostname":"www.example.org","http_user_agent":"curl/8.5.0","http_method":"GET","protocol":"HTTP/1.1"},"#,
            r#""ssh":{"client":{"proto_version":"2.0","software_version":"OpenSSH_9.6","hassh":{"hash":"0123456789abcdef0123456789abcdef"}},"#,
            r#""server":{"proto_version":"2.0","software_version":"OpenSSH_9.2p1","hassh":{"hash":"fedcba9876543210fedcba9876543210"}}},"#,
            r#""dhcp":{"hostname":"printer-2","vendor_class_identifier":"MSFT 5.0","client_mac":"02:00:00:00:00:01"}"#,
        ),
    );
}

#[test]
fn what_is_empty_is_not_written() {
    let nothing = Attributes {
        tls: Some(CowArc::default()),
        quic: None,
        http: Some(CowArc::default()),
        ssh: Some(CowArc::default()),
        dhcp: Some(CowArc::default()),
    };
    assert_eq!(all(&nothing), "");
    let ssh = SshAttributes { hassh: [None, Some("ab".to_owned())].into(), ..SshAttributes::default() };
    let one_end = Attributes { ssh: Some(CowArc::new(ssh)), ..Attributes::default() };
    assert_eq!(all(&one_end), r#""ssh":{"server":{"hassh":{"hash":"ab"}}}"#);
}

#[test]
fn the_protocol_is_the_one_inside() {
    const TCP: u8 = 6;
    const UDP: u8 = 17;

    let mut known = known();
    assert_eq!(known.protocol(UDP), Some("quic"));
    known.quic = None;
    assert_eq!(known.protocol(TCP), Some("tls"));
    assert_eq!(known.protocol(UDP), Some("dtls"));
    known.tls = None;
    assert_eq!(known.protocol(TCP), Some("ssh"));
    known.ssh = None;
    assert_eq!(known.protocol(TCP), Some("http"));
    known.http.as_mut().unwrap().version = Some("HTTP/2");
    assert_eq!(known.protocol(TCP), Some("http2"));
    known.http.as_mut().unwrap().version = None;
    assert_eq!(known.protocol(TCP), Some("http"));
    known.http = None;
    assert_eq!(known.protocol(UDP), Some("dhcp"));
    assert_eq!(Attributes::default().protocol(TCP), None);
}

proptest! {
    #[test]
    fn any_attributes_are_read_back(
        tls in any::<[Option<String>; 5]>(),
        alpn: Vec<String>,
        http in any::<[Option<String>; 3]>(),
        software in any::<[Option<String>; 2]>(),
        hassh in any::<[Option<String>; 2]>(),
        dhcp in any::<[Option<String>; 3]>(),
    ) {
        let [sni, alpn_chosen, cipher, subject, issuer] = tls.clone();
        let [host, user_agent, method] = http.clone();
        let [host_name, vendor_class, client_mac] = dhcp.clone();
        let certificate = CertificateAttributes { subject, issuer, ..CertificateAttributes::default() };
        let known = Attributes {
            tls: Some(CowArc::new(TlsAttributes {
                sni: sni.map(Into::into),
                alpn: alpn.iter().cloned().map(Into::into).collect(),
                alpn_chosen: alpn_chosen.map(Into::into),
                cipher: cipher.map(|_| 0x1301),
                certificate: Some(Box::new(certificate)),
                ..TlsAttributes::default()
            })),
            http: Some(CowArc::new(HttpAttributes { version: None, method, host, user_agent })),
            ssh: Some(CowArc::new(SshAttributes { banner: software.clone().into(), hassh: hassh.clone().into() })),
            dhcp: Some(CowArc::new(DhcpAttributes { host_name, vendor_class, client_mac, duid: None })),
            quic: None,
        };
        let text = all(&known);
        prop_assert!(!text.chars().any(char::is_control));
        let parsed: Parsed = serde_json::from_str::<Parsed>(&format!("{{{text}}}")).unwrap();
        let string = |object: &str, field: &str| parsed[object][field].as_str().map(str::to_owned);

        let printed = ["sni", "alpn_chosen", "cipher", "subject_cn", "issuer_cn"].map(|field| string("tls", field));
        prop_assert_eq!(printed[2].is_some(), tls[2].is_some());
        prop_assert_eq!([&printed[0], &printed[1], &printed[3], &printed[4]], [&tls[0], &tls[1], &tls[3], &tls[4]]);
        let protocols = parsed["tls"]["alpn"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(protocols, alpn.into_iter().map(Parsed::String).collect::<Vec<_>>());
        prop_assert_eq!(["hostname", "http_user_agent", "http_method"].map(|field| string("http", field)), http);
        let fields = ["hostname", "vendor_class_identifier", "client_mac"];
        prop_assert_eq!(fields.map(|field| string("dhcp", field)), dhcp);
        for (place, end) in ["client", "server"].into_iter().enumerate() {
            let end = &parsed["ssh"][end];
            prop_assert_eq!(end["hassh"]["hash"].as_str(), hassh[place].as_deref());
            // A string that is no banner is printed whole.
            if software[place].as_ref().is_none_or(|software| !software.starts_with("SSH-")) {
                prop_assert_eq!(end["software_version"].as_str(), software[place].as_deref());
            }
        }
    }
}
