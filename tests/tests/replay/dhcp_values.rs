//! JA4D and JA4D6 of messages that are not in public captures (specification, sections 11 and 12).

use super::*;

use tests::conversation::UdpConversation;

/// Returns a BOOTP message with these options after the magic cookie (RFC 2131, section 2); `relay` is the
/// address of the relay agent.
fn message(relay: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, u8::from(relay != [0; 4])];
    message.extend([0x39, 0x03, 0xf3, 0x26, 0, 0, 0, 0]);
    message.extend([0; 12]);
    message.extend(relay);
    message.extend([2, 0, 0, 0, 0, 1]);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    message
}

/// Returns a DHCP option (RFC 2132).
fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8], value].concat()
}

/// Returns a message with message type, these options and END.
fn typed(kind: u8, options: &[&[u8]]) -> Vec<u8> {
    message([0; 4], &[&option(53, &[kind]), &options.concat(), &[255][..]].concat())
}

/// Returns the JA4D of each message of a client.
fn ja4d(messages: &[Vec<u8>]) -> Vec<String> {
    let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    for message in messages {
        conversation.client(message);
    }
    values_of(&conversation, "ja4d")
}

fn values_of(conversation: &UdpConversation, kind: &str) -> Vec<String> {
    values(&replay_packets(conversation.packets(), &[]), kind).into_iter().map(str::to_owned).collect()
}

#[test]
fn ja4d_of_messages_with_a_size_and_a_name() {
    let client = option(61, &[1, 2, 0, 0, 0, 0, 1]);
    let list = option(55, &[1, 3, 6]);
    let name = option(81, b"\0\0\0host.example.org");
    let address = option(50, &[10, 0, 0, 9]);
    let host = option(12, b"host");
    // 1500 is 0x05dc. Options 53, 50 and 81 are not in the option list; 57 is.
    let size = option(57, &[0x05, 0xdc]);
    let values = ja4d(&[
        typed(1, &[&client, &address, &size, &name, &host, &list]),
        typed(3, &[&client, &size, &option(81, &[1, 0, 0]), &list]),
        typed(1, &[&option(57, &[0xff, 0xff])]),
        typed(1, &[&option(57, &[0x27, 0x0f]), &address]),
        typed(1, &[&option(57, &[0x27, 0x10])]),
    ]);
    let expected = [
        "disco1500id_61-57-12-55_1-3-6",
        "reqst1500nd_61-57-55_1-3-6", // a name of no letters is present
        "disco9999nn_57_00",
        "disco9999in_57_00", // 9999
        "disco9999nn_57_00", // 10000
    ];
    assert_eq!(values, expected);
}

#[test]
fn ja4d_without_listed_options_prints_zeros() {
    let padded = [&[0, 0][..], &option(53, &[1]), &[0], &option(12, b"h"), &[0, 0], &option(55, &[]), &[255, 0, 0]];
    let values = ja4d(&[
        typed(5, &[]),
        typed(5, &[&option(50, &[10, 0, 0, 9])]),
        message([0; 4], &padded.concat()),
        // Bytes after END are not options.
        message([0; 4], &[&option(53, &[1])[..], &[255], &option(61, &[1])].concat()),
    ]);
    assert_eq!(values, ["dpack0000nn_00_00", "dpack0000in_00_00", "disco0000nn_12-55_00", "disco0000nn_00_00"]);
}

#[test]
fn every_dhcp_message_type_has_its_name() {
    const NAMES: [&str; 18] = [
        "disco", "offer", "reqst", "decln", "dpack", "dpnak", "relse", "infor", "frenw", "lqery", "lunas", "lunkn",
        "lactv", "blklq", "lqdon", "actlq", "lqsta", "dhtls",
    ];
    let messages: Vec<_> = (1..=18).map(|kind| typed(kind, &[&option(61, &[1])])).collect();
    assert_eq!(ja4d(&messages), NAMES.map(|name| format!("{name}0000nn_61_00")));

    let bootp = message([0; 4], &[&option(12, b"host")[..], &[255]].concat());
    let values = ja4d(&[typed(42, &[]), typed(255, &[]), bootp]);
    assert_eq!(values, ["000420000nn_00_00", "002550000nn_00_00", "000000000nn_12_00"]);
}

