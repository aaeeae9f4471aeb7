//! Selection rules as a user would state them, checked in user space alone.

use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;
use ja4_common::reason::{PassReason, RecordClass};
use ja4_common::record::{FrameInfo, RecordHeader, flag};
use tests::fragment::Fragments;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::packets::{ACK, Envelope, Extension, FIN, PSH, SYN};

use crate::comparison::SEED;
use crate::frames::{
    KNOWN_VERSIONS, METHODS, OTHER_PORTS, OTHER_VERSIONS, Setting, carriers, dtls, initial, inner, long, other_tunnels,
    sized,
};
use crate::model::{FilterResult, Model};

/// Creates a filter without flows.
fn new_filter() -> Model {
    Model::new(FilterConfig::new(SEED))
}

fn filter(model: &mut Model, frame: &[u8]) -> FilterResult {
    let slice = SliceFrame { bytes: frame, wire_len: frame.len() };
    model.filter(&slice, ParseStart::Ethernet, FrameInfo::default())
}

/// Returns the class and the record header of a frame, if it is selected.
fn selected_record(model: &mut Model, frame: &[u8]) -> Option<(RecordClass, RecordHeader)> {
    let (header, _) = filter(model, frame).record?;
    Some((RecordClass::ALL[usize::from(header.class)], header))
}

fn class(model: &mut Model, frame: &[u8]) -> Option<RecordClass> {
    selected_record(model, frame).map(|(class, _)| class)
}

/// Returns the result for the same frame with headers that start `by` bytes later.
fn shifted(mut result: FilterResult, by: usize) -> FilterResult {
    if let Some((header, bytes)) = &mut result.record {
        let by = by as u16;
        for offset in [&mut header.l3, &mut header.l4, &mut header.payload] {
            *offset -= by;
        }
        header.wire_len -= u32::from(by);
        header.captured -= u32::from(by);
        for bytes in &mut header.counters.bytes {
            *bytes = bytes.saturating_sub(by.into());
        }
        let at = usize::from(header.l3);
        bytes.drain(..at + usize::from(by));
    }
    result
}

#[test]
fn packets_in_a_tunnel_are_filtered_as_outside_of_it() {
    for frame in inner() {
        let outside = shifted(filter(&mut new_filter(), &frame), 0);
        let through =
            carriers().into_iter().flat_map(|carrier| [carrier.wrap(&frame), carrier.reversed().wrap(&frame)]);
        for wrapped in through.chain(other_tunnels(&frame)) {
            let with_ports = FilterConfig { tunnel_ports: OTHER_PORTS, ..FilterConfig::new(SEED) };
            let inside = filter(&mut Model::new(with_ports), &wrapped);
            // Tunnels of IP packets omit the inner link header and tags.
            assert_eq!(shifted(inside, wrapped.len() - frame.len()), outside, "{wrapped:02x?}");
        }
    }
}

#[test]
fn packets_after_an_authentication_header_and_in_teredo_are_selected() {
    let setting = Setting { six: true, ..Setting::default() };
    let syn = setting.segment((5000, 443), 1, SYN, &[]);
    let wrapped = OuterLayer::Authentication.wrap(&Setting::default().segment((5000, 443), 1, SYN, &[]));
    assert_eq!(class(&mut new_filter(), &wrapped), Some(RecordClass::Syn));
    for (authentication, origin) in [(false, false), (false, true), (true, false), (true, true)] {
        let carrier = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Teredo { authentication, origin });
        for wrapped in [carrier.wrap(&syn), carrier.reversed().wrap(&syn)] {
            assert_eq!(class(&mut new_filter(), &wrapped), Some(RecordClass::Syn), "{authentication} {origin}");
        }
        // IPv4 is not carried, and a packet that does not fill the datagram is none.
        let other = carrier.wrap(&Setting::default().segment((5000, 443), 1, SYN, &[]));
        assert_eq!(class(&mut new_filter(), &other), None);
    }
}

#[test]
fn nested_tunnels_are_selected_as_complete_frames() {
    let [outer, middle] =
        [TunnelKind::Vxlan(1), TunnelKind::Ip].map(|kind| OuterLayer::between("192.0.2.1", "192.0.2.2", kind));
    let frame = outer.wrap(&middle.wrap(&Setting::default().segment((5000, 443), 1, SYN, &[])));
    let (class, header) = selected_record(&mut new_filter(), &frame).unwrap();
    assert_eq!((class, header.captured as usize), (RecordClass::Nested, frame.len()));
    // MPLS labels do not count as a tunnel.
    assert_eq!(
        self::class(&mut new_filter(), &OuterLayer::Mpls(vec![16, 17]).wrap(&outer.wrap(&inner()[0]))),
        Some(RecordClass::Syn)
    );
}

