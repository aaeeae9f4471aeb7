//! TLS, DTLS and HTTP inside framings, with every split and order of segments.

use tests::framing::{
    OpenVpn, PROXY_1, PROXY_1_LONGEST, PROXY_1_UNKNOWN, TDS_OPTIONS, TDS_PRELOGIN, TDS_RESULT, channel_data, counted,
    indication, openvpn_auth, padded_channel_data, proxy_2, stun, tds,
};
use tests::hello::{self, Shape};
use tests::random::SplitMix64;

use super::datagrams::dtls;
use super::hello_record;
use super::setting::{ConnectionSeries, Setting};

/// Returns PROXY protocol headers, complete and split, before the client's possible payloads.
pub(super) fn proxy(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let flight = hello::server_flight_13(&mut SplitMix64::new(1), 700);
    let mut series = ConnectionSeries::new(setting, (51_300, 443));
    let (short, long, endless) = (proxy_2(0), proxy_2(3000), [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat());
    let unknown = [&short[..12], &[0x31], &short[13..]].concat();
    let headers = [PROXY_1, PROXY_1_UNKNOWN, PROXY_1_LONGEST, &short, &long, &endless, &unknown];
    let payload: [&[u8]; 6] =
        [&hello, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO a\r\n", PROXY_1, b""];
    for header in headers {
        for payload in payload {
            let stream = [header, payload].concat();
            series.add_connection(|conversation| conversation.client(&stream).server(&flight).client(&hello));
            for at in [1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 16, header.len(), header.len() + 3, header.len() + 700] {
                let Some((first, second)) = stream.split_at_checked(at) else {
                    continue;
                };
                series.add_connection(|conversation| conversation.client(first).client(second).server(&flight));
                series.add_connection(|conversation| {
                    conversation.client_at(at as u32, second).client_at(0, first).client_at(0, &stream)
                });
            }
        }
        // From the server, after a dialogue, and in an unknown connection.
        let stream = [header, &hello].concat();
        series.add_connection(|conversation| conversation.server(&stream).client(&stream));
        series.add_connection(|conversation| conversation.client(b"hello\r\n").client(&stream));
        series.add_connection(|conversation| conversation.client(b"GET / HTTP/1.1\r\n\r\n").client(&stream));
        series.add_segment(&stream);
    }
    series.frames
}

/// Returns hellos of both sides in TDS packets of all sizes, split at any position, and payloads that are not TDS.
pub(super) fn tds_packets(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let flight = hello::server_flight_13(&mut SplitMix64::new(1), 700);
    let mut series = ConnectionSeries::new(setting, (51_400, 1433));
    let (prelogin, response) = (tds(TDS_PRELOGIN, TDS_OPTIONS, 4088), tds(TDS_RESULT, TDS_OPTIONS, 10));
    for size in [4088, 504, 100, 9, 1] {
        let (hello_packets, flight_packets) = (tds(TDS_PRELOGIN, &hello, size), tds(TDS_RESULT, &flight, size));
        series.add_connection(|conversation| {
            conversation
                .client(&prelogin)
                .server(&response)
                .client(&hello_packets)
                .server(&flight_packets)
                .client(&hello)
        });
        for at in (1..40).chain([500, 512, 700, hello_packets.len() - 1]) {
            let (first, second) = hello_packets.split_at(at);
            series.add_connection(|conversation| {
                conversation.client(&prelogin).client(first).client(second).server(&response).server(&flight_packets)
            });
            series.add_connection(|conversation| {
                let start = prelogin.len() as u32;
                conversation
                    .client(&prelogin)
                    .client_at(start + at as u32, second)
                    .client_at(start, first)
                    .server(&flight_packets)
            });
        }
    }
    // Each byte of the header changed; packets in the clear; after a PROXY protocol header; from an SSH server.
    for position in 0..9 {
        for value in [0, 1, 2, 4, 8, 0x12, 0x80, 0xff] {
            let mut changed = prelogin.clone();
            changed[position] = value;
            series.add_connection(|conversation| conversation.client(&changed).server(&changed).client(&hello));
            series.add_connection(|conversation| conversation.client(&prelogin).client(&changed).client(&hello));
        }
    }
    series.add_connection(|conversation| {
        conversation.client(&prelogin).server(&response).client(&tds(1, &hello, 4088)).server(&[4; 1400])
    });
    let wrapped = [PROXY_1, &prelogin].concat();
    series.add_connection(|conversation| conversation.client(&wrapped).client(&tds(TDS_PRELOGIN, &hello, 4088)));
    series.add_segment(&prelogin);
    let mut series_22 = ConnectionSeries::new(setting, (51_401, 22));
    series_22.add_connection(|conversation| conversation.server(&response).client(&prelogin).server(b"SSH-2.0-x\r\n"));
    [series.frames, series_22.frames].concat()
}

/// Returns DTLS in TURN messages, well-formed and with each byte of the headers changed.
pub(super) fn turn_messages(setting: &Setting) -> Vec<Vec<u8>> {
    let (client, server) = ((5000, 3478), (3478, 5000));
    let mut frames = Vec::new();
    for kind in [1, 2, 3, 11] {
        let with_warning = [&[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, 2, 1, 112][..], &dtls(kind)].concat();
        for data in [&dtls(kind)[..], &with_warning, &[0x80; 40], b""] {
            for message in [channel_data(0x4000, data), indication(0x16, data), indication(0x17, data)] {
                frames.push(setting.datagram(client, &message));
                frames.push(setting.datagram(server, &message));
                for length in 1..message.len() {
                    frames.push(setting.datagram((client.0 + length as u16, 3478), &message[..length]));
                }
            }
        }
    }
    for message in [channel_data(0x4000, &dtls(1)), indication(0x16, &dtls(1))] {
        for position in 0..message.len().min(50) {
            for value in [0, 1, 3, 0x13, 0x16, 0x40, 0x7f, 0xff] {
                let mut changed = message.clone();
                changed[position] = value;
                frames.push(setting.datagram((6000 + position as u16, 3478), &changed));
            }
        }
    }
    for attributes in 0..8 {
        let before = [0x80, 0x22, 0, 3, 1, 2, 3, 0].repeat(attributes);
        let message = stun(0x16, &[&before[..], &[0, 0x13, 0, 40], &dtls(1)].concat());
        frames.push(setting.datagram((7000 + attributes as u16, 3478), &message));
    }
    frames
}

/// Returns datagrams in TCP streams: TURN messages and RFC 4571 length prefixes.
pub(super) fn datagrams_in_streams(setting: &Setting) -> Vec<Vec<u8>> {
    let mut series = ConnectionSeries::new(setting, (51_500, 5000));
    let check = stun(1, b"\0\x06\0\x04user");
    let media = [0x80; 500];
    for kind in [1, 2, 20] {
        let record = dtls(kind);
        for (first, second, last) in [
            (counted(&check), counted(&record), counted(&media)),
            (counted(&record), counted(b""), counted(&media)),
            (check.clone(), padded_channel_data(0x4001, &record), padded_channel_data(0x4001, &media)),
            (check.clone(), indication(0x16, &record), check.clone()),
            (padded_channel_data(0x4000, &record), padded_channel_data(0x4001, &record), check.clone()),
        ] {
            let stream = [&first[..], &second, &second, &last, &second].concat();
            series.add_connection(|conversation| conversation.client(&stream).server(&stream));
            series.add_connection(|conversation| {
                conversation.client(&first).server(&first).client(&second).client(&last).client(&last)
            });
            for at in (1..(first.len() + 20).min(stream.len())).step_by(3) {
                let (one, two) = stream.split_at(at);
                series.add_connection(|conversation| conversation.client(one).client(two));
                series.add_connection(|conversation| conversation.client_at(at as u32, two).client_at(0, one));
            }
            for position in 0..12 {
                for value in [0, 2, 0x15, 0x40] {
                    let mut changed = stream.clone();
                    changed[position] = value;
                    series.add_connection(|conversation| conversation.client(&changed));
                }
            }
        }
    }
    series.frames
}

/// Returns OpenVPN control channels over UDP and TCP, well-formed and with each byte of the headers changed.
pub(super) fn control_channels(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut packets = vec![client.reset(&[]), server.reset(&[0]), client.soft_reset(), client.ack(&[0]), client.data()];
    packets.extend([&[][..], &[1], &[1, 2, 3, 4, 5, 6, 7, 8], &[0; 9]].map(|acks| client.control(1, acks, &hello)));
    packets.extend([server.control(1, &[1], &hello[..60]), client.control(2, &[], &[7; 900])]);
    packets.push(server.control(1, &[1], &hello::server_flight_13(&mut SplitMix64::new(1), 700)));
    let with_auth: Vec<_> =
        packets.iter().flat_map(|packet| [20, 64].map(|digest| openvpn_auth(packet, digest))).collect();
    packets.extend(with_auth);
    let mut frames = Vec::new();
    // Packets of unknown flows, and of known OpenVPN and DTLS flows.
    for (number, packet) in packets.iter().enumerate() {
        let port = 8000 + number as u16;
        frames.push(setting.datagram((port, 1194), packet));
        frames.push(setting.reply((port, 1194), packet));
        for first in [client.reset(&[]), dtls(1)] {
            frames.push(setting.datagram((port + 100, 1194), &first));
            frames.push(setting.datagram((port + 100, 1194), packet));
            frames.push(setting.reply((port + 100, 1194), packet));
        }
        for length in 1..packet.len().min(120) {
            frames.push(setting.datagram((9000 + length as u16, 1194), &packet[..length]));
        }
        if number % 3 != 0 {
            continue;
        }
        for position in 0..packet.len().min(30) {
            for value in [0, 1, 9, 0x16, 0x20, 0xff] {
                let mut changed = packet.clone();
                changed[position] = value;
                frames.push(setting.datagram((10_000 + position as u16, 1194), &changed));
            }
        }
    }
    let mut series = ConnectionSeries::new(setting, (51_600, 1194));
    let stream: Vec<u8> = packets.iter().take(7).flat_map(|packet| counted(packet)).collect();
    for first in &packets {
        let first = counted(first);
        series
            .add_connection(|conversation| conversation.client(&first).server(&first).client(&stream).server(&stream));
        series.add_connection(|conversation| conversation.client(&[&first[..], &stream].concat()));
        for at in [1, 2, 3, 8, 9, 15, 16, 20] {
            let (one, two) = first.split_at(at.min(first.len()));
            series.add_connection(|conversation| conversation.client(one).client(two).client(&stream));
            series.add_connection(|conversation| {
                conversation.client_at(at as u32, two).client_at(0, one).client(&stream)
            });
        }
    }
    frames.extend(series.frames);
    frames
}
