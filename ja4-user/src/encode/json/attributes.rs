//! What is known of a connection beside its fingerprints, as JSON objects.
//!
//! Each field and each object leaves a comma behind it; an object takes the last one back when it
//! closes. What is absent has no field, and an object without fields is not written.

use super::super::address::nibble;
use super::super::clock::date_time;
use super::super::quic_version::quic_version;
use super::{number, string};
use crate::model::{
    Attributes, CertificateAttributes, DhcpAttributes, HttpAttributes, Latency, QuicAttributes, SshAttributes,
    TlsAttributes,
};

/// The object of each protocol that is known, with a comma behind each.
#[inline]
pub(crate) fn attributes(known: &Attributes, out: &mut Vec<u8>) {
    let Attributes { tls: of_tls, quic: of_quic, http: of_http, ssh: of_ssh, dhcp: of_dhcp } = known;
    if let Some(known) = of_tls {
        object(br#""tls":{"#, out, |out| tls(known, out));
    }
    if let Some(known) = of_quic {
        quic(known, out);
    }
    if let Some(known) = of_http {
        object(br#""http":{"#, out, |out| http(known, out));
    }
    if let Some(known) = of_ssh {
        object(br#""ssh":{"#, out, |out| ssh(known, out));
    }
    if let Some(known) = of_dhcp {
        object(br#""dhcp":{"#, out, |out| dhcp(known, out));
    }
}

/// The object `certificate`, of the certificate that a JA4X describes.
pub(super) fn certificate(known: &CertificateAttributes, out: &mut Vec<u8>) {
    object(br#""certificate":{"#, out, |out| certificate_fields(known, out));
}

/// The object `latency`.
pub(super) fn latency(known: &Latency, out: &mut Vec<u8>) {
    let Latency { client, server, client_application, server_application } = *known;
    object(br#""latency":{"#, out, |out| {
        for (name, microseconds) in [
            (&br#""client_us":"#[..], client),
            (br#""server_us":"#, server),
            (br#""client_application_us":"#, client_application),
            (br#""server_application_us":"#, server_application),
        ] {
            if let Some(microseconds) = microseconds {
                out.extend_from_slice(name);
                number(microseconds, out);
                out.push(b',');
            }
        }
    });
}

fn tls(known: &TlsAttributes, out: &mut Vec<u8>) {
    text(br#""sni":""#, known.sni.as_deref(), out);
    text(br#""version":""#, known.version, out);
    if !known.alpn.is_empty() {
        out.extend_from_slice(br#""alpn":["#);
        for protocol in &known.alpn {
            text(b"\"", Some(protocol), out);
        }
        out.pop();
        out.extend_from_slice(b"],");
    }
    text(br#""alpn_chosen":""#, known.alpn_chosen.as_deref(), out);
    if let Some(cipher) = known.cipher {
        let [a, b, c, d] = [12, 8, 4, 0].map(|shift| nibble(cipher >> shift));
        out.extend_from_slice(br#""cipher":"0x"#);
        out.extend_from_slice(&[a, b, c, d, b'"', b',']);
    }
    if known.ech {
        out.extend_from_slice(br#""ech":true,"#);
    }
    if let Some(known) = &known.certificate {
        certificate_fields(known, out);
    }
}

fn certificate_fields(known: &CertificateAttributes, out: &mut Vec<u8>) {
    text(br#""subject_cn":""#, known.subject.as_deref(), out);
    text(br#""issuer_cn":""#, known.issuer.as_deref(), out);
    for (name, seconds) in [(&br#""notbefore":""#[..], known.not_before), (br#""notafter":""#, known.not_after)] {
        if let Some(seconds) = seconds {
            out.extend_from_slice(name);
            date_time(seconds, out);
            out.extend_from_slice(b"\",");
        }
    }
    out.extend_from_slice(br#""san_count":"#);
    number(known.san_count, out);
    out.push(b',');
}

fn quic(known: &QuicAttributes, out: &mut Vec<u8>) {
    out.extend_from_slice(br#""quic":{"version":""#);
    quic_version(known.version, out);
    out.extend_from_slice(b"\"},");
}

fn http(known: &HttpAttributes, out: &mut Vec<u8>) {
    text(br#""hostname":""#, known.host.as_deref(), out);
    text(br#""http_user_agent":""#, known.user_agent.as_deref(), out);
    text(br#""http_method":""#, known.method.as_deref(), out);
    text(br#""protocol":""#, known.version, out);
}

fn ssh(known: &SshAttributes, out: &mut Vec<u8>) {
    let names = [&br#""client":{"#[..], br#""server":{"#];
    for ((name, banner), hassh) in names.into_iter().zip(&known.banner).zip(&known.hassh) {
        object(name, out, |out| {
            let (version, software) = banner.as_deref().map_or((None, None), identification);
            text(br#""proto_version":""#, version, out);
            text(br#""software_version":""#, software, out);
            if let Some(hash) = hassh {
                object(br#""hassh":{"#, out, |out| text(br#""hash":""#, Some(hash), out));
            }
        });
    }
}

/// Versions of protocol and software in `SSH-protoversion-softwareversion SP comments` (RFC 4253
/// section 4.2). What is not of this form counts as the software's, whole.
fn identification(banner: &str) -> (Option<&str>, Option<&str>) {
    let versions = banner.strip_prefix("SSH-").and_then(|rest| rest.split_once('-'));
    let Some((protocol, rest)) = versions else {
        return (None, Some(banner));
    };
    let software = rest.split_once(' ').map_or(rest, |(software, _comments)| software);
    (Some(protocol), Some(software))
}

fn dhcp(known: &DhcpAttributes, out: &mut Vec<u8>) {
    text(br#""hostname":""#, known.host_name.as_deref(), out);
    text(br#""vendor_class_identifier":""#, known.vendor_class.as_deref(), out);
    text(br#""client_mac":""#, known.client_mac.as_deref(), out);
}

/// An object: `name` with its opening brace, and the fields that `write` appends.
#[inline]
pub(super) fn object(name: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(name);
    let opened = out.len();
    write(out);
    if out.len() == opened {
        out.truncate(start);
    } else {
        out.pop();
        out.extend_from_slice(b"},");
    }
}

/// A field of text: `name` with its opening quote, if there is a text.
#[inline]
pub(super) fn text(name: &[u8], text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        string(name, text, out);
        out.extend_from_slice(b"\",");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::super::tests::samples::{self, certificate as sample, known, tls as sample_tls};
    use super::*;
    use crate::model::CowArc;

    /// What is written, as a whole object's text without its braces.
    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_suffix(',').unwrap_or(&text).to_owned();
        assert!(serde_json::from_str::<Value>(&format!("{{{text}}}")).unwrap().is_object());
        text
    }

    fn all(known: &Attributes) -> String {
        written(|out| attributes(known, out))
    }

    #[test]
    fn tls_with_everything() {
        let tls = TlsAttributes {
            alpn_chosen: Some("h2".into()),
            ech: true,
            certificate: Some(Box::new(sample())),
            ..sample_tls()
        };
        assert_eq!(
            all(&samples::attributes(tls)),
            concat!(
                r#""tls":{"sni":"example.org","version":"TLS 1.3","alpn":["h2","http/1.1"],"alpn_chosen":"h2","#,
                r#""cipher":"0x1301","ech":true,"subject_cn":"www.example.org","issuer_cn":"Example CA","#,
                r#""notbefore":"2026-11-01T00:00:00","notafter":"2027-01-30T23:59:59","san_count":2}"#,
            ),
        );
    }

    #[test]
    fn a_certificate_by_itself() {
        let nothing = CertificateAttributes::default();
        assert_eq!(written(|out| certificate(&nothing, out)), r#""certificate":{"san_count":0}"#);
        let known = CertificateAttributes { issuer: None, not_before: Some(-1), not_after: None, ..sample() };
        assert_eq!(
            written(|out| certificate(&known, out)),
            r#""certificate":{"subject_cn":"www.example.org","notbefore":"1969-12-31T23:59:59","san_count":2}"#,
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
    fn latencies() {
        let known = Latency { client: Some(0), server: Some(15_000), ..Latency::default() };
        assert_eq!(written(|out| latency(&known, out)), r#""latency":{"client_us":0,"server_us":15000}"#);
        let known = Latency { client_application: Some(7), server_application: Some(u64::MAX), ..Latency::default() };
        assert_eq!(
            written(|out| latency(&known, out)),
            r#""latency":{"client_application_us":7,"server_application_us":18446744073709551615}"#,
        );
        assert_eq!(written(|out| latency(&Latency::default(), out)), "");
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
        let ssh = SshAttributes { hassh: [None, Some("ab".to_owned())], ..SshAttributes::default() };
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

    #[test]
    fn banners_split_at_their_marks() {
        let both = |version, software| (Some(version), Some(software));
        assert_eq!(identification("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"), both("2.0", "OpenSSH_9.2p1"));
        assert_eq!(identification("SSH-1.99-Cisco-1.25"), both("1.99", "Cisco-1.25"));
        assert_eq!(identification("SSH-2.0-"), both("2.0", ""));
        for odd in ["", "SSH-2.0", "ssh-2.0-x", "220 mail ESMTP"] {
            assert_eq!(identification(odd), (None, Some(odd)));
        }
    }

    proptest! {
        #[test]
        fn any_strings_come_back(
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
                ssh: Some(CowArc::new(SshAttributes { banner: software.clone(), hassh: hassh.clone() })),
                dhcp: Some(CowArc::new(DhcpAttributes { host_name, vendor_class, client_mac, duid: None })),
                quic: None,
            };
            let text = all(&known);
            prop_assert!(!text.chars().any(char::is_control));
            let parsed: Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
            let string = |object: &str, field: &str| parsed[object][field].as_str().map(str::to_owned);

            let printed = ["sni", "alpn_chosen", "cipher", "subject_cn", "issuer_cn"].map(|field| string("tls", field));
            prop_assert_eq!(printed[2].is_some(), tls[2].is_some());
            prop_assert_eq!([&printed[0], &printed[1], &printed[3], &printed[4]], [&tls[0], &tls[1], &tls[3], &tls[4]]);
            let protocols = parsed["tls"]["alpn"].as_array().cloned().unwrap_or_default();
            prop_assert_eq!(protocols, alpn.into_iter().map(Value::String).collect::<Vec<_>>());
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
}
