//! Each built-in threshold rule fires at one more than its threshold, and not at the threshold.

use tests::certificate::Certificate;
use tests::conversation::UdpConversation;
use tests::dhcp;
use tests::packets::Sender;
use tests::quic::{QuicEnds, crypto};

use super::builtin::with_chain;
use super::*;

/// Asserts that a rule does not fire at its threshold and fires at one more, with the counts in the alert.
fn assert_threshold(
    rule: &str,
    threshold: usize,
    counted: &str,
    group: &[(&str, &str)],
    packets: impl Fn(usize) -> Vec<TimedFrame>,
) {
    let below = replay(WITHOUT_LEARNING, &packets(threshold));
    assert!(alerts(&below, rule).is_empty(), "{rule} fires on {threshold}: {:#?}", alerts(&below, rule));
    let above = replay(WITHOUT_LEARNING, &packets(threshold + 1));
    let alert = single_alert(&above, rule);
    assert_reason(alert, &[&format!("{} {counted}", threshold + 1), &format!("more than {threshold}")]);
    let names = details(alert)["group"].as_object().unwrap();
    assert_eq!(names.len(), group.len(), "{rule}: {names:?}");
    for (name, value) in group {
        assert_eq!(names[*name], *value, "{rule}");
    }
    for name in ["description", "severity"] {
        assert!(details(alert)[name].as_str().is_some_and(|text| !text.is_empty()), "{rule}: no {name}");
    }
    assert_eq!(tests::stats_u64(stats(&above), &["engine", "rules", "by_rule", rule, "fired"]), 1, "{rule}");
}

/// Returns a SYN to each of these, ten milliseconds apart.
fn syns(to: impl Iterator<Item = String>) -> Vec<TimedFrame> {
    let conversations: Vec<_> = (0..)
        .zip(to)
        .map(|(number, server)| {
            let mut conversation = conversation(&format!("10.0.0.1:{}", 10_000 + number), &server, ms(number * 5));
            conversation.syn();
            conversation
        })
        .collect();
    merged_packets(&conversations)
}

/// Returns one connection for each number, from ports of one client.
fn each(number: usize, conversation: impl Fn(&str, u16) -> TcpConversation) -> Vec<TimedFrame> {
    let conversations: Vec<_> =
        (0..number as u16).map(|number| conversation(&format!("10.0.0.1:{}", 10_000 + number), number)).collect();
    merged_packets(&conversations)
}

#[test]
fn port_scan_raises_an_alert() {
    assert_threshold(
        "port_scan",
        100,
        "different dest_port within 1m",
        &[("src_ip", CLIENT), ("dest_ip", SERVER)],
        |number| syns((0..number).map(|port| format!("192.0.2.1:{}", 1000 + port))),
    );
}

#[test]
fn host_sweep_raises_an_alert() {
    assert_threshold(
        "host_sweep",
        50,
        "different dest_ip within 1m",
        &[("src_ip", CLIENT), ("dest_port", "8080")],
        |number| syns((0..number).map(|host| format!("192.0.2.{}:8080", host + 1))),
    );
    // Port 443 is exempt: clients connect to many hosts there.
    let web = replay(WITHOUT_LEARNING, &syns((0..200).map(|host| format!("192.0.2.{}:443", host + 1))));
    assert!(alerts(&web, "host_sweep").is_empty());
}

#[test]
fn dst_port_spread_raises_an_alert() {
    assert_threshold("dst_port_spread", 300, "different dest_port within 5m", &[("src_ip", CLIENT)], |number| {
        syns((0..number).map(|port| format!("192.0.2.{}:{}", port % 100 + 1, 1000 + port)))
    });
}

#[test]
fn ssh_connection_burst_raises_an_alert() {
    assert_threshold("ssh_connection_burst", 20, "different dest_ip within 5m", &[("src_ip", CLIENT)], |number| {
        syns((0..number).map(|host| format!("192.0.2.{}:22", host + 1)))
    });
}

#[test]
fn new_ja4_burst_raises_an_alert() {
    assert_threshold("new_ja4_burst", 10, "different fingerprint.value within 10m", &[("src_ip", CLIENT)], |number| {
        each(number, |client, number| {
            tls(client, "192.0.2.1:443", ms(u64::from(number) * 1000), &odd_hello(number, "a.example"))
        })
    });
}

