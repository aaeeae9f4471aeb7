//! Checks the traffic of the live tests with tcpdump.
use std::collections::BTreeSet;

use tests::tcpdump::{Tcpdump, TcpdumpCapture};
use tests::tunnel::{Encapsulation, LiveTunnel};
use tests::{Wire, require_python, require_root, require_tools, scenes};

/// Records the traffic of `traffic` at the server's end of the wire. Returns `None` if the test cannot run.
fn record(tools: &[&str], traffic: impl FnOnce(&Wire)) -> Option<TcpdumpCapture> {
    if !require_root() || !require_tools(&["ip", "ethtool", "ss", "tcpdump"]) || !require_tools(tools) {
        return None;
    }
    let wire = Wire::new();
    let tcpdump = Tcpdump::start(wire.server());
    traffic(&wire);
    Some(tcpdump.stop())
}

/// Returns the tcpdump lines, one per packet, without link headers.
fn lines(recording: &TcpdumpCapture, filter: &str) -> Vec<String> {
    let text = recording.dissected(&[filter]);
    let whole: Vec<_> = text.lines().map(str::to_owned).collect();
    let mut packets: Vec<String> = Vec::new();
    for line in whole {
        match packets.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(&line),
            _ => packets.push(line),
        }
    }
    packets
}

/// Returns the distinct `address.port > address.port` of packets to this port.
fn clients(packets: &[String], port: u16) -> BTreeSet<String> {
    let end = format!(".{port}:");
    packets
        .iter()
        .filter_map(|packet| {
            let words: Vec<_> = packet.split_whitespace().collect();
            let arrow = words.iter().position(|word| *word == ">" && words.len() > 2)?;
            let arrow = words[arrow + 1..].iter().position(|word| *word == ">").map_or(arrow, |next| arrow + 1 + next);
            let to = words.get(arrow + 1)?;
            to.ends_with(&end).then(|| format!("{} > {to}", words[arrow - 1]))
        })
        .collect()
}

#[test]
fn the_quic_scene_is_recorded_as_planned() {
    let Some(python) = require_python("aioquic") else { return };
    let Some(recording) = record(&["openssl"], |wire| scenes::quic(wire, &python)) else { return };
    let packets = lines(&recording, "udp");
    let connections = clients(&packets, 443).len() + clients(&packets, 8443).len();
    assert_eq!(connections, scenes::QUIC_CONNECTIONS);
    // QUIC long header, by type and version: the two type bits of the first byte are 0 for an Initial in version 1 and
    // 1 in version 2. Offsets are for UDP over IPv4, where the filter language can access the payload.
    let count = |filter: &str| lines(&recording, filter).len();
    let v1 = "udp[9:4] = 0x00000001";
    let v2 = "udp[9:4] = 0x6b3343cf";
    assert!(count(&format!("udp dst port 443 and udp[8] & 0xf0 = 0xc0 and {v1}")) >= 4, "Initials of version 1");
    assert!(count(&format!("udp src port 443 and udp[8] & 0xf0 = 0xd0 and {v2}")) >= 1, "no response in version 2");
    assert_eq!(count(&format!("udp src port 8443 and udp[8] & 0xf0 = 0xf0 and {v1}")), 1, "one Retry");
    let long = count("ip6 and udp dst port 443 and ip6[48] & 0xf0 = 0xc0");
    assert!(long >= 3, "a hello in {long} Initials");
    assert!(count("ip6 and udp dst port 443 and ip6[49:4] = 0x6b3343cf") >= 1, "version 2 alone");
}

#[test]
fn the_dtls_scene_is_recorded_as_planned() {
    let Some(recording) = record(&["openssl"], scenes::dtls) else { return };
    let ports = [4433, 4434, 4435, 4436];
    for port in ports {
        assert_eq!(clients(&lines(&recording, "udp"), port).len(), 1, "port {port}");
    }
    let count = |filter: &str| lines(&recording, filter).len();
    // A record of type 22 at the start, with the message type 13 bytes later; the IPv6 header is 40 bytes, UDP's 8.
    let hellos = |port: u16| {
        count(&format!("udp dst port {port} and (udp[8] = 22 and udp[21] = 1)"))
            + count(&format!("ip6 and udp dst port {port} and (ip6[48] = 22 and ip6[61] = 1)"))
    };
    let verify = |port: u16| {
        count(&format!("udp src port {port} and udp[8] = 22 and udp[21] = 3"))
            + count(&format!("ip6 and udp src port {port} and ip6[48] = 22 and ip6[61] = 3"))
    };
    for port in ports {
        assert_eq!(verify(port), 1, "HelloVerifyRequest, port {port}");
    }
    assert_eq!([hellos(4433), hellos(4434)], [2, 2], "with and without cookie");
    assert!(hellos(4435) > 4, "a hello in fragments");
    assert!(count("ip6 and udp dst port 4436 and ip6[48] = 22 and ip6[61] = 11") >= 1, "a client's certificate");
    assert!(count("udp and greater 400") == 0, "large datagrams of a connection with small ones: {}", count("udp"));
}