#[test]
fn too_many_gtp_extension_headers_make_no_tunnel() {
    let syn = Setting::default().segment((5000, 443), 1, SYN, &[]);
    for (count, expected) in [(4, Some(RecordClass::Syn)), (5, None), (6, None)] {
        // The contents of the extension headers look like the first byte of an IP header.
        let extensions = vec![(0x45, vec![0x45, 0x45]); count];
        let tunnel = TunnelKind::GtpU { teid: 1, sequence: None, extensions };
        let frame = OuterLayer::between("192.0.2.1", "192.0.2.2", tunnel).wrap(&syn);
        assert_eq!(class(&mut new_filter(), &frame), expected, "{count} extension headers");
    }
}

#[test]
fn every_http_method_starts_a_request_in_an_untracked_flow() {
    let setting = Setting::default();
    for method in METHODS {
        let line = format!("{method} /a HTTP/1.1\r\n\r\n");
        let at = |line: &str| class(&mut new_filter(), &setting.segment((5000, 8080), 77, PSH | ACK, line.as_bytes()));
        assert_eq!(at(&line), Some(RecordClass::Http), "{method}");
        assert_eq!(at(&line.to_ascii_lowercase()), None, "{method} in lower case");
        assert_eq!(at(&line.replacen(method, &"X".repeat(method.len()), 1)), None);
    }
}

#[test]
fn a_split_ssh_banner_is_recognized() {
    let setting = Setting::default();
    let ports = (5000, 2222);
    for at in 1..=9 {
        let mut model = new_filter();
        let (first, second) = b"SSH-2.0-a\r\n".split_at(at);
        class(&mut model, &setting.segment(ports, 0, SYN, &[]));
        // A single letter may be PostgreSQL's response to SSLRequest.
        let expected = if at == 1 { RecordClass::Tls } else { RecordClass::Ssh };
        assert_eq!(class(&mut model, &setting.segment(ports, 1, PSH | ACK, first)), Some(expected), "cut at {at}");
        let second = &second[..if at == 1 { 1 } else { second.len() }];
        let rest = setting.segment(ports, 1 + at as u32, PSH | ACK, second);
        assert_eq!(class(&mut model, &rest), Some(RecordClass::Ssh), "cut at {at}");
        // A bare ACK and a packet far beyond the budget are selected with headers only. A FIN has class `End`.
        let ack = setting.segment(ports, 99, ACK, &[]);
        let (kind, header) = selected_record(&mut model, &ack).unwrap();
        assert_eq!((kind, header.captured as usize), (RecordClass::Ssh, ack.len()));
        class(&mut model, &setting.segment(ports, 100, ACK, &[7; 9000]));
        let (kind, header) =
            selected_record(&mut model, &setting.segment(ports, 60_000, PSH | ACK, &[7; 500])).unwrap();
        assert_eq!((kind, header.payload_len), (RecordClass::Ssh, 500));
        assert_eq!((header.flags & flag::HEADERS_ONLY, header.captured), (flag::HEADERS_ONLY, 54));
        assert_eq!(class(&mut model, &setting.segment(ports, 60_500, FIN | ACK, &[])), Some(RecordClass::End));
    }
}

#[test]
fn the_first_payload_of_a_server_on_the_ssh_port_is_selected_as_ssh() {
    let setting = Setting::default();
    for (at, payload) in [(1, &b"S"[..]), (1, b"Hello"), (1, b"N"), (20, &[7; 40]), (2, b"SH-2.0-x\r\n")] {
        let mut model = new_filter();
        class(&mut model, &setting.segment((5000, 22), 0, SYN, &[]));
        class(&mut model, &setting.segment((22, 5000), 0, SYN | ACK, &[]));
        let kind = class(&mut model, &setting.segment((22, 5000), at, PSH | ACK, payload));
        assert_eq!(kind, Some(RecordClass::Ssh), "{payload:?} at {at}");
    }
}

#[test]
fn the_letters_ss_between_http_requests_are_not_ssh() {
    let setting = Setting::default();
    let ports = (5000, 8080);
    let mut model = new_filter();
    let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    class(&mut model, &setting.segment(ports, 0, SYN, &[]));
    class(&mut model, &setting.segment(ports, 1, PSH | ACK, request));
    let next = 1 + request.len() as u32;
    assert_eq!(class(&mut model, &setting.segment(ports, next, PSH | ACK, b"SSx")), Some(RecordClass::Http));
    assert_eq!(class(&mut model, &setting.segment(ports, next + 3, PSH | ACK, request)), Some(RecordClass::Http));
}

