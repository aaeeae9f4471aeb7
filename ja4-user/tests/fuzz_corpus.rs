//! Runs the check of each fuzz target over its committed corpus, and writes the seeds of the corpora.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets need it public")]
mod checks;

use std::fs;
use std::path::{Path, PathBuf};

use tests::certificate::{Certificate, der, message};
use tests::conversation::TcpConversation;
use tests::dtls::{datagrams, fragment, record};
use tests::fragment::Fragments;
use tests::framing;
use tests::hello::{Shape, records, server_flight_13, server_hello_12, server_hello_13};
use tests::outer_layer::{Gre, OuterLayer, TunnelKind};
use tests::packets::{Envelope, Extension, PcapWriter, link_headers};
use tests::random::SplitMix64;

/// Check of a target, which panics if a property does not hold for its input.
type Check = fn(&[u8]);

/// Name and check of each target.
const TARGETS: [(&str, Check); 22] = [
    ("capture_reader", checks::capture_reader),
    ("client_hello", checks::client_hello),
    ("dhcp4", checks::dhcp4),
    ("dhcp6", checks::dhcp6),
    ("dtls", checks::dtls),
    ("fragments", checks::fragments),
    ("hpack", checks::hpack),
    ("http1", checks::http1),
    ("http2", checks::http2),
    ("openvpn", checks::openvpn),
    ("packet_decode", checks::packet_decode),
    ("proxy", checks::proxy),
    ("quic", checks::quic),
    ("reassembly", checks::reassembly),
    ("record_layer", checks::record_layer),
    ("rfc4571", checks::rfc4571),
    ("server_hello", checks::server_hello),
    ("ssh", checks::ssh),
    ("tds", checks::tds),
    ("tunnels", checks::tunnels),
    ("turn", checks::turn),
    ("x509", checks::x509),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Returns the sorted names in a folder, without extensions.
fn names_in(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_target_and_every_corpus_is_listed() {
    let listed = TARGETS.map(|(name, _)| name);
    assert_eq!(names_in(fuzz().join("fuzz_targets")), listed);
    assert_eq!(names_in(fuzz().join("corpus")), listed);
}

#[test]
fn every_corpus_passes_the_check_of_its_target() {
    for (name, check) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "the corpus {name} is part of the repository");
        for file in files {
            eprintln!("{}", file.display());
            check(&fs::read(&file).unwrap());
        }
    }
}

