use std::net::SocketAddr;

use ja4_common::flow::{FlowKey, client};
use ja4_common::headers::PacketHeaders;
use ja4_common::vlan::VlanTags;

use super::*;

/// A flow from a client to a server.
#[derive(Clone, Copy, Debug)]
struct ExampleFlow {
    proto: u8,
    client: &'static str,
    server: &'static str,
    tags: &'static [u16],
}

const WEB: ExampleFlow = ExampleFlow { proto: 6, client: "10.1.2.3:50000", server: "192.0.2.7:443", tags: &[] };
const QUIC: ExampleFlow = ExampleFlow { proto: 17, ..WEB };
const SIX: ExampleFlow = ExampleFlow { client: "[2001:db8::1]:50000", server: "[2001:db8:ffff::2]:443", ..WEB };
const TAGGED: ExampleFlow = ExampleFlow { tags: &[5, 0], ..WEB };

fn half(address: SocketAddr) -> [u64; 2] {
    match address.ip() {
        std::net::IpAddr::V4(address) => [0, address.to_bits().into()],
        std::net::IpAddr::V6(address) => [(address.to_bits() >> 64) as u64, address.to_bits() as u64],
    }
}

/// Whether a flow matches, with and without a known client.
fn matches(expression: &str, flow: ExampleFlow) -> [bool; 2] {
    let filter =
        expression.parse::<FilterExpression>().unwrap_or_else(|error| panic!("{expression}: {error}")).compiled();
    let [from, to] = [flow.client, flow.server].map(|end| end.parse::<SocketAddr>().unwrap());
    let (key, sender) = FlowKey::of(&PacketHeaders {
        src: half(from),
        src_port: from.port(),
        dst: half(to),
        dst_port: to.port(),
        proto: flow.proto,
        version: if from.is_ipv4() { 4 } else { 6 },
        ..PacketHeaders::default()
    });
    let tags: VlanTags = flow.tags.iter().copied().collect();
    [sender as u8, client::UNKNOWN].map(|client| filter.accepts(filter.matching_terms(&key, client, tags)))
}

/// Asserts that a flow matches or not; whether its client is known makes no difference.
fn assert_matches(expression: &str, flow: ExampleFlow, expected: bool) {
    assert_eq!(matches(expression, flow), [expected; 2], "{expression}: {flow:?}");
}

#[test]
fn each_primitive_tests_what_it_names() {
    let cases: [(&str, &[ExampleFlow], &[ExampleFlow]); 21] = [
        ("tcp", &[WEB, SIX], &[QUIC]),
        ("udp", &[QUIC], &[WEB]),
        ("icmp", &[], &[WEB, QUIC, SIX]),
        ("ip", &[WEB, QUIC], &[SIX]),
        ("ip6", &[SIX], &[WEB]),
        ("host 10.1.2.3", &[WEB], &[SIX]),
        ("host 192.0.2.7", &[WEB], &[]),
        ("host 2001:db8::1", &[SIX], &[WEB]),
        ("host 10.1.2.4", &[], &[WEB, SIX]),
        ("net 10.0.0.0/8", &[WEB], &[SIX]),
        ("net 10.1", &[WEB], &[]),
        ("net 10.1.2.0 mask 255.255.255.0", &[WEB], &[]),
        ("net 0.0.0.0/0", &[WEB], &[SIX]),
        ("net 2001:db8:ffff::/48", &[SIX], &[WEB]),
        ("net ::/0", &[SIX], &[WEB]),
        ("port 443", &[WEB, QUIC, SIX], &[]),
        ("tcp port 443", &[WEB], &[QUIC]),
        ("portrange 440-443", &[WEB], &[]),
        ("portrange 444-49999", &[], &[WEB]),
        ("vlan", &[TAGGED], &[WEB]),
        ("vlan 5", &[TAGGED], &[WEB]),
    ];
    for (expression, matching, others) in cases {
        matching.iter().for_each(|flow| assert_matches(expression, *flow, true));
        others.iter().for_each(|flow| assert_matches(expression, *flow, false));
    }
    assert_matches("vlan 0", TAGGED, true);
    assert_matches("vlan 6", TAGGED, false);
    // The IPv4 address is not the end of an IPv6 address.
    assert_matches("net 0.0.0.0/8", ExampleFlow { client: "[::1]:5", server: "[::2]:6", ..WEB }, false);
}

#[test]
fn src_is_the_client_and_dst_the_server() {
    for (expression, expected) in [
        ("src host 10.1.2.3", true),
        ("dst host 10.1.2.3", false),
        ("src 10.1.2.3", true),
        ("dst net 192.0.2.0/24", true),
        ("src net 192.0.2.0/24", false),
        ("dst port 443", true),
        ("src port 443", false),
        ("src portrange 50000-50001", true),
        ("tcp dst port 443", true),
        ("src or dst port 443", true),
    ] {
        // Either end may be the client if it is not known.
        assert_eq!(matches(expression, WEB), [expected, true], "{expression}");
        assert!(matches(expression, ExampleFlow { client: WEB.server, server: WEB.client, ..WEB })[1], "{expression}");
    }
}

