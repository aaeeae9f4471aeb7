//! Latencies on a delayed wire: unit, halving, and the measured side.

use tests::require_python;

use super::*;

/// Delay from a host to its end of the wire, and back.
const DELAY: Duration = Duration::from_millis(10);
const CONNECTIONS: usize = 5;

/// Returns the latencies of these values, microseconds, in ascending order.
fn micros(events: &[Value], kind: &str) -> Vec<u64> {
    let time = |value: &str| value.split('_').next().unwrap().parse().unwrap();
    let mut times: Vec<u64> = values(events, kind).into_iter().map(time).collect();
    times.sort_unstable();
    times
}

/// Asserts that a latency is half of two delays. Seen from the server's end of the wire, the server is as far as the
/// client, and a round trip takes two delays; a busy machine adds to the value, but one of several connections is
/// fast.
fn assert_half_of_two_delays(outputs: &LiveAndReplay, kind: &str) {
    let (live, replayed) = (micros(&outputs.live, kind), micros(&outputs.replayed, kind));
    assert_eq!((live.len(), replayed.len()), (CONNECTIONS, CONNECTIONS), "{kind}");
    let delay = DELAY.as_micros() as u64;
    for times in [&live, &replayed] {
        assert!((delay..2 * delay).contains(&times[0]) && times[CONNECTIONS - 1] < 50 * delay, "{kind}: {times:?}");
    }
    assert!(live[0].abs_diff(replayed[0]) < delay / 4, "{kind}: {live:?} live, {replayed:?} replayed");
}

fn on_a_slow_wire(traffic: impl FnOnce(&Wire)) -> LiveAndReplay {
    let wire = Wire::with(WireLayout { delay: DELAY, ..WireLayout::default() });
    live_and_replay(wire.server(), &[], || traffic(&wire))
}

#[test]
fn latencies_of_tcp_connections() {
    let Some(_exclusive) = exclusive() else { return };
    let outputs = on_a_slow_wire(|wire| {
        let chain = Chain::new(KeyType::Ec);
        let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        for _ in 0..CONNECTIONS {
            peers::openssl_client(wire.client(), wire.server().v4(), 443, &[]);
        }
    });
    for kind in ["ja4l", "ja4ls"] {
        assert_half_of_two_delays(&outputs, kind);
    }
}

#[test]
fn latencies_of_quic_connections() {
    let Some(python) = require_python("aioquic") else { return };
    let Some(_exclusive) = exclusive() else { return };
    let outputs = on_a_slow_wire(|wire| {
        let chain = Chain::new(KeyType::Ec);
        let _server = peers::quic_server(&python, wire.server(), 443, &chain, &[]);
        for _ in 0..CONNECTIONS {
            peers::quic_client(&python, wire.client(), wire.server().v4(), 443, &[]);
        }
    });
    // The server's processing time is included.
    let live = micros(&outputs.live, "ja4ls");
    assert!(live.len() == CONNECTIONS && live[0] >= DELAY.as_micros() as u64, "{live:?}");
    assert!(live[CONNECTIONS - 1] < 1_000_000, "{live:?}");
    let replayed = micros(&outputs.replayed, "ja4ls");
    assert!(live[0].abs_diff(replayed[0]) < DELAY.as_micros() as u64 / 4, "{live:?} live, {replayed:?} replayed");
}

/// TCP Fast Open (RFC 7413): the ClientHello is in the SYN, and the server's flight precedes the client's ACK.
#[test]
fn latencies_of_tcp_fast_open_connections() {
    let Some(_exclusive) = exclusive() else { return };
    // Enabled for clients and all listening servers, without a cookie.
    const ALWAYS: &str = "net.ipv4.tcp_fastopen=1543";
    let outputs = on_a_slow_wire(|wire| {
        let chain = Chain::new(KeyType::Ec);
        for host in [wire.client(), wire.server()] {
            host.run(&["sysctl", "-qw", ALWAYS]).ok();
        }
        let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        for _ in 0..CONNECTIONS {
            peers::curl(wire.client(), wire.server().v4(), 443, &["--tcp-fastopen"]);
        }
        let opened = wire.client().run(&["nstat", "-az", "TcpExtTCPFastOpenActive"]).ok();
        assert!(opened.stdout().contains(&format!(" {CONNECTIONS} ")), "{}", opened.stdout());
    });
    for kind in ["ja4l", "ja4ls"] {
        assert_half_of_two_delays(&outputs, kind);
    }
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts"] {
        assert_eq!(values(&outputs.live, kind).len(), CONNECTIONS, "{kind}");
    }
}