/// `cargo test -p ja4-user write_the_seeds -- --ignored` after a change to the samples.
#[test]
#[ignore = "writes the seeds of the fuzz corpora"]
fn write_the_seeds() {
    for (target, name, bytes) in seeds() {
        let folder = fuzz().join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Returns target, name and bytes of each seed: small valid inputs, and some with one error.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut random = SplitMix64::new(1);
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, name.to_owned(), bytes));
    for shape in Shape::ALL {
        let hello = shape.client_hello("example.org", &mut random);
        let name = format!("{shape:?}").to_lowercase();
        add("client_hello", &name, hello[4..].to_vec());
        let split = [&[99][..], &records(&hello, 200)].concat();
        add("record_layer", &format!("client_{name}"), split);
    }
    let hello = Shape::Device.client_hello("", &mut random);
    add("client_hello", "dtls", [&hello[4..39], b"\x04cafe", &hello[39..]].concat());
    add("client_hello", "no_extensions", [&hello[4..39], &[0, 2, 0, 0x2f, 1, 0]].concat());
    add("client_hello", "cut", hello[4..hello.len() - 1].to_vec());

    let (old, new) = (server_hello_12(&mut random), server_hello_13(&mut random));
    add("server_hello", "tls_1_2", old[4..].to_vec());
    add("server_hello", "tls_1_3", new[4..].to_vec());
    add("server_hello", "cut", new[4..new.len() - 1].to_vec());
    let flight = server_flight_13(&mut random, 64);
    add("record_layer", "server_1_3", [&[0][..], &flight].concat());
    let two = [&old[..], &[11, 0, 0, 3, 0, 0, 0], &[14, 0, 0, 0]].concat();
    add("record_layer", "server_1_2_in_one_record", [&[6][..], &records(&two, usize::MAX)].concat());
    let warned = [&[2, 21, 3, 3, 0, 2, 1, 112][..], &records(&old, 3)].concat();
    add("record_layer", "warning_then_hello", warned);
    add("record_layer", "retried", [&[1, 20, 3, 3, 0, 1, 1][..], &records(&hello, usize::MAX)].concat());

    let extensions = vec![Extension::HopByHop, Extension::Destination(2)];
    let mut plain = TcpConversation::new();
    let mut tagged = TcpConversation::new().inside(Envelope { vlan: vec![100, 7], ..Envelope::default() });
    let mut six = TcpConversation::between("[2001:db8::1]:1", "[2001:db8::2]:443")
        .inside(Envelope { extensions, ..Envelope::default() });
    for (name, conversation) in [("ipv4", &mut plain), ("vlan", &mut tagged), ("ipv6", &mut six)] {
        let hello = records(&Shape::Curl.client_hello("example.org", &mut random), usize::MAX);
        let (first, second) = hello.split_at(300);
        conversation.handshake().client_at(300, second).client_at(0, first).server(&flight).close();
        let frames = conversation.packets().iter().flat_map(|packet| {
            let length = packet.frame.len() as u16;
            [&length.to_be_bytes()[..], &packet.frame].concat()
        });
        add("packet_decode", name, frames.collect());
    }

    // Flags, offset and length, see the target. The last fragment has 5 bytes.
    add("fragments", "in_order", b"\x04\0\x02\x04\x02\x02\0\x04\x01".to_vec());
    add("fragments", "two_reversed", b"\x01\x04\x01\x02\x02\x01\x06\0\x02\x05\0\x04".to_vec());
    add("fragments", "overlapping", b"\x04\x02\x02\x0c\x01\x04\x04\0\x02\0\x05\x01".to_vec());
    add("fragments", "contradictory", b"\x04\x04\x02\0\x02\x01\0\x06\x01\0\x07\x01\x04\0\x04".to_vec());
    add("fragments", "late", b"\x04\0\x02\xf4\x02\x02\xf0\x04\x01".to_vec());
    let crowd = (0..12).flat_map(|place| [4, 2 * place, 1]);
    add("fragments", "too_many_then_evicted", crowd.chain([5, 0, 99, 6, 0, 99, 7, 0, 99]).collect());
    let six = |more: u8, at: u8| {
        let addresses = [[0x20; 16], [0x21; 16]].concat();
        [&[0xff, 0, 56, 0x60, 0, 0, 0, 0, 16, 44, 64][..], &addresses, &[17, 0, 0, at | more, 0, 0, 0, 9], b"8 bytes."]
            .concat()
    };
    add("fragments", "ipv6", [six(1, 0), six(0, 8)].concat());
    add("fragments", "ipv6_cut", [six(1, 0), six(0, 8)[..50].to_vec()].concat());
    let hello = Shape::Browser.client_hello("example.org", &mut random);
    let answer = server_hello_13(&mut random);
    let crypto = |at: usize, bytes: &[u8]| {
        let [at, len] = [at, bytes.len()].map(|number| (0x4000 | number as u16).to_be_bytes());
        [&[6][..], &at, &len, bytes].concat()
    };
    let datagram = |shape: u8, bytes: &[u8]| [&[shape][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let (start, end) = hello.split_at(hello.len() / 2);
    let whole = [crypto(0, &hello), vec![0; 40]].concat();
    let ack = [2, 0, 0, 0, 0];
    let server = [&ack[..], &crypto(0, &answer)].concat();
    add("quic", "both_hellos", [datagram(2, &whole), datagram(3, &server), datagram(2, &ack)].concat());
    let shuffled = [crypto(start.len(), end), vec![1, 0, 0], crypto(0, start)].concat();
    add("quic", "shuffled", [datagram(10, &shuffled), datagram(11, &server)].concat());
    let halves = [datagram(2, &crypto(start.len(), end)), datagram(2, &crypto(0, start))];
    add("quic", "two_datagrams_reversed", halves.concat());
    let retry = b"\xf0\0\0\0\x01\x02me\x07retriedtoken0123456789abcdef";
    let after = datagram(6, &crypto(start.len(), end));
    let retried = [datagram(2, &crypto(0, start)), datagram(1, retry), datagram(6, &crypto(0, start)), after];
    add("quic", "retry", retried.concat());
    add("quic", "cut", [datagram(18, &whole), datagram(2, &whole)].concat());
    add("quic", "decoy", [datagram(2, &whole), datagram(6, &whole), datagram(3, &server)].concat());
    add("quic", "reconnected", [datagram(2, &whole), datagram(3, &server), datagram(14, &whole)].concat());
    add("quic", "reversed", [datagram(3, &whole), datagram(32 | 2, &whole), datagram(2, &server)].concat());
    let close = b"\x03\x05\0\x01\0\x01\x01\x02\x03\x04\x1c\x0a\0\x04oops";
    add("quic", "other_frames", [datagram(2, close), datagram(2, b"\0\x08stream")].concat());
    let headers = b"\xc0\0\0\0\x01\0\0\0\x01a\xd0\0\0\0\x01\0\0\x01b\xe0\0\0\0\x01\0\0\x01c\x40short";
    add("quic", "coalesced", datagram(0, headers));
    add("quic", "negotiation", datagram(1, b"\x80\0\0\0\0\0\x02me\0\0\0\x01\x6b\x33\x43\xcf"));
    for (name, bytes) in http1_seeds() {
        add("http1", name, bytes);
    }
    let (get, again) = (&b"\x82\x86\x84\x41\x01a\x40\x01x\x01y"[..], &b"\x83\x86\x84\xbf\xbe"[..]);
    for (name, frames) in http2_seeds(get, again) {
        let preface = b"\x07PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        add("http2", name, [&preface[..], &frames].concat());
    }
    let blocks = |blocks: &[&[u8]]| -> Vec<u8> {
        blocks.iter().flat_map(|block| [&(block.len() as u16).to_be_bytes()[..], block].concat()).collect()
    };
    let huffman = &b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..];
    add("hpack", "remembered", blocks(&[get, again, huffman]));
    add("hpack", "resized", blocks(&[get, b"\x20\x3f\xe1\x1f\x40\x01a\x00", b"\xbe", b"\x3f\x21\xbf"]));
    add("hpack", "bad_padding", blocks(&[b"\x41\x82\x1e\xff"]));

    // Three bytes a segment: the offset in the stream plus 1024, and flags with the length, see the target.
    add("reassembly", "in_order", b"\0\0\0\x01\x04\0\x02\x04\x10\x03\x04\x28\x01".to_vec());
    add("reassembly", "reversed", b"\x12\x34\x56\x78\x04\x20\x02\x04\x10\x02\x04\0\x02".to_vec());
    add("reassembly", "overlapping_at_the_wrap", b"\xff\xff\xff\xf0\x04\x10\x04\x04\x08\x04\x04\0\x0f".to_vec());
    add("reassembly", "conflicting", b"\0\0\0\x01\x04\x10\x02\x04\x10\x82\x04\0\x84\x04\x20\x01".to_vec());
    let crowd = (0..20).flat_map(|place| [4, 9 * place + 1, 1]);
    add("reassembly", "too_many_pieces", [0, 0, 0, 0].into_iter().chain(crowd).collect());
    add("reassembly", "beyond_the_window", b"\0\0\0\0\xff\0\x0f\x03\0\x0f\x04\0\x0f".to_vec());

    let fixed = [&[1, 1, 6, 0][..], &[0; 24], &[2, 0, 0, 0, 0, 1], &[0; 202], &[0x63, 0x82, 0x53, 0x63]].concat();
    let discover = b"\x35\x01\x01\x32\x04\xc0\0\x02\x05\x39\x02\x05\xdc\x37\x04\x01\x03\x06\x2a\x0c\x04host\xff\0\0";
    let named = b"\x35\x01\x03\x51\x0d\x05\0\0\x04host\x03org\0\x3c\x08MSFT 5.0\xff";
    add("dhcp4", "discover", [&fixed[..], discover].concat());
    add("dhcp4", "named", [&fixed[..], named].concat());
    add("dhcp4", "bootp", [&fixed[..], &[255]].concat());
    add("dhcp4", "cut", [&fixed[..], &discover[..18]].concat());
    add("dhcp4", "without_cookie", [&fixed[..236], &[0; 64]].concat());

    let solicit = b"\x01\xab\xcd\xef\0\x01\0\x0a\0\x03\0\x01\x02\0\0\0\0\x01\0\x06\0\x04\0\x17\0\x18";
    let fqdn = b"\0\x27\0\x06\x01\x04host\0\x10\0\x0e\0\0\x01\x37\0\x08MSFT 5.0";
    let address = [&[0, 3, 0, 46][..], &[0; 12], &[0, 5, 0, 30], &[0; 24], &[0, 13, 0, 2, 0, 0]].concat();
    let prefix = [&[0, 25, 0, 41][..], &[0; 12], &[0, 26, 0, 25], &[0; 25]].concat();
    let full = [&solicit[..], fqdn, &address, &prefix, &[0, 4, 0, 4, 0, 0, 0, 1]].concat();
    let relay = |inner: &[u8]| [&[12; 34][..], &[0, 9, 0, inner.len() as u8], inner, b"\0\x12\0\x04port"].concat();
    add("dhcp6", "solicit", solicit.to_vec());
    add("dhcp6", "nested", full.clone());
    add("dhcp6", "relayed_twice", relay(&relay(solicit)));
    add("dhcp6", "cut", full[..full.len() - 30].to_vec());
    add("dhcp6", "relay_of_nothing", relay(&[]));

    let lists = ["curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes256-ctr", "hmac-sha1", "hmac-sha2-256", "none"];
    let mut offer = [&[20][..], &[7; 16]].concat();
    for list in lists.into_iter().chain(["none", "", ""]) {
        offer.extend((list.len() as u32).to_be_bytes());
        offer.extend(list.as_bytes());
    }
    offer.extend([0; 5]);
    let offer = [&(offer.len() as u32 + 5).to_be_bytes()[..], &[4], &offer, &[0; 4]].concat();
    let banner = b"SSH-2.0-OpenSSH_9.9 comment\r\n";
    add("ssh", "offer", [&[30], &banner[..], &offer, b"more"].concat());
    add("ssh", "after_some_lines", [&[5], &b"please\nlog in\r\n"[..], banner, &offer].concat());
    add("ssh", "version_1", b"\x02SSH-1.5-1.2.27\n\0\0\x01\x0b".to_vec());
    add("ssh", "version_1_99", [&[9], &b"SSH-1.99-x\n"[..], &offer].concat());
    add("ssh", "list_too_long", [&[99], &banner[..], &offer[..25], &[0xff], &offer[26..]].concat());
    add("ssh", "no_offer", [&[1], &banner[..], b"\0\0\0\x0c\x0a\x02\0\0\0\0\0\0\0\0\0\0"].concat());
    add("ssh", "packets", (0..200).flat_map(|packet| [if packet % 3 == 0 { 0x80 } else { 0x25 }, 36]).collect());
    framing_seeds(&mut add);
    dtls_seeds(&old[4..], &mut add);
    x509_seeds(&mut add);
    tunnel_seeds(&mut add);
    link_seeds(&mut add);
    seeds
}