#[test]
fn ja4d_of_a_relayed_message() {
    let options = [option(53, &[1]), option(61, &[1, 2, 0, 0, 0, 0, 1]), option(55, &[1, 3])].concat();
    let agent = option(82, &[1, 4, 0, 0, 0, 7]);
    let relayed = message([10, 0, 0, 3], &[&options[..], &agent, &[255]].concat());
    let mut conversation = UdpConversation::between("10.0.0.3:67", "10.0.1.2:67");
    conversation.client(&relayed);
    assert_eq!(values_of(&conversation, "ja4d"), ["disco0000nn_61-55-82_1-3"]);
}

/// Returns a DHCPv6 option (RFC 8415, section 21.1).
fn option6(code: u16, value: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(value.len() as u16).to_be_bytes(), value].concat()
}

/// Returns a DHCPv6 message (RFC 8415, section 8).
fn message6(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [&[kind, 1, 2, 3][..], &options.concat()].concat()
}

/// Returns a relay message that contains another, after the Interface-Id option (RFC 8415, section 9).
fn relayed6(kind: u8, hops: u8, inner: &[u8]) -> Vec<u8> {
    [&[kind, hops][..], &[0x20; 32], &option6(18, b"eth0"), &option6(9, inner)].concat()
}

/// Returns the JA4D6 of each message of a client.
fn ja4d6(messages: &[Vec<u8>]) -> Vec<String> {
    let mut conversation = UdpConversation::between("[fe80::1]:546", "[ff02::1:2]:547");
    for message in messages {
        conversation.client(message);
    }
    values_of(&conversation, "ja4d6")
}

/// Returns a client identifier option with a DUID of 14 bytes.
fn client() -> Vec<u8> {
    option6(1, &[0, 1, 0, 1, 0x2c, 1, 2, 3, 2, 0, 0, 0, 0, 1])
}

fn option_request() -> Vec<u8> {
    option6(6, &[0, 23, 0, 24])
}

/// Returns an option with IAID, the two times (`IA_NA` and `IA_PD` only) and nested options.
fn association(code: u16, nested: &[u8]) -> Vec<u8> {
    let times = if code == 4 { 0 } else { 8 };
    option6(code, &[&[0, 0, 0, 1][..], &[0; 8][..times], nested].concat())
}

#[test]
fn ja4d6_of_messages_with_temporary_addresses_and_a_name() {
    let address = option6(5, &[0x20; 24]);
    let named = option6(39, b"\0\x04host\x07example\0");
    let values = ja4d6(&[
        message6(1, &[client(), option_request(), association(4, &address), named.clone()]),
        message6(3, &[client(), option_request(), association(4, &[]), association(3, &address)]),
        // Flags without a name.
        message6(1, &[client(), option6(39, &[0])]),
        message6(1, &[client(), named]),
    ]);
    let expected =
        ["solct0014id_1-6-4-5-39_23-24", "reqst0014in_1-6-4-3-5_23-24", "solct0014nn_1-39_00", "solct0014nd_1-39_00"];
    assert_eq!(values, expected);
}

#[test]
fn nested_dhcpv6_options_are_listed_in_order() {
    let status = option6(13, &[0, 2]);
    let prefix = option6(26, &[0; 25]);
    let mut conversation = UdpConversation::between("[fe80::1]:546", "[fe80::2]:547");
    conversation.client(&message6(11, &[]));
    conversation
        .server(&message6(7, &[client(), association(3, &status), association(25, &prefix), option6(2, &[0, 3])]));
    assert_eq!(values_of(&conversation, "ja4d6"), ["inreq0000nn_00_00", "reply0014nn_1-3-13-25-26-2_00"]);
}

#[test]
fn every_dhcpv6_message_type_has_its_name() {
    const NAMES: [&str; 37] = [
        "solct", "advrt", "reqst", "confm", "renew", "rebnd", "reply", "relse", "decln", "recon", "inreq", "rlayf",
        "rlayr", "query", "qrply", "qdone", "qdata", "rereq", "rrply", "v4qry", "v4res", "acqry", "sttls", "bdudp",
        "brply", "poreq", "pores", "urqst", "ureqa", "udone", "conne", "connr", "dconn", "state", "conta", "arinf",
        "arrep",
    ];
    // Relay messages have a different format.
    let numbered = || (1..).zip(NAMES).filter(|(kind, _)| !matches!(kind, 12 | 13));
    let messages: Vec<_> = numbered().map(|(kind, _)| message6(kind, &[client()])).collect();
    let expected: Vec<_> = numbered().map(|(_, name)| format!("{name}0014nn_1_00")).collect();
    assert_eq!(ja4d6(&messages), expected);
    assert_eq!(ja4d6(&[message6(200, &[client()])]), ["002000014nn_1_00"]);
}

