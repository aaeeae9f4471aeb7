//! SSH connections: lengths and bare ACKs are selected to the end, payload bytes only at the start.

use tests::conversation::TcpConversation;
use tests::hello::Shape;
use tests::packets::{ACK, FIN, PSH, RST};

use super::hello_record;
use super::setting::{ConnectionSeries, Setting};

const CLIENT: &[u8] = b"SSH-2.0-OpenSSH_9.9\r\n";
const SERVER: &[u8] = b"SSH-2.0-dropbear_2024.86\r\n";

/// Appends the packets after the banners: key exchange, then encrypted packets and ACKs far beyond the budget.
fn session(conversation: &mut TcpConversation) -> &mut TcpConversation {
    let offer = [&[0, 0, 5, 0xdc, 4, 20][..], &[7; 1400]].concat();
    conversation.client(&offer).server(&offer).client_ack().server_ack();
    for _ in 0..6 {
        conversation.client(&[1; 1000]).server_ack().server(&[2; 1000]).client_ack();
    }
    for round in 0..20 {
        conversation.client(&[3; 36]).server(&[4; 36]);
        if round % 3 == 0 {
            conversation.client_ack().server_ack();
        }
    }
    // More than any budget, with the first bytes of a second ClientHello in the middle.
    conversation.server(&[5; 1460]).server(&[6; 1460]).client(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9])
}

