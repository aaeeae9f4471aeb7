use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::encode::tests::samples::{
    TIME, alert, attributes, cause, certificate, connection, context, end, fingerprint, flow, ja3, known, record, seen,
    tls,
};
use crate::encode::{EncodeContext, Format, Formatter};
use crate::model::{
    Alert, Attributes, CertificateAttributes, ConnectionRecord, CounterGroup, CowArc, EndReason, FingerprintEvent,
    FingerprintRecord, HttpAttributes, Method, QuicAttributes, SharedAttributes, Side, TlsAttributes,
};

/// Returns the lines that `write` gives with this filter.
fn lines(filter: &str, write: impl FnOnce(&mut Formatter, &mut Vec<u8>)) -> Vec<String> {
    let context = EncodeContext { filter: filter.parse().unwrap(), ..context() };
    let mut out = Vec::new();
    write(&mut Formatter::new(Format::Eve, Arc::new(context)), &mut out);
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

/// Returns the events of the end of a connection.
fn ended(filter: &str, record: &ConnectionRecord) -> Vec<Value> {
    let lines = lines(filter, |eve, out| eve.connection(&end(), record, out));
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the only event of the end of a connection.
fn event(filter: &str, record: &ConnectionRecord) -> Value {
    let events = ended(filter, record);
    assert_eq!(events.len(), 1, "{events:#?}");
    events.into_iter().next().unwrap()
}

/// Sets the fingerprints of a connection: method, number, value.
fn history(record: &mut ConnectionRecord, values: &[(Method, u32, &str)]) {
    let seen = |(method, count, value): &(Method, u32, &str)| {
        FingerprintRecord::new(*method, Side::Client, *count, Arc::new((*value).into()), (record.start, TIME))
    };
    record.history = values.iter().map(seen).collect();
}

#[test]
fn a_connection_ends_with_the_event_of_its_handshake_and_that_of_its_flow() {
    let tls = TlsAttributes {
        version: Some("TLS 1.0"),
        alpn_chosen: Some("h2".into()),
        certificate: Some(Box::new(certificate())),
        ja3: Some(Box::new(ja3())),
        ..tls()
    };
    let record = ConnectionRecord { attributes: attributes(tls), known_bad: None, ..record() };
    let [of_tls, of_flow] = &lines("ja4,connection", |eve, out| eve.connection(&end(), &record, out))[..] else {
        panic!("not two lines")
    };
    let app = r#""app":{"name":"Chromium","source":"builtin","category":"browser","confidence":90},"first_seen":true"#;
    assert_eq!(
        *of_tls,
        [
            r#"{"timestamp":"2026-11-23T07:00:00.123456+0000","flow_id":1811942318310512,"in_iface":"eth0","#,
            r#""event_type":"tls","vlan":[100],"src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","#,
            r#""dest_port":443,"proto":"TCP","ip_v":4,"app_proto":"tls","#,
            r#""community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","host":"web1","#,
            r#""tls":{"subject":"CN=www.example.org","issuerdn":"CN=Example CA","notbefore":"2026-11-01T00:00:00","#,
            r#""notafter":"2027-01-30T23:59:59","sni":"example.org","version":"TLSv1","#,
            r#""ja3":{"hash":"38eaca597c62da4c9db8cfad482f14ad","string":"771,4865-4866,0-10-11,29-23,0"},"#,
            r#""ja3s":{"hash":"eb1d94daa7e0344597e756a1fb6e7054","string":"771,4865,51-43"},"#,
            r#""ja4":"t13d1516h2_8daaf6152771_e5627efa2ab1","client_alpns":["h2","http/1.1"],"server_alpns":["h2"],"#,
            r#""server_handshake":{"cipher":4865}},"#,
            &format!(r#""ja4plus":{{"tls":{{"group":"0x11ec","san_count":2}},{app},"ssh_session":"interactive"}}}}"#),
        ]
        .concat()
    );
    assert_eq!(
        *of_flow,
        [
            r#"{"timestamp":"2026-11-23T07:00:00.123456+0000","flow_id":1811942318310512,"in_iface":"eth0","#,
            r#""event_type":"flow","vlan":[100],"src_ip":"10.0.0.1","src_port":51234,"dest_ip":"10.0.0.2","#,
            r#""dest_port":443,"proto":"TCP","ip_v":4,"app_proto":"tls","#,
            r#""community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","host":"web1","#,
            r#""flow":{"pkts_toserver":12,"pkts_toclient":10,"bytes_toserver":1234,"bytes_toclient":56789,"#,
            r#""start":"2026-11-23T06:59:58.623456+0000","end":"2026-11-23T07:00:00.123456+0000","age":2,"#,
            r#""state":"closed","reason":"timeout","alerted":true},"#,
            &format!(r#""ja4plus":{{"direction":"ingress","connection":{{"state":"fin"}},{app},"#),
            r#""os":"Linux","hops":{"client":3},"mss":1380,"path":{"name":"wireguard","confidence":80,"mtu":1420},"#,
            r#""tunnel":{"name":"wireguard","confidence":80,"mtu":1420},"ssh_session":"interactive","#,
            r#""primary":{"type":"ja4","value":"t13d1516h2_8daaf6152771_e5627efa2ab1"},"#,
            r#""alerts":["a fingerprint is known to be bad","a value was never seen"],"#,
            r#""ja4":{"ja4":["t13d1516h2_8daaf6152771_e5627efa2ab1"]}}}"#,
        ]
        .concat()
    );
}

#[test]
fn each_handshake_of_a_connection_has_its_event() {
    let mut record = connection(flow(), attributes(tls()));
    history(
        &mut record,
        &[
            (Method::Ja4t, 1, "t"),
            (Method::Ja4, 1, "first"),
            (Method::Ja4, 2, "after a HelloRetryRequest"),
            (Method::Ja4s, 1, "s1"),
            (Method::Ja4, 1, "second"),
            (Method::Ja4s, 1, "s2"),
            (Method::Ja4x, 1, "x"),
        ],
    );
    let events = ended("ja4", &record);
    let parts: Vec<_> = events.iter().map(|event| (&event["tls"]["ja4"], &event["ja4plus"]["ja4"])).collect();
    assert_eq!(
        parts,
        [
            (&json!("first"), &json!({ "ja4": ["after a HelloRetryRequest"], "ja4s": ["s1"], "ja4t": ["t"] })),
            (&json!("second"), &json!({ "ja4s": ["s2"], "ja4t": ["t"], "ja4x": ["x"] })),
        ]
    );
    assert_eq!([&events[0]["tls"]["sni"], &events[1]["tls"]["sni"]], [&Value::Null, &json!("example.org")]);
}

#[test]
fn half_a_handshake_has_its_event_too() {
    let answer = event("ja4", &connection(flow(), attributes(TlsAttributes { sni: None, ..tls() })));
    assert_eq!((&answer["tls"]["version"], answer["tls"].get("ja4")), (&json!("TLS 1.3"), None));
    let hello = event("ja4", &connection(flow(), attributes(TlsAttributes { cipher: None, ..tls() })));
    let offered = &hello["ja4plus"]["tls"]["version"];
    assert_eq!((&hello["tls"]["version"], offered), (&json!("UNDETERMINED"), &json!("TLS 1.3")));
}

#[test]
fn quic_has_the_rest_of_its_handshake_in_ja4plus() {
    let quic = Some(CowArc::new(QuicAttributes { version: 1 }));
    let mut record = connection(flow(), Attributes { quic, ..(*attributes(tls())).clone() });
    history(&mut record, &[(Method::Ja4, 1, "q"), (Method::Ja4s, 1, "s")]);
    let event = event("ja4s", &record);
    assert_eq!(event["quic"], json!({ "version": "1", "sni": "example.org", "ja4": "q" }));
    let of_tls = json!({ "version": "TLS 1.3", "alpn": ["h2", "http/1.1"], "cipher": "0x1301", "group": "0x11ec" });
    assert_eq!(event["ja4plus"], json!({ "tls": of_tls, "ja4": { "ja4s": ["s"] } }));
}

#[test]
fn a_dtls_handshake_is_in_the_flow() {
    let tls = TlsAttributes { version: Some("DTLS 1.2"), is_dtls: Some(true), ..tls() };
    let mut record = connection(flow(), attributes(tls));
    history(&mut record, &[(Method::Ja4, 1, "d")]);
    let event = event("fingerprint,connection", &record);
    assert_eq!((&event["event_type"], event.get("app_proto")), (&json!("flow"), None));
    let plus = &event["ja4plus"];
    assert_eq!((&plus["app_proto"], &plus["tls"]["version"]), (&json!("dtls"), &json!("DTLS 1.2")));
    assert_eq!((&plus["tls"]["sni"], &plus["ja4"]["ja4"][0]), (&json!("example.org"), &json!("d")));
}

#[test]
fn a_date_that_the_schema_rejects_is_in_ja4plus() {
    // 9999-12-31T23:59:59: the certificate does not expire (RFC 5280, section 4.1.2.5).
    let certificate = CertificateAttributes { not_after: Some(253_402_300_799), ..certificate() };
    let tls = TlsAttributes { certificate: Some(Box::new(certificate)), ..tls() };
    let event = event("ja4", &connection(flow(), attributes(tls)));
    assert_eq!((event["tls"].get("notafter"), &event["tls"]["notbefore"]), (None, &json!("2026-11-01T00:00:00")));
    assert_eq!(event["ja4plus"]["tls"]["notafter"], "9999-12-31T23:59:59");
}

/// Returns the event of the message that gave a fingerprint.
fn message(method: Method, attributes: Attributes) -> Value {
    let record = connection(flow(), attributes);
    let event = FingerprintEvent { method, value: "value", cause: cause(), ..fingerprint() };
    let lines = lines("fingerprint", |eve, out| eve.fingerprint(&event, &record, Some(&seen()), out));
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[test]
fn each_request_has_its_event() {
    let attributes = Attributes { http: known().http, ..Attributes::default() };
    let http = message(Method::Ja4h, attributes.clone());
    assert_eq!((&http["event_type"], &http["pcap_cnt"]), (&json!("http"), &json!(12)));
    let (host, agent) = ("www.example.org", "curl/8.5.0");
    assert_eq!(
        http["http"],
        json!({ "hostname": host, "http_user_agent": agent, "http_method": "GET", "protocol": "HTTP/1.1" })
    );
    let plus = &http["ja4plus"];
    assert_eq!((&plus["ja4"]["ja4h"], &plus["label"]["name"]), (&json!(["value"]), &json!("Chromium")));
    // Without its fingerprint, it has one at the end of the connection.
    assert_eq!(event("ja4h", &connection(flow(), attributes))["http"]["http_method"], "GET");

    let of_host = |host: &str| {
        let request =
            HttpAttributes { version: Some("HTTP/2"), host: Some(host.to_owned()), ..HttpAttributes::default() };
        message(Method::Ja4h, Attributes { http: Some(CowArc::new(request)), ..Attributes::default() })
    };
    let http2 = of_host("[2001:db8::1]:8443");
    assert_eq!(http2["http"], json!({ "hostname": "[2001:db8::1]", "http_port": 8443, "version": "2" }));
    assert_eq!(http2["app_proto"], "http2");
    for host in ["[2001:db8::1]", "2001:db8::1", "a.example:", "a.example:http", "a.example:99999"] {
        assert_eq!(of_host(host)["http"], json!({ "hostname": host, "version": "2" }));
    }
}

#[test]
fn each_dhcp_message_has_its_event() {
    let attributes = Attributes { dhcp: known().dhcp, ..Attributes::default() };
    let dhcp = message(Method::Ja4d, attributes.clone());
    let names = json!({
        "hostname": "printer-2", "vendor_class_identifier": "MSFT 5.0", "client_mac": "02:00:00:00:00:01"
    });
    assert_eq!((&dhcp["event_type"], &dhcp["dhcp"]), (&json!("dhcp"), &names));
    assert_eq!(dhcp["ja4plus"]["ja4"]["ja4d"], json!(["value"]));
    assert_eq!(event("ja4d,ja4d6", &connection(flow(), attributes))["dhcp"], names);
}

#[test]
fn other_fingerprints_have_no_lines_of_their_own() {
    let none = lines("fingerprint", |eve, out| eve.fingerprint(&fingerprint(), &record(), None, out));
    assert!(none.is_empty(), "{none:?}");
}

#[test]
fn ssh_has_suricatas_object() {
    let mut record = connection(flow(), Attributes { ssh: known().ssh, ..Attributes::default() });
    history(&mut record, &[(Method::Ja4ssh, 1, "c36s36"), (Method::Ja4ssh, 2, "c76s76")]);
    let event = event("ja4ssh", &record);
    assert_eq!(event["ssh"]["client"]["software_version"], "OpenSSH_9.6");
    assert_eq!(event["ssh"]["server"]["hassh"]["hash"], "fedcba9876543210fedcba9876543210");
    assert_eq!(event["ja4plus"]["ja4"]["ja4ssh"], json!(["c36s36", "c76s76"]));
}

#[test]
fn states_and_reasons_are_those_of_suricata() {
    for (how, packets, expected) in [
        (EndReason::Fin, [5, 5], ("closed", "timeout")),
        (EndReason::Rst, [1, 1], ("closed", "timeout")),
        (EndReason::Idle, [5, 5], ("established", "timeout")),
        (EndReason::Idle, [1, 0], ("new", "timeout")),
        (EndReason::Evicted, [5, 5], ("established", "forced")),
        (EndReason::Reused, [5, 5], ("closed", "tcp_reuse")),
        (EndReason::Open, [5, 5], ("established", "shutdown")),
    ] {
        let record = connection(flow(), SharedAttributes::default());
        let event = event("connection", &ConnectionRecord { ended: Some(how), packets: packets.into(), ..record });
        let text = |name: &str| event["flow"][name].as_str().unwrap().to_owned();
        assert_eq!((&*text("state"), &*text("reason")), expected, "{how:?} {packets:?}");
    }
}

#[test]
fn an_alert_is_a_signature() {
    let of = |alert: &Alert| lines("alert", |eve, out| eve.alert(alert, None, out)).concat();
    assert_eq!(
        of(&alert()),
        concat!(
            r#"{"timestamp":"2026-11-23T07:00:00.123456+0000","flow_id":1811942318310512,"in_iface":"eth0","#,
            r#""pcap_cnt":12,"event_type":"alert","vlan":[100],"src_ip":"10.0.0.1","src_port":51234,"#,
            r#""dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","ip_v":4,"#,
            r#""community_id":"1:3Wq31B/svcJh3Oj7C0+oub5devI=","host":"web1","#,
            r#""alert":{"action":"allowed","gid":1,"signature_id":1400001,"rev":1,"#,
            r#""signature":"a fingerprint is known to be bad","category":"c2","severity":2},"#,
            r#""ja4plus":{"rule":"known_bad","severity":"high","#,
            r#""reason":"ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver","group":{"src_ip":"10.0.0.1"},"#,
            r#""confidence":40,"suppressed":3,"ja4":{"ja4":["t13d190900_9dc949149365_97f8aa674fd9"]}}}"#,
        )
    );
    let id = |alert: &Alert| serde_json::from_str::<Value>(&of(alert)).unwrap()["alert"]["signature_id"].clone();
    assert_eq!(id(&Alert { sid: NonZeroU32::new(7), ..alert() }), 7);
    assert_eq!(id(&Alert { rule: "own_rule".into(), flow: None, ..alert() }), 1_175_872_990);
}

#[test]
fn statistics_have_suricatas_names_where_it_has_one() {
    let (mut record, mut kernel) = (CounterGroup::default(), CounterGroup::default());
    kernel.count("seen", 50).count("ring_full", 2).count("rate_limited", 3).count("wakeups", 4);
    record.count("uptime_ms", 61_999).group("kernel", kernel);
    assert_eq!(
        lines("stats", |eve, out| eve.stats(TIME, &record, out)).concat(),
        concat!(
            r#"{"timestamp":"2026-11-23T07:00:00.123456+0000","event_type":"stats","host":"web1","#,
            r#""stats":{"uptime":61,"capture":{"kernel_packets":50,"kernel_drops":5}},"#,
            r#""ja4plus":{"uptime_ms":61999,"kernel":{"seen":50,"ring_full":2,"rate_limited":3,"wakeups":4}}}"#,
        )
    );
}