/// Adds capture files of a SYN with each link header.
fn link_seeds(add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let mut talk = TcpConversation::new();
    talk.handshake();
    let packet = &talk.packets()[0].frame[14..];
    for (number, (link, header)) in link_headers(packet.len()).into_iter().enumerate() {
        let mut file = Vec::new();
        let mut pcap = PcapWriter::new(&mut file, link.into()).unwrap();
        pcap.packet(0, &[&header, packet].concat()).unwrap();
        pcap.finish().unwrap();
        add("capture_reader", &format!("link_{link}_{number}"), file);
    }
}

/// Adds TCP handshakes with a ClientHello in each kind of tunnel, in nested tunnels, truncated, and in fragments.
fn tunnel_seeds(add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let framed = |frames: &[Vec<u8>]| -> Vec<u8> {
        frames.iter().flat_map(|frame| [&(frame.len() as u16).to_be_bytes()[..], frame].concat()).collect()
    };
    let hello = records(&Shape::Device.client_hello("example.org", &mut SplitMix64::new(3)), usize::MAX);
    let frames = |layers: Vec<OuterLayer>| -> Vec<Vec<u8>> {
        let mut talk = TcpConversation::between("10.0.0.1:5000", "10.0.0.2:443").through(layers);
        talk.handshake().client(&hello);
        talk.packets().iter().map(|packet| packet.frame.clone()).collect()
    };
    let between = |kind| OuterLayer::between("192.0.2.1", "192.0.2.2", kind);
    let six = |kind| OuterLayer::between("2001:db8::1", "2001:db8::2", kind);
    let fields = Gre { checksum: true, key: Some(1), sequence: Some(2) };
    let options = vec![(0x0102, 3, vec![1; 8])];
    let extensions = vec![(0x85, vec![0x10, 9]), (0x40, vec![1, 2])];
    let layers = [
        ("mpls", OuterLayer::Mpls(vec![16, 17, 18])),
        ("ip", between(TunnelKind::Ip)),
        ("ip_in_ipv6", six(TunnelKind::Ip)),
        ("gre", between(TunnelKind::Gre(fields))),
        ("gre_ethernet", six(TunnelKind::GreEthernet(Gre::default()))),
        ("erspan", between(TunnelKind::Erspan(5))),
        ("vxlan", between(TunnelKind::Vxlan(5))),
        ("geneve", between(TunnelKind::Geneve { vni: 5, options, ethernet: false })),
        ("gtp_u", between(TunnelKind::GtpU { teid: 5, sequence: Some(1), extensions })),
    ];
    for (name, layer) in &layers {
        add("tunnels", name, framed(&frames(vec![layer.clone()])));
    }
    for (number, layers) in OuterLayer::every().chunks(7).enumerate() {
        let syns: Vec<_> = layers.iter().map(|layer| frames(vec![layer.clone()]).swap_remove(0)).collect();
        add("tunnels", &format!("every_carrier_{number}"), framed(&syns));
    }
    let [_, ip, .., vxlan, geneve, _] = layers.map(|(_, layer)| layer);
    let deep = [vec![vxlan.clone(), ip.clone(), geneve.clone()], vec![ip.clone(); 9]];
    add("tunnels", "nested", framed(&deep.map(&frames).concat()));
    let whole = frames(vec![ip.clone(), ip]);
    let cut: Vec<Vec<u8>> = (30..70).step_by(3).map(|length| whole[0][..length].to_vec()).collect();
    add("tunnels", "cut", framed(&cut));
    let pieces = Fragments::of(&frames(Vec::new())[3]).pieces(3);
    let inside = pieces.iter().map(|piece| OuterLayer::wrap_all(&[vxlan.clone(), geneve.clone()], piece.clone()));
    add("tunnels", "fragments", framed(&inside.chain(pieces.iter().cloned()).collect::<Vec<_>>()));
}