#[test]
fn operators_associate_as_in_pcap_filter() {
    for (expression, expected) in [
        ("not port 443", false),
        ("! port 443", false),
        ("!port 80", true),
        ("not not port 443", true),
        // From left to right: (tcp or udp) and port 80.
        ("tcp or udp and port 80", false),
        ("tcp or (udp and port 80)", true),
        ("tcp || udp && port 80", false),
        // `not` binds more tightly than `and`.
        ("not udp and port 443", true),
        ("not (udp and port 443)", true),
        ("(((tcp)))and(port 443)", true),
        ("port 80 or 443", true),
        ("port 80 or 8443", false),
        ("host 10.9.9.9 or 192.0.2.7", true),
        ("dst host 10.9.9.9 or 10.1.2.3", false),
        ("host 10.1.2.3 and not port 80", true),
    ] {
        assert_eq!(matches(expression, WEB)[0], expected, "{expression}");
    }
}

#[test]
fn a_filter_has_eight_different_terms() {
    let ports = |count: usize| (1..=count).map(|port| format!("port {port}")).collect::<Vec<_>>().join(" or ");
    for port in 1..=8_u16 {
        let server: &'static str = format!("192.0.2.7:{port}").leak();
        assert_matches(&ports(8), ExampleFlow { server, ..WEB }, true);
    }
    assert_matches(&ports(8), WEB, false);
    assert_matches(&format!("({}) and ({})", ports(8), ports(8)), WEB, false);
    let error = ports(9).parse::<FilterExpression>().unwrap_err();
    assert_eq!(error.to_string(), "has 9 terms; name at most 8");
}

#[test]
fn an_error_names_its_position_and_the_fix() {
    let primitives = "expected host, net, port, portrange, src, dst, tcp, udp, icmp, ip, ip6, vlan, not or '('";
    for (expression, expected) in [
        ("", "is empty; name a primitive such as 'port 443', or leave the filter out"),
        ("host", "character 5: expected an address after 'host', found the end"),
        (
            "tcp and host example.org",
            "character 14: expected an address after 'host', found 'example.org'; names are not resolved",
        ),
        (
            "host 10.0.0.0/8",
            "character 6: expected an address after 'host', found '10.0.0.0/8'; write 'net' before a network",
        ),
        ("net 10.1.0.0/8", "character 5: 10.1.0.0 has bits after the first 8; write them as 0, or use 'host'"),
        (
            "net 10.0.0.0/33",
            "character 5: expected a network after 'net', found '10.0.0.0/33'; write it as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            "net 10.0.0.0 mask 255.0.255.0",
            "character 19: expected a mask such as 255.255.0.0 after 'mask', found '255.0.255.0'",
        ),
        ("port https", "character 6: expected a port number after 'port', found 'https'"),
        ("port 65536", "character 6: expected a port number after 'port', found '65536'"),
        ("portrange 9-8", "character 11: expected a range of ports such as 8000-8099 after 'portrange', found '9-8'"),
        (
            "vlan 4096",
            "character 6: expected a number from 0 to 4095, 'and', 'or' or the end after 'vlan', found '4096'",
        ),
        ("(tcp", "character 5: expected 'and', 'or' or ')', found the end"),
        ("tcp)", "character 4: expected 'and', 'or' or the end, found ')'"),
        ("tcp udp", "character 5: expected 'and', 'or' or the end, found 'udp'"),
        ("tcp host 10.0.0.1", "character 10: 'tcp' does not qualify an address; write 'tcp and' before it"),
        ("ip host 2001:db8::1", "character 9: expected an IPv4 address after 'ip', found '2001:db8::1'"),
        (
            "src and dst net 10.0.0.0/8",
            "character 5: 'src and dst' is not supported; write two primitives, such as 'src net N and dst net N'",
        ),
    ] {
        assert_eq!(expression.parse::<FilterExpression>().unwrap_err().to_string(), expected, "{expression}");
    }
    for (expression, character, found) in [
        ("ether host 1:2:3:4:5:6", 1, "'ether'"),
        ("tcp and", 8, "the end"),
        ("port 80 or https", 12, "'https'"),
        ("é and tcp", 1, "'é'"),
        ("tcp and é", 9, "'é'"),
    ] {
        let error = expression.parse::<FilterExpression>().unwrap_err().to_string();
        assert_eq!(error, format!("character {character}: {primitives}, found {found}"));
    }
    for identifier in ["80", "10.0.0.1", "10.0.0.0/8", "2001:db8::1"] {
        let error = identifier.parse::<FilterExpression>().unwrap_err().to_string();
        let fix = "write 'host', 'net' or 'port' before it";
        assert_eq!(error, format!("character 1: {primitives}, found '{identifier}'; {fix}"));
    }
}

#[test]
fn deep_parentheses_are_refused() {
    let nested = |depth| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth)).parse::<FilterExpression>();
    assert!(nested(32).is_ok());
    assert_eq!(
        nested(100_000).unwrap_err().to_string(),
        "character 33: more than 32 levels of parentheses; remove some"
    );
    assert!(format!("{}tcp", "not ".repeat(100_000)).parse::<FilterExpression>().is_ok());
}