#[test]
fn the_letter_s_before_tls_is_not_ssh() {
    let setting = Setting::default();
    let (client, server) = ((5000, 5432), (5432, 5000));
    let mut model = new_filter();
    class(&mut model, &setting.segment(client, 0, SYN, &[]));
    class(&mut model, &setting.segment(server, 0, SYN | ACK, &[]));
    assert_eq!(class(&mut model, &setting.segment(server, 1, PSH | ACK, b"S")), Some(RecordClass::Tls));
    let hello = [22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];
    assert_eq!(class(&mut model, &setting.segment(server, 2, PSH | ACK, &hello)), Some(RecordClass::Tls));
}

#[test]
fn a_dtls_hello_after_a_warning_alert_is_selected() {
    let setting = Setting::default();
    let ports = (5000, 4711);
    let warning = |level, epoch| [21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7, 0, 2, level, 112];
    for (level, epoch, kind, expected) in [
        (1, 0, 1, Some(RecordClass::Dtls)),
        (1, 0, 2, Some(RecordClass::Dtls)),
        // A fatal alert ends the connection. Records after epoch 0 are encrypted.
        (2, 0, 1, None),
        (1, 1, 1, None),
    ] {
        let payload = [&warning(level, epoch)[..], &dtls(kind)].concat();
        let frame = setting.datagram(ports, &payload);
        assert_eq!(class(&mut new_filter(), &frame), expected, "level {level}, epoch {epoch}, type {kind}");
    }
    let warning_only = setting.datagram(ports, &warning(1, 0));
    assert_eq!(class(&mut new_filter(), &warning_only), None);
}

#[test]
fn a_quic_initial_after_another_packet_is_selected_as_a_complete_datagram() {
    let setting = Setting::default();
    let ports = (5000, 4711);
    let before_initial = |first: &[u8]| [first, &initial()].concat();
    let (early, handshake) = (sized(0xd0, 300), sized(0xe0, 300));
    for (payload, expected) in [
        (before_initial(&early), Some(0)),
        (before_initial(&handshake), Some(0)),
        // Headers only.
        (handshake.clone(), Some(300 - 64)),
        (early.clone(), None),
        ([early.clone(), sized(0xe0, 300)].concat(), None),
    ] {
        let mut model = new_filter();
        class(&mut model, &setting.datagram(ports, &initial()));
        let frame = setting.datagram(ports, &payload);
        let omitted = selected_record(&mut model, &frame).map(|(kind, header)| {
            assert_eq!(kind, RecordClass::Quic);
            frame.len() - header.captured as usize
        });
        assert_eq!(omitted, expected, "{:#04x}, {} bytes", payload[0], payload.len());
    }
    // Such a datagram creates no flow.
    assert_eq!(class(&mut new_filter(), &setting.datagram(ports, &before_initial(&early))), None);
}

#[test]
fn quic_is_recognized_by_version_and_type_on_any_port() {
    let setting = Setting::default();
    let known = KNOWN_VERSIONS.map(|version| (version, true));
    for (version, is_known) in known.into_iter().chain(OTHER_VERSIONS.map(|version| (version, false))) {
        let rotation = u8::from(version == 0x6b33_43cf);
        let packet = |kind: u8| long(0xc0 | ((kind + rotation) & 3) << 4, version, 1200);
        for (kind, starts, continues) in [(0, true, true), (1, false, false), (2, false, true), (3, false, true)] {
            let mut model = new_filter();
            let quic = |yes: bool| (yes && is_known).then_some(RecordClass::Quic);
            let frame = setting.datagram((5000, 4711), &packet(kind));
            assert_eq!(class(&mut model, &frame), quic(starts), "type {kind} of version {version:#x}, untracked");
            class(&mut model, &setting.datagram((5000, 4711), &initial()));
            assert_eq!(class(&mut model, &frame), quic(continues), "type {kind} of version {version:#x}, tracked");
        }
    }
}

#[test]
fn quic_to_a_tunnel_port_is_quic() {
    for port in [2152, 4789, 4790, 6081, 8472] {
        for first in 0xc0..=0xcf {
            let frame = Setting::default().datagram((443, port), &long(first, 1, 1200));
            assert_eq!(
                class(&mut new_filter(), &frame),
                Some(RecordClass::Quic),
                "first byte {first:#x} to port {port}"
            );
        }
    }
}

#[test]
fn a_quic_handshake_is_selected_with_bulk_between_its_packets() {
    let setting = Setting::default();
    let ports = (5000, 443);
    let handshake = long(0xe0, 1, 1200);
    for accounting in [0, 1] {
        let mut model = Model::new(FilterConfig { accounting, ..FilterConfig::new(SEED) });
        let short = [0x41; 60];
        for (from_client, payload, selected) in [
            (true, initial(), true),
            (false, initial(), true),
            (false, short.to_vec(), false),
            (false, handshake.clone(), true),
            (false, initial(), true),
            (false, short.to_vec(), false),
            (true, handshake.clone(), true),
            (true, short.to_vec(), false),
        ] {
            let frame = if from_client { setting.datagram(ports, &payload) } else { setting.reply(ports, &payload) };
            let record = selected_record(&mut model, &frame);
            let side = record.map(|(class, header)| (class, header.flags & flag::FROM_CLIENT != 0));
            assert_eq!(side, selected.then_some((RecordClass::Quic, from_client)), "accounting {accounting}");
        }
    }
}