/// Adds streams and packets of each framing.
fn framing_seeds(add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let behind = |header: &[u8]| [&[4][..], header, b"\x16\x03\x01\0\x05\x01\0\0\x01\0"].concat();
    add("proxy", "version_1", behind(framing::PROXY_1));
    add("proxy", "version_1_longest", behind(framing::PROXY_1_LONGEST));
    add("proxy", "version_1_too_long", behind(&[b"PROXY ", &[b'x'; 110][..]].concat()));
    add("proxy", "version_2", behind(&framing::proxy_2(0)));
    add("proxy", "version_2_extended", behind(&framing::proxy_2(40)));
    add("proxy", "version_2_cut", behind(&framing::proxy_2(200)[..60]));
    let hello = records(&Shape::Device.client_hello("example.org", &mut SplitMix64::new(3)), usize::MAX);
    let prelogin = framing::tds(framing::TDS_PRELOGIN, framing::TDS_OPTIONS, 10);
    let packets = |kind, size| [&[9][..], &prelogin, &framing::tds(kind, &hello, size)].concat();
    add("tds", "client", packets(framing::TDS_PRELOGIN, 4088));
    add("tds", "small_packets", packets(framing::TDS_RESULT, 7));
    add("tds", "then_in_the_clear", [packets(framing::TDS_RESULT, 99), framing::tds(1, b"select", 99)].concat());
    add(
        "tds",
        "no_handshake",
        [&[1][..], &prelogin, &framing::tds(framing::TDS_RESULT, b"\xad\0\x04row", 99)].concat(),
    );
    let record = record(22, 0, &fragment(1, 0, 40, 0, &[7; 40]));
    let (check, channel) = (framing::stun(1, b"\0\x06\0\x04user"), framing::padded_channel_data(0x4001, &record));
    let indication = framing::indication(0x16, &record);
    add("turn", "channel_data", framing::channel_data(0x4001, &record));
    add("turn", "indication", indication.clone());
    add("turn", "cut", indication[..50].to_vec());
    add("turn", "stream", [&[9][..], &check, &channel, &indication].concat());
    let counted = [&check[..], &record, &record].map(framing::counted).concat();
    add("rfc4571", "handshake", [&[5][..], &counted].concat());
    add("rfc4571", "cut", [&[1][..], &counted[..60]].concat());
    let (client, server) = (framing::OpenVpn::client(), framing::OpenVpn::server());
    let from = |is_client: bool, packet: &[u8]| {
        let mut framed = framing::counted(packet);
        framed[0] |= u8::from(is_client) << 7;
        framed
    };
    let resets = [from(true, &client.reset(&[])), from(false, &server.reset(&[0]))].concat();
    let parts: Vec<_> = client.stream(1, &hello, 40).iter().map(|packet| from(true, packet)).collect();
    let reversed: Vec<_> = parts.iter().rev().cloned().collect();
    let renewed = client.with_key(1);
    let again = [from(true, &renewed.soft_reset()), from(true, &renewed.control(1, &[], &hello))].concat();
    let auth = [client.reset(&[]), client.control(1, &[0], &hello)]
        .map(|packet| from(true, &framing::openvpn_auth(&packet, 20)));
    add("openvpn", "handshake", [&[200][..], &resets, &parts.concat(), &again].concat());
    add("openvpn", "reversed", [&[200][..], &resets, &reversed.concat(), &reversed.concat()].concat());
    add("openvpn", "little_room", [&[2][..], &reversed.concat()].concat());
    add("openvpn", "tls_auth", [&[200][..], &auth.concat()].concat());
}