/// Specification, section 15, point 4.
#[test]
fn the_innermost_message_of_a_relay_is_fingerprinted_once() {
    let inner = message6(1, &[client(), option_request(), option6(8, &[0, 0])]);
    let advertise = message6(2, &[association(25, &option6(26, &[0; 25])), client()]);
    let mut conversation = UdpConversation::between("[2001:db8::3]:547", "[2001:db8::2]:547");
    conversation.client(&relayed6(12, 0, &inner)).client(&relayed6(12, 1, &relayed6(12, 0, &inner)));
    conversation.server(&relayed6(13, 0, &advertise));
    let expected = ["solct0014nn_1-6-8_23-24", "solct0014nn_1-6-8_23-24", "advrt0014nn_25-26-1_00"];
    assert_eq!(values_of(&conversation, "ja4d6"), expected);
}

/// Returns the events of the first packet of a conversation, captured without its last `missing` bytes.
fn truncated_events(conversation: &UdpConversation, missing: usize) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cut.pcap");
    let mut pcap = PcapWriter::new(File::create(&file).unwrap(), 1).unwrap();
    let frame = &conversation.packets()[0].frame;
    pcap.cut(1, &frame[..frame.len() - missing], frame.len()).unwrap();
    pcap.finish().unwrap();
    Sensor::new().replay(&file)
}

fn truncated(events: &[Value]) -> u64 {
    let stats = events::of_type(events, "stats").pop().unwrap();
    // Reasons with a count of zero are not listed.
    stats["stats"]["shards"]["malformed"]["dhcp"]["truncated"].as_u64().unwrap_or(0)
}

#[test]
fn a_truncated_message_is_counted_and_has_no_value() {
    let mut four = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    four.client(&typed(1, &[&option(61, &[1, 2, 0, 0, 0, 0, 1]), &option(55, &[1, 3, 6])]));
    let mut six = UdpConversation::between("[fe80::1]:546", "[ff02::1:2]:547");
    six.client(&message6(1, &[client(), option_request()]));
    // The part before a cut between two options is parseable. Without END, more options may follow.
    for (conversation, missing, kind) in
        [(&four, 5 + 1, "ja4d"), (&four, 1, "ja4d"), (&six, option_request().len(), "ja4d6")]
    {
        let events = truncated_events(conversation, missing);
        assert_eq!(values(&events, kind), [""; 0]);
        assert_eq!(truncated(&events), 1);
    }
}

#[test]
fn a_message_truncated_after_its_end_option_is_complete() {
    let options = [&option(53, &[1])[..], &option(61, &[1]), &option(55, &[1, 3]), &[255], &[0; 30]].concat();
    let mut padded = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    padded.client(&message([0; 4], &options));
    for missing in [1, 29, 30] {
        let events = truncated_events(&padded, missing);
        assert_eq!(values(&events, "ja4d"), ["disco0000nn_61-55_1-3"], "{missing} bytes missing");
        assert_eq!(truncated(&events), 0);
    }
    let events = truncated_events(&padded, 31);
    assert_eq!((values(&events, "ja4d").len(), truncated(&events)), (0, 1));
}

/// Returns all fingerprints of these datagrams, each sent from the first port to the second.
fn between_ports(messages: &[((u16, u16), Vec<u8>)], hosts: (&str, &str)) -> Vec<String> {
    let mut packets = Vec::new();
    for (number, ((from, to), message)) in (0..).zip(messages) {
        let end = |host: &str, port: u16| format!("{host}:{port}");
        let mut conversation = UdpConversation::between(&end(hosts.0, *from), &end(hosts.1, *to));
        conversation.at(Duration::from_millis(number)).client(message);
        packets.extend_from_slice(conversation.packets());
    }
    let events = replay_packets(&packets, &[]);
    let text = |event: &&Value| event["fingerprint"]["value"].as_str().unwrap().to_owned();
    fingerprints(&events).iter().map(text).collect()
}