#[test]
fn the_client_of_dtls_and_dhcp_is_known_from_the_first_packet_of_either_side() {
    let setting = Setting::default();
    let six = Setting { six: true, ..Setting::default() };
    for (frame, expected, from_client) in [
        (setting.datagram((5000, 4433), &dtls(1)), RecordClass::Dtls, true),
        (setting.datagram((4433, 5000), &dtls(2)), RecordClass::Dtls, false),
        (setting.datagram((4433, 5000), &dtls(3)), RecordClass::Dtls, false),
        (setting.datagram((68, 67), &[1; 300]), RecordClass::Dhcp, true),
        (setting.datagram((67, 68), &[2; 300]), RecordClass::Dhcp, false),
        (setting.datagram((67, 67), &[1; 300]), RecordClass::Dhcp, true),
        (six.datagram((546, 547), &[1; 60]), RecordClass::Dhcp, true),
        (six.datagram((547, 546), &[7; 60]), RecordClass::Dhcp, false),
        (six.datagram((40_000, 547), &[12; 60]), RecordClass::Dhcp, true),
    ] {
        let (class, header) = selected_record(&mut new_filter(), &frame).unwrap();
        assert_eq!((class, header.flags & flag::FROM_CLIENT != 0), (expected, from_client));
        assert_eq!(header.captured as usize, frame.len());
    }
    for frame in [
        setting.datagram((5000, 4433), &dtls(11)),
        setting.datagram((67, 53), &[2; 300]),
        setting.datagram((546, 547), &[1; 60]),
    ] {
        assert_eq!(class(&mut new_filter(), &frame), None);
    }
}

#[test]
fn fragments_of_supported_protocols_are_selected_as_complete_frames() {
    let datagram = |setting: &Setting| setting.datagram((5000, 443), &initial());
    // Destination options after a routing header, if present, are in the part that is fragmented.
    let options = Envelope { extensions: vec![Extension::Destination(2)], ..Envelope::default() };
    let plain = Setting::default();
    let six = Setting { six: true, ..Setting::default() };
    let optional = Setting { six: true, envelope: options, ..Setting::default() };
    for setting in [&plain, &six, &optional] {
        for piece in Fragments::of(&datagram(setting)).pieces(3) {
            let (class, header) = selected_record(&mut new_filter(), &piece).unwrap();
            assert_eq!((class, header.captured as usize), (RecordClass::Fragment, piece.len()));
        }
    }
    let mut icmp = Fragments::of(&datagram(&plain)).pieces(2).remove(1);
    icmp[14 + 9] = 1;
    assert_eq!(filter(&mut new_filter(), &icmp).counters[0].unselected[PassReason::Fragment as usize], 1);
}

#[test]
fn without_accounting_a_flow_in_the_same_slot_does_not_evict_a_selecting_flow() {
    let setting = Setting::default();
    let mut model = Model::new(FilterConfig { accounting: 0, membership_mask: 0, ..FilterConfig::new(SEED) });
    class(&mut model, &setting.segment((5000, 443), 0, SYN, &[]));
    // A second flow starts, sends payload that is not selected, and is bulk from then on.
    class(&mut model, &setting.segment((5001, 443), 0, SYN, &[]));
    for seq in [1, 101, 201] {
        class(&mut model, &setting.segment((5001, 443), seq, PSH | ACK, &[7; 100]));
    }
    // A first segment too short to classify on its own.
    assert_eq!(class(&mut model, &setting.segment((5000, 443), 1, PSH | ACK, &[22, 3, 1])), Some(RecordClass::Tls));
}

#[test]
fn a_body_after_a_request_is_selected_up_to_the_budget() {
    let setting = Setting::default();
    let mut model = new_filter();
    let at = |model: &mut Model, seq, bytes: &[u8]| filter(model, &setting.segment((5000, 80), seq, PSH | ACK, bytes));
    at(&mut model, 1, b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n....");
    let results = (0..100).map(|number| at(&mut model, 100 + 1000 * number, &[b'x'; 1000]));
    let records: Vec<_> = results.collect();
    let selected = records.iter().filter(|result| result.record.is_some()).count();
    assert_eq!(selected, FilterConfig::HTTP_BUDGET.div_ceil(1000) as usize);
    let over_budget: u64 =
        records.iter().map(|result| result.counters[0].unselected[PassReason::OverBudget as usize]).sum();
    assert_eq!(over_budget, 1, "not counted once");
}