/// Adds DTLS datagrams with their prefixes, after the byte of the budget, see the target.
fn dtls_seeds(server_hello: &[u8], add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let framed = |datagrams: &[Vec<u8>]| {
        let bytes =
            datagrams.iter().flat_map(|datagram| [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat());
        [16].into_iter().chain(bytes).collect::<Vec<u8>>()
    };
    let retry = datagrams(3, 0, b"\xfe\xff\x04cafe", 100);
    let hello = datagrams(2, 1, server_hello, 200);
    let mut chain = datagrams(11, 2, &message(&[&Certificate::new().build()]), 60);
    let done = [datagrams(14, 3, &[], 1), vec![record(20, 0, &[1]), record(22, 1, &[7; 40])]].concat();
    let flight = [&retry[..], &hello, &chain, &done].concat();
    add("dtls", "server", framed(&flight));
    add("dtls", "one_datagram", framed(&[flight.concat()]));
    chain.reverse();
    add("dtls", "reordered_and_repeated", framed(&[&done[..1], &chain, &hello, &chain, &done].concat()));
    add("dtls", "chain_without_hello", framed(&[&retry[..], &chain, &done].concat()));
    let overlapping = [(0, &b"abcd"[..]), (6, b"gh"), (2, b"cdEfgh")];
    add(
        "dtls",
        "overlapping",
        framed(&overlapping.map(|(offset, data)| record(22, 0, &fragment(11, 0, 8, offset, data)))),
    );
    add("dtls", "ciphertext", framed(&[[&hello[0][..], &[0x2f, 1, 2, 3]].concat()]));
    let mut cut = framed(&chain[..1]);
    cut[1] |= 0x80;
    cut.truncate(50);
    add("dtls", "cut", cut);
    // A ClientHello with the last byte 0xaa begins another association, see the target.
    let beginning = |random: u8, last: u8| datagrams(1, 0, &[&[random; 60][..], &[last]].concat(), 48);
    let client = [(1, 0), (2, 0), (3, 0xaa), (3, 0xaa)].map(|(random, last)| {
        let mut client = framed(&beginning(random, last));
        for at in [1, 1 + 2 + 25 + 48] {
            client[at] |= 0x40;
        }
        client
    });
    let server = framed(&flight);
    let parts = [&client[0][1..], &client[1][1..], &server[1..], &client[2][1..], &client[3][1..], &server[1..]];
    add("dtls", "associations", [&[16][..], &parts.concat()].concat());
}

fn x509_seeds(add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let openssl = include_bytes!("../ja4/src/wire/x509/testdata/openssl.der");
    let (name, organisation) = ([0x55, 4, 3], [0x55, 4, 10]);
    let plain = Certificate::new().issuer(&[(&name, 12, b"ca"), (&organisation, 0x14, b"\xe9")]);
    let plain = plain.subject(&[(&name, 0x1e, b"\0a\0b")]);
    let names = der(0x30, &[der(0x82, b"example.org"), der(0x87, &[192, 0, 2, 1])].concat());
    let leaf = plain.clone().extension(&[0x55, 0x1d, 0x11], true, &names).build();
    add("x509", "openssl", openssl.to_vec());
    add("x509", "leaf", leaf.clone());
    add("x509", "version_1", plain.build());
    add("x509", "generalized", plain.validity((0x18, b"20500101000000Z"), (0x18, b"99991231235959Z")).build());
    add("x509", "message", message(&[&leaf, openssl]));
    add("x509", "cut", leaf[..leaf.len() - 1].to_vec());
}

/// Returns client streams, each after the byte with the chunk length.
fn http1_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let plain = "\x09GET /a b HTTP/1.1\r\nHost: a\r\nCookie: b=c; a=d\r\nReferer: e\r\nAccept-Language: en-US\r\n\r\n";
    let bodies = "\x14POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPUT / HTTP/1.0\nTransfer-Encoding: chunked\n\n\
                  2;x\r\nab\r\n0\r\nt: u\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let folded = "\x03GET / HTTP/1.1\r\nnonsense\r\nCookie: a=b;\r\n\tc=d\r\n\r\n";
    let connect = "\x1eCONNECT a:443 HTTP/1.0\r\n\r\nSSH-2.0-x y\r\n";
    let upgrade = "\x05GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0";
    let conflict = "\x01PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na";
    let named = [
        ("plain", plain),
        ("bodies", bodies),
        ("folded", folded),
        ("connect", connect),
        ("upgrade", upgrade),
        ("conflict", conflict),
    ];
    named.map(|(name, text)| (name, text.as_bytes().to_vec())).to_vec()
}

/// Returns frames of a client; `again` refers to entries that `get` adds to the dynamic table.
fn http2_seeds(get: &[u8], again: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let requests = [settings, frame(1, 4, 1, get), frame(0, 1, 1, &[7; 40]), frame(1, 5, 3, again)];
    let padded = [&[2, 0, 0, 0, 0, 15][..], &get[..4], &[0; 2]].concat();
    let continued = [frame(1, 0x28, 1, &padded), frame(9, 0, 1, &get[4..7]), frame(9, 4, 1, &get[7..])];
    let interrupted = [frame(1, 0, 1, get), frame(0, 0, 1, &[])];
    vec![("requests", requests.concat()), ("continued", continued.concat()), ("interrupted", interrupted.concat())]
}