fn reply(kind: u8) -> Vec<u8> {
    let mut message = typed(kind, &[&option(54, &[10, 0, 0, 1])]);
    message[0] = 2;
    message
}

#[test]
fn dhcp_is_recognized_on_the_ports_of_clients_relays_and_boot_servers() {
    let discover = typed(1, &[&option(61, &[1])]);
    let request = typed(3, &[&option(93, &[0, 7])]);
    let values = between_ports(
        &[
            ((40_068, 67), discover.clone()),
            ((67, 40_068), reply(2)),
            ((1, 67), discover.clone()),
            // PXE: requests to port 4011 of the boot server, and replies from it or from any port.
            ((68, 4011), request.clone()),
            ((4011, 68), reply(5)),
            ((4011, 4011), request.clone()),
            ((4011, 50_000), reply(5)),
            ((50_000, 68), reply(2)),
        ],
        ("10.0.0.9", "10.0.0.1"),
    );
    let expected = [
        "disco0000nn_61_00",
        "offer0000nn_54_00",
        "disco0000nn_61_00",
        "reqst0000nn_93_00",
        "dpack0000nn_54_00",
        "reqst0000nn_93_00",
        "dpack0000nn_54_00",
        "offer0000nn_54_00",
    ];
    assert_eq!(values, expected);
    // A server may send from a DHCPv6 port to any port (RFC 8357).
    let relayed = relayed6(13, 0, &message6(7, &[client()]));
    let solicit = message6(1, &[client()]);
    let values = between_ports(
        &[((50_000, 547), solicit.clone()), ((547, 50_000), relayed), ((547, 50_001), solicit)],
        ("[fd00::9]", "[fd00::1]"),
    );
    assert_eq!(values, ["solct0014nn_1_00", "reply0014nn_1_00"]);
    // DHCPv6 runs over IPv6 only.
    let over_ipv4 = [((546, 547), message6(1, &[client()])), ((547, 546), message6(7, &[client()]))];
    assert!(between_ports(&over_ipv4, ("10.0.0.9", "10.0.0.1")).is_empty());
}

#[test]
fn other_traffic_on_dhcp_ports_is_not_dhcp() {
    let discover = typed(1, &[&option(61, &[1])]);
    let without_cookie = [&discover[..236], &[0; 4], &discover[240..]].concat();
    let mut neither = discover.clone();
    neither[0] = 3;
    let cases = [
        ((4011, 53), vec![7; 300]),
        ((53, 4011), vec![1; 300]),
        ((40_000, 67), without_cookie.clone()),
        ((4011, 68), without_cookie),
        ((40_000, 67), neither),
        ((40_000, 67), discover[..239].to_vec()),
        // Neither port is a DHCP port.
        ((40_000, 69), discover),
    ];
    let mut conversations = Vec::new();
    for ((from, to), payload) in &cases {
        let mut conversation = UdpConversation::between(&format!("10.0.0.9:{from}"), &format!("10.0.0.1:{to}"));
        conversation.client(payload);
        conversations.extend_from_slice(conversation.packets());
    }
    let events = replay_packets(&conversations, &[]);
    assert_eq!((fingerprints(&events).len(), events::of_type(&events, "connection").len()), (0, 0));
    let stats = events::of_type(&events, "stats").pop().unwrap();
    assert_eq!(events::stats_u64(stats, &["kernel", "unselected_by", "udp"]), cases.len() as u64);

    // A QUIC client may use such a port as its ephemeral port.
    let hello = Shape::Go.client_hello("one.example", &mut SplitMix64::new(1));
    let ends = tests::quic::QuicEnds::new(&[1; 8], &[0x81; 8]);
    let initial = ends.initial(packets::Sender::Client, 0, &tests::quic::crypto(0, &hello));
    let mut quic = UdpConversation::between("10.0.0.9:4011", "10.0.0.1:443");
    quic.client(&initial);
    assert_eq!(values(&replay_packets(quic.packets(), &[]), "ja4").len(), 1);
}