#[test]
fn certificate_diversity_raises_an_alert() {
    assert_threshold(
        "certificate_diversity",
        40,
        "different fingerprint.value within 10m",
        &[("src_ip", CLIENT)],
        |number| {
            each(number, |client, number| {
                let shape = Certificate::new().extension(&[0x2a, number as u8 + 1], false, b"x");
                with_chain(client, &format!("{number}.example"), ms(u64::from(number) * 1000), &[shape])
            })
        },
    );
}

#[test]
fn syn_flood_raises_an_alert() {
    let group = [("dest_ip", SERVER), ("dest_port", "443")];
    assert_threshold("syn_flood", 1000, "connections within 10s", &group, |number| {
        syns((0..number).map(|_| "192.0.2.1:443".to_owned()))
    });
}

#[test]
fn a_syn_flood_on_an_open_port_raises_an_alert_although_each_syn_is_answered() {
    let flood = |end: fn(&mut TcpConversation)| {
        let conversations: Vec<_> = (0..1001_u64)
            .map(|number| {
                let client = format!("10.1.{}.{}:5000", number / 250, number % 250 + 1);
                let mut conversation = conversation(&client, "192.0.2.1:443", ms(number * 5));
                conversation.syn().wait(ms(1)).syn_ack();
                end(&mut conversation);
                conversation
            })
            .collect();
        replay(WITHOUT_LEARNING, &merged_packets(&conversations))
    };
    let events = flood(|_| {});
    assert_reason(single_alert(&events, "syn_flood"), &["1001 connections within 10s", "more than 1000"]);
    // Harmless: connections that the client resets, as a port scan does, and connections that it acknowledges.
    for harmless in [
        flood(|conversation| {
            conversation.client_reset();
        }),
        flood(|conversation| {
            conversation.client_ack();
        }),
    ] {
        assert!(alerts(&harmless, "syn_flood").is_empty());
    }
}

#[test]
fn dhcp_starvation_raises_an_alert() {
    assert_threshold(
        "dhcp_starvation",
        100,
        "different dhcp.client_mac within 1m",
        &[("dest_ip", "255.255.255.255")],
        |number| {
            let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
            for client in 0..number as u8 {
                conversation.wait(ms(100)).client(&dhcp::client_v4(1, [2, 0, 0, 0, 1, client]));
            }
            conversation.packets().to_vec()
        },
    );
}

#[test]
fn quic_initial_flood_raises_an_alert() {
    let hello = Shape::Go.client_hello("a.example", &mut SplitMix64::new(1));
    assert_threshold("quic_initial_flood", 5000, "fingerprints within 10s", &[("dest_ip", SERVER)], |number| {
        let mut packets = Vec::new();
        for number in 0..number as u64 {
            let client = format!("10.{}.{}.1:5000", number / 250, number % 250 + 1);
            let mut conversation = UdpConversation::between(&client, "192.0.2.1:443");
            let ends = QuicEnds::new(&number.to_be_bytes(), &[1; 8]);
            conversation.at(ms(number)).client(&ends.initial(Sender::Client, 0, &crypto(0, &hello)));
            packets.extend_from_slice(conversation.packets());
        }
        packets
    });
}

#[test]
fn failed_handshake_burst_raises_an_alert() {
    assert_threshold("failed_handshake_burst", 100, "connections within 1m", &[("src_ip", CLIENT)], |number| {
        each(number, |client, number| {
            let mut conversation = conversation(client, "192.0.2.1:443", ms(u64::from(number) * 50));
            conversation.syn().wait(ms(1)).server_reset();
            conversation
        })
    });
}

#[test]
fn rare_server_burst_raises_an_alert() {
    assert_threshold("rare_server_burst", 10, "different dest_ip within 10m", &[("src_ip", CLIENT)], |number| {
        each(number, |client, number| {
            let hello = HelloMessageBuilder::new(0x0303, &[0xff00 | number]).extension(0xff01, &[0]).server();
            let mut conversation =
                conversation(client, &format!("192.0.2.{}:443", number + 1), ms(u64::from(number) * 1000));
            conversation.handshake().client(&client_hello(Shape::Curl, "a.example"));
            conversation.server(&hello::records(&hello, usize::MAX)).close();
            conversation
        })
    });
}
