//! Connection attributes other than fingerprints, from the packets to the event.

use serde_json::json;

use super::*;

use tests::conversation::UdpConversation;
use tests::hello_builder::{self, HelloMessageBuilder};
use tests::packets::Sender;
use tests::{certificate, quic};

/// Returns the only connection event.
fn connection(events: &[Value]) -> &Value {
    let found = events::of_type(events, "connection");
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0]
}

/// Returns a `server_name` list (RFC 6066, section 3) with this host name.
fn server_name(name: &str) -> Vec<u8> {
    let entry = [&[0, 0, name.len() as u8][..], name.as_bytes()].concat();
    [&[0, entry.len() as u8][..], &entry].concat()
}

#[test]
fn tls_attributes_of_a_connection() {
    let client = HelloMessageBuilder::new(0x0303, &[0xc02f, 0xc02b]).extension(0, &server_name("www.example.org"));
    let client = client.alpn(&[b"h2", b"http/1.1"]).extension(0xfe0d, &[0]);
    let server = HelloMessageBuilder::new(0x0303, &[0xc02f]).alpn(&[b"http/1.1"]);
    let body =
        certificate::message(&[&certificate::leaf("www.example.org").build(), &certificate::authority().build()]);
    let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    let flight = [server.server(), message, vec![14, 0, 0, 0]].concat();
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&hello::records(&client.client(), usize::MAX));
    conversation.server(&hello::records(&flight, 16_000)).close();
    let events = replay(&conversation);
    let offered = json!({
        "sni": "www.example.org", "version": "TLS 1.2", "alpn": ["h2", "http/1.1"], "ech": true,
    });
    assert_eq!(only(&events, "ja4")["tls"], offered);
    assert_eq!(
        connection(&events)["tls"],
        json!({
            "sni": "www.example.org", "version": "TLS 1.2", "alpn": ["h2", "http/1.1"], "ech": true,
            "alpn_chosen": "http/1.1", "cipher": "0xc02f",
            // Attributes of the leaf certificate, which has two names.
            "subject_cn": "www.example.org", "issuer_cn": "R11",
            "notbefore": "2025-01-01T00:00:00", "notafter": "2025-12-31T23:59:59", "san_count": 2,
        })
    );
}

/// The group of a HelloRetryRequest is known at once, and is that of the ServerHello after it.
#[test]
fn tls_group_of_a_server_hello_or_a_hello_retry_request() {
    let client = hello::records(&HelloMessageBuilder::new(0x0303, &[0x1301]).versions(&[0x0304]).client(), usize::MAX);
    let server =
        |group: &[u8]| HelloMessageBuilder::new(0x0303, &[0x1301]).extension(0x002b, &[3, 4]).extension(0x0033, group);
    let retry = server(&[0x11, 0xec]).random(hello_builder::RETRY).server();
    let server_hello = server(&[0x11, 0xec, 0, 2, 7, 7]).server();
    for messages in [vec![&server_hello], vec![&retry], vec![&retry, &server_hello]] {
        let mut conversation = TcpConversation::new();
        conversation.handshake();
        for server_hello in messages {
            conversation.client(&client).server(&hello::records(server_hello, usize::MAX));
        }
        conversation.close();
        let events = replay(&conversation);
        assert_eq!(only(&events, "ja4s")["tls"]["group"], "0x11ec");
        assert_eq!(connection(&events)["tls"]["group"], "0x11ec");
    }
}

/// Returns a KEXINIT (RFC 4253, section 7.1) with these lists, one host key algorithm and no languages.
fn kex_init(kex: &str, [encryption, mac, compression]: [[&str; 2]; 3]) -> Vec<u8> {
    let lists = [kex, "ssh-ed25519"].into_iter().chain(encryption).chain(mac).chain(compression).chain(["", ""]);
    let mut payload = [&[20][..], &[7; 16]].concat();
    for list in lists {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    payload.resize(payload.len() + padding, 0);
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[padding as u8], &payload].concat()
}

#[test]
fn ssh_attributes_of_both_sides() {
    let client = kex_init(
        "curve25519-sha256,ext-info-c",
        [
            ["aes128-ctr,aes256-ctr", "chacha20-poly1305@openssh.com"],
            ["hmac-sha2-256", "umac-64-etm@openssh.com"],
            ["none", "zlib"],
        ],
    );
    let server = kex_init(
        "curve25519-sha256,ecdh-sha2-nistp256",
        [["aes256-ctr", "aes128-gcm@openssh.com"], ["hmac-sha1", "hmac-sha2-512"], ["zlib@openssh.com", "none"]],
    );
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    conversation.handshake().client(b"SSH-2.0-PuTTY_Release_0.81\r\n").server(b"SSH-2.0-OpenSSH_9.7 Debian-1\r\n");
    conversation.client(&client).server(&server).close();
    // MD5 (by md5sum) of each side's lists for its own sending direction, joined by semicolons.
    assert_eq!(
        connection(&replay(&conversation))["ssh"],
        json!({
            "client": {
                "proto_version": "2.0", "software_version": "PuTTY_Release_0.81",
                "hassh": {"hash": "dbf9d92c1b608e8e98aafda4ea75bf92"},
            },
            "server": {
                "proto_version": "2.0", "software_version": "OpenSSH_9.7",
                "hassh": {"hash": "4ef29d1e33a7a84596421e10e47cc501"},
            },
        })
    );
}

#[test]
fn http_attributes_of_a_connection() {
    let request = "PUT /a?b=c HTTP/1.1\r\nHost: files.example.org:8080\r\nUser-Agent: tool/1.0 (unix)\r\n\r\n";
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:8080");
    conversation.handshake().client(request.as_bytes()).close();
    let http = json!({
        "hostname": "files.example.org:8080", "http_user_agent": "tool/1.0 (unix)", "http_method": "PUT",
        "protocol": "HTTP/1.1",
    });
    let events = replay(&conversation);
    assert_eq!((&only(&events, "ja4h")["http"], &connection(&events)["http"]), (&http, &http));
}

#[test]
fn quic_attributes_of_a_connection() {
    let ends = quic::QuicEnds::new(&[1; 8], &[0x81; 8]);
    let hello = Shape::Go.client_hello("example.org", &mut SplitMix64::new(1));
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    conversation.client(&ends.initial(Sender::Client, 0, &quic::crypto(0, &hello)));
    let events = replay_packets(conversation.packets(), &[]);
    let connection = connection(&events);
    assert_eq!((&connection["quic"], &connection["app_proto"]), (&json!({"version": "1"}), &"quic".into()));
    assert_eq!((&connection["tls"]["sni"], &connection["tls"]["version"]), (&"example.org".into(), &"TLS 1.3".into()));
}

#[test]
fn dhcp_attributes_of_a_connection() {
    let mac = [2, 0, 0, 0, 0, 1];
    let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    conversation.client(&tests::dhcp::client_v4(1, mac));
    let dhcp = json!({
        "hostname": "desktop-7", "vendor_class_identifier": "android-dhcp-14", "client_mac": "02:00:00:00:00:01",
    });
    let events = replay_packets(conversation.packets(), &[]);
    assert_eq!((&only(&events, "ja4d")["dhcp"], &connection(&events)["dhcp"]), (&dhcp, &dhcp));
}