/// Returns a message with these bytes in its sname and file fields, zero-padded.
fn overloaded(sname: &[u8], file: &[u8], options: &[u8]) -> Vec<u8> {
    let mut message = message([0; 4], options);
    message[44..44 + sname.len()].copy_from_slice(sname);
    message[108..108 + file.len()].copy_from_slice(file);
    message
}

/// RFC 2131, section 4.1; specification, section 15, point 11.
#[test]
fn options_continue_in_file_and_then_in_sname() {
    let in_file = [&option(61, &[1])[..], &[0], &option(12, b"desktop"), &[255], &option(15, b"x")].concat();
    let in_sname = [&option(55, &[1, 3])[..], &[255]].concat();
    let options = |overload: &[u8]| [&option(53, &[3])[..], &option(52, overload), &option(60, b"v"), &[255]].concat();
    let messages: Vec<_> = [&[1][..], &[2], &[3], &[0], &[4], &[1, 1], &[]]
        .into_iter()
        .map(|overload| overloaded(&in_sname, &in_file, &options(overload)))
        .collect();
    let expected = [
        "reqst0000nn_52-60-61-12_00",
        "reqst0000nn_52-60-55_1-3",
        "reqst0000nn_52-60-61-12-55_1-3",
        // Invalid values of option 52.
        "reqst0000nn_52-60_00",
        "reqst0000nn_52-60_00",
        "reqst0000nn_52-60_00",
        "reqst0000nn_52-60_00",
    ];
    assert_eq!(ja4d(&messages), expected);
    // A field may be filled to its last byte, without END.
    let full = option(61, &[7; 126]);
    let message = overloaded(&[], &full, &options(&[1]));
    assert_eq!(ja4d(std::slice::from_ref(&message)), ["reqst0000nn_52-60-61_00"]);
    // Both fields precede the options, so missing bytes after END have no effect.
    let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    conversation.client(&[&message[..], &[0; 9]].concat());
    assert_eq!(values(&truncated_events(&conversation, 9), "ja4d"), ["reqst0000nn_52-60-61_00"]);
    // The client's host name is parsed from any of the fields.
    let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    conversation.client(&messages[0]);
    assert_eq!(host_and_class(&conversation)[0], ("desktop".to_owned(), "v".to_owned()));
}

/// Returns host name and vendor class of each event, the connection event last.
fn host_and_class(conversation: &UdpConversation) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = replay_packets(conversation.packets(), &[]);
    let with_attributes = fingerprints(&events).into_iter().chain(events::of_type(&events, "connection"));
    with_attributes
        .map(|event| (text(&event["dhcp"]["hostname"]), text(&event["dhcp"]["vendor_class_identifier"])))
        .collect()
}

#[test]
fn a_reply_keeps_the_attributes_of_its_client() {
    let mac = [2, 0, 0, 0, 0, 1];
    let attributes = |host: &str, class: &str| (host.to_owned(), class.to_owned());
    let client = attributes("desktop-7", "android-dhcp-14");
    let mut four = UdpConversation::between("192.0.2.77:68", "192.0.2.1:67");
    four.client(&tests::dhcp::client_v4(3, mac)).server(&tests::dhcp::server_v4(5, mac));
    assert_eq!(host_and_class(&four), vec![client.clone(); 3]);
    // A reply to another client, on the same connection.
    four.server(&tests::dhcp::server_v4(5, [2, 0, 0, 0, 0, 2]));
    assert_eq!(host_and_class(&four)[2..], [attributes("", ""), attributes("", "")]);

    let duid: &[u8] = &[0, 1, 0, 1, 0x2c, 0x11, 0x22, 0x33, 2, 0, 0, 0, 0, 1];
    let class: &[u8] = b"\0\0\x01\x37\0\x08MSFT 5.0";
    let mut six = UdpConversation::between("[2001:db8::5]:546", "[2001:db8::1]:547");
    six.client(&tests::dhcp::v6(5, [1, 2, 3], &[(1, duid), (39, b"\0\x04host\0"), (16, class)]));
    six.server(&tests::dhcp::server_v6(7, mac));
    assert_eq!(host_and_class(&six), vec![attributes("host", "MSFT 5.0"); 3]);
    six.server(&tests::dhcp::server_v6(7, [2, 0, 0, 0, 0, 2]));
    assert_eq!(host_and_class(&six)[2..], [attributes("", ""), attributes("", "")]);
}