#[test]
fn the_http_scenes_are_recorded_as_planned() {
    let Some(recording) = record(&["curl", "nginx", "nghttp"], |wire| {
        scenes::http1(wire);
        scenes::http2(wire);
    }) else {
        return;
    };
    let packets = lines(&recording, "tcp");
    assert_eq!(clients(&packets, 80).len(), 2);
    assert_eq!(clients(&packets, 8080).len(), scenes::HTTP2_CONNECTIONS);
    let text = recording.dissected(&["tcp", "-A"]);
    for line in [
        "GET / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "POST /upload HTTP/1.1",
        "PUT /upload HTTP/1.1",
        "DELETE / HTTP/1.1",
        "GET / HTTP/1.0",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert!(text.contains("Cookie: zebra=1; apple=2; flag") && text.contains("PRI * HTTP/2.0"));
    let sent: usize = packets
        .iter()
        .filter(|packet| packet.contains("> 10.98.0.2.80:"))
        .filter_map(|packet| packet.split("length ").last()?.split(':').next()?.trim().parse::<usize>().ok())
        .sum();
    assert!(sent > 2 * scenes::BODY, "two long bodies: {sent}");
}

#[test]
fn the_ssh_scene_is_recorded_as_planned() {
    let Some(recording) = record(&["ssh", "scp", "ssh-keygen", "sshd", "taskset"], scenes::ssh) else { return };
    let packets = lines(&recording, "tcp port 22");
    assert_eq!(clients(&packets, 22).len(), scenes::SSH_CONNECTIONS);
    let full =
        |from: &str| packets.iter().filter(|packet| packet.contains(from) && packet.contains("length 14")).count();
    assert!(full("> 10.98.0.2.22:") > 1000, "an upload");
    assert!(full("fd98::2.22 >") > 1000, "a download");
    let keys =
        packets.iter().filter(|packet| packet.contains("> 10.98.0.2.22:") && packet.contains("length 36")).count();
    // A busy machine coalesces some of them.
    assert!(keys > 40, "{keys} keys in segments of their own");
}

#[test]
fn the_dhcp_scene_is_recorded_as_planned() {
    let Some(recording) = record(&["dnsmasq", "udhcpc", "dhclient"], scenes::dhcp) else { return };
    let v4 = recording.dissected(&["udp port 67 or udp port 68"]);
    for (message, count) in [("Discover", 2), ("Offer", 2), ("Request\n", 2), ("ACK", 2), ("Release", 1)] {
        let found = v4.matches(&format!("length 1: {message}")).count();
        assert_eq!(found, count, "{message}:\n{v4}");
    }
    assert!(v4.contains(scenes::DHCP_NAME));
    let v6 = recording.dissected(&["udp port 546 or udp port 547"]);
    for message in ["solicit", "advertise", "request", "reply", "release"] {
        assert!(v6.contains(&format!("dhcp6 {message}")), "{message}:\n{v6}");
    }
}

/// Checks the TLS traffic of a tunnel as tcpdump decodes the outer packets.
fn assert_tunnel(encapsulation: Encapsulation, filter: &str, names: &str) {
    let v6 = encapsulation != Encapsulation::IpInIp;
    let Some(recording) = record(&["curl", "nginx", "openssl"], |wire| {
        let tunnel = LiveTunnel::new(wire, encapsulation);
        scenes::tunnelled(wire, &tunnel, v6);
    }) else {
        return;
    };
    let text = recording.dissected(&[filter]);
    assert!(text.contains("10.98.0.1") && text.contains(names), "the outer packet:\n{text}");
    assert!(text.contains("10.99.0.2.443: Flags [S]"), "a SYN inside:\n{text}");
    assert_eq!(v6, text.contains("fd99::2.443: Flags [S]"), "IPv6 inside:\n{text}");
    assert!(recording.dissected(&["tcp"]).is_empty(), "TLS traffic outside of the tunnel");
}

#[test]
fn the_vxlan_scene_is_recorded_as_planned() {
    assert_tunnel(Encapsulation::Vxlan(4789), "udp port 4789", "VXLAN");
}

#[test]
fn the_gre_scene_is_recorded_as_planned() {
    assert_tunnel(Encapsulation::Gre, "ip proto 47", "GREv0");
}

#[test]
fn the_ip_in_ip_scene_is_recorded_as_planned() {
    assert_tunnel(Encapsulation::IpInIp, "ip proto 4", "proto IPIP (4)");
}