pub(super) fn connections(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for port in [22, 2222] {
        let mut series = ConnectionSeries::new(setting, (51_500, port));
        series.add_connection(|conversation| {
            session(conversation.server(SERVER).client_ack().client(CLIENT).server_ack())
        });
        series.add_connection(|conversation| session(conversation.client(CLIENT).server(SERVER)));
        series.add_connection(|conversation| {
            session(conversation.server(b"please wait\r\n").server(SERVER).client(CLIENT))
        });
        for lines in [&b"NOTICE: wait\r\n"[..], b"Notice: wait\r\n", b"N", b"GET / HTTP/1.1\r\n\r\n"] {
            series
                .add_connection(|conversation| session(conversation.server(&[lines, SERVER].concat()).client(CLIENT)));
            series.add_connection(|conversation| session(conversation.server(lines).server(SERVER).client(CLIENT)));
        }
        // Lines of a client, in their own segments and together with its banner, before and after the server's banner.
        for line in ["PROXY TCP4 192.0.2.1 192.0.2.2 56324 22\r\n", "hello\r\n", "HELLO\r\n", "\r\n", "A\nB\n\n"] {
            let both = [line.as_bytes(), CLIENT].concat();
            series.add_connection(|conversation| {
                session(conversation.client(line.as_bytes()).server_ack().server(SERVER).client(CLIENT))
            });
            series.add_connection(|conversation| {
                session(conversation.server(SERVER).client_ack().client(line.as_bytes()).client(CLIENT))
            });
            series.add_connection(|conversation| session(conversation.client(&both).server_ack().server(SERVER)));
            series.add_connection(|conversation| session(conversation.server(SERVER).client_ack().client(&both)));
            series.add_connection(|conversation| {
                conversation.client(line.as_bytes()).server_ack().client(line.as_bytes()).server_ack()
            });
        }
        // Lines with lengths around the read limit, with and without the form of a request.
        for length in (0..24).chain(100..140) {
            for letter in [b'x', b'X'] {
                let line = [&vec![letter; length][..], b"\n"].concat();
                series.add_connection(|conversation| conversation.client(&[&line, CLIENT].concat()).server_ack());
                series.add_connection(|conversation| conversation.client(&line).server_ack().client(CLIENT));
                series.add_connection(|conversation| {
                    conversation.client(&[&line[..length], b" / HTTP/1.1\n"].concat()).server_ack()
                });
            }
        }
        // Bare ACKs of one side and of both, before any payload.
        series
            .add_connection(|conversation| session(conversation.client_ack().server_ack().client_ack().server(SERVER)));
        series.add_midstream(|conversation| session(conversation.client_ack().client_ack()));
        series.add_midstream(|conversation| session(conversation.server_ack().server_ack().server(SERVER)));
        series.add_midstream(|conversation| {
            conversation.client_ack().client(&hello_record(Shape::Curl)).server_ack().server(&[2; 40])
        });
        // Starts of other protocols within the connection.
        for other in [&b"GET / HTTP/1.1\r\n\r\n"[..], CLIENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            series.add_connection(|conversation| {
                session(conversation.server(SERVER).client(CLIENT)).client_at(1 << 22, other).server_at(1 << 22, other);
                conversation.client_at(30_000, other).client_at(30_100, &[3; 36]).server_at(30_000, other)
            });
        }
        series.add_connection(session);
        // Connections captured midstream, from either side, and from a banner on.
        series.add_midstream(|conversation| {
            session(conversation.client_ack().server_ack().server(&[9; 52]).client_ack())
        });
        series.add_midstream(|conversation| session(conversation.client(&[9; 52]).server_ack()));
        series.add_midstream(|conversation| session(conversation.server(SERVER).client(CLIENT)));
        series.add_midstream(|conversation| session(conversation.client(CLIENT).server(SERVER)).close());
        series.add_midstream(|conversation| conversation.client(&[9; 8]).client(&[9]).server(&[8]).close());
        series.add_connection(|conversation| {
            CLIENT.iter().fold(conversation, |conversation, letter| conversation.client(&[*letter]).server_ack())
        });
        series.add_connection(|conversation| {
            SERVER.iter().fold(conversation, |conversation, letter| conversation.server(&[*letter]).client_ack())
        });
        series.add_connection(|conversation| {
            conversation.server(b"S").server(&hello_record(Shape::Curl)).client(b"S").client(b"SH-")
        });
        series.add_connection(|conversation| conversation.server_at(30, &[7; 40]).server_at(0, SERVER).client(CLIENT));
        for at in 1..=10 {
            let ((first, second), (third, fourth)) = (CLIENT.split_at(at), SERVER.split_at(at));
            series.add_connection(|conversation| {
                conversation.client(first).client(second).server_ack().client(&[1; 36]).server_ack()
            });
            series.add_connection(|conversation| {
                conversation.server(third).server(fourth).client_ack().server(&[1; 36]).client_ack()
            });
            series.add_connection(|conversation| {
                conversation.client_at(at as u32, second).client_at(0, first).server(&[1; 36]).client_ack()
            });
        }
        for banner in
            ["SSH-1.99-x\r\n", "SSH-1.5-x\n", "SSH-x.y-z\r\n", "SSH_2.0-a\r\n", "ssh-2.0-a\r\n", "SSH-2.0-", "SSH-2.0"]
        {
            series.add_segment(banner.as_bytes());
            series.add_connection(|conversation| {
                conversation.client(banner.as_bytes()).server_ack().client(&[1; 36]).server_reset()
            });
        }
        frames.append(&mut series.frames);
    }
    frames
}

/// Returns single segments on the SSH port and on other ports, with every set of flags.
pub(super) fn segments(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut client = 40_000;
    for ports in [(0, 22), (22, 0), (22, 22), (0, 2222), (0, 22)] {
        for flags in [ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, ACK | 0x40, ACK | 0x80, 0, FIN | PSH | ACK] {
            for length in [0, 1, 8, 9, 36] {
                client += 1;
                let ports = (if ports.0 == 0 { client } else { ports.0 }, if ports.1 == 0 { client } else { ports.1 });
                // The segment in an untracked flow, and again when the flow may be known.
                frames.push(setting.segment(ports, 7, flags, &[0x55; 36][..length]));
                frames.push(setting.segment(ports, 50, ACK, &[]));
                frames.push(setting.segment(ports, 50, flags, &[0x55; 36][..length]));
                frames.push(setting.segment((ports.1, ports.0), 50, flags, &[0x55; 36][..length]));
            }
        }
    }
    frames
}
