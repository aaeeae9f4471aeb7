//! JA3 and JA3S, with `--ja3`.

use super::*;

use serde_json::json;
use tests::conversation::UdpConversation;
use tests::dtls::datagrams;
use tests::hello_builder::{HelloMessageBuilder, RETRY};
use tests::packets::Sender;
use tests::quic::{QuicEnds, crypto};
use tests::require_python;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/ja3.py");

/// JA3 of [`Shape::Device`] and [`Shape::Go`], and JA3S of their servers: lists by hand, MD5 by md5sum.
const DEVICE: [&str; 2] = ["76fd3a662618d5df544b788c31fb64cc", "771,49200-49199-159-158-53-47-10,11-10-13,23-24,0"];
const GO: [&str; 2] = [
    "33931f87e4968b77b1a0e8b89de2bfb3",
    "771,49195-49199-49196-49200-52393-52392-49161-49171-49162-49172-4865-4866-4867,\
     0-5-10-11-13-65281-23-18-16-43-51,29-23-24-25,0",
];
const SERVER_12: [&str; 2] = ["7d8fd34fdb13a7fff30d5a52846b6c4c", "771,49200,5-23-65281-0"];
const SERVER_13: [&str; 2] = ["eb1d94daa7e0344597e756a1fb6e7054", "771,4865,51-43"];

/// Returns the object of a JA3 or JA3S.
fn object([hash, string]: [&str; 2]) -> Value {
    json!({ "hash": hash, "string": string })
}

/// Returns a connection with these two handshake messages.
fn conversation(client: &[u8], server: &[u8]) -> TcpConversation {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    for segment in hello::records(client, usize::MAX).chunks(1400) {
        conversation.client(segment);
    }
    conversation.server(&hello::records(server, usize::MAX)).close();
    conversation
}

/// Returns a connection of [`Shape::Device`].
fn device() -> TcpConversation {
    let mut random = SplitMix64::new(1);
    conversation(&Shape::Device.client_hello("", &mut random), &hello::server_hello_12(&mut random))
}

/// Returns the event of this type that `--format eve` prints.
fn eve_event(packets: &[TimedFrame], options: &[&str], event_type: &str) -> Value {
    let events = replay_packets(packets, &[&["--format", "eve"], options].concat());
    let [event] = events::of_type(&events, event_type)[..] else { panic!("not one {event_type}: {events:#?}") };
    event.clone()
}

#[test]
fn eve_has_suricatas_objects() {
    let tls = eve_event(device().packets(), &["--ja3"], "tls");
    assert_eq!((&tls["tls"]["ja3"], &tls["tls"]["ja3s"]), (&object(DEVICE), &object(SERVER_12)), "{tls:#}");

    let mut random = SplitMix64::new(1);
    let (client, server) = (Shape::Go.client_hello("a.example", &mut random), hello::server_hello_13(&mut random));
    let ends = QuicEnds::new(&[1; 8], &[2; 8]);
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    conversation.client(&ends.initial(Sender::Client, 0, &crypto(0, &client)));
    conversation.server(&ends.initial(Sender::Server, 0, &crypto(0, &server)));
    let quic = eve_event(conversation.packets(), &["--ja3"], "quic");
    assert_eq!((&quic["quic"]["ja3"], &quic["quic"]["ja3s"]), (&object(GO), &object(SERVER_13)), "{quic:#}");
    assert_eq!(quic["ja4plus"].pointer("/tls/ja3"), None, "it is there twice");
}

#[test]
fn json_and_csv_have_it_from_the_hello_on() {
    let events = run(&device(), &["--ja3"]).events();
    let of_client = &only(&events, "ja4")["tls"];
    assert_eq!((&of_client["ja3"], of_client.get("ja3s")), (&object(DEVICE), None));
    for event in [only(&events, "ja4s"), events::of_type(&events, "connection")[0]] {
        assert_eq!((&event["tls"]["ja3"], &event["tls"]["ja3s"]), (&object(DEVICE), &object(SERVER_12)));
    }
    let csv = run(&device(), &["--ja3", "--format", "csv"]);
    csv.stdout_has("tls.ja3.hash,tls.ja3.string,tls.ja3s.hash,tls.ja3s.string").stdout_has(DEVICE[0]);
}

/// Removes JA3 and JA3S wherever a format has them.
fn without_ja3(mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        for object in ["/tls", "/quic", "/ja4plus/tls"] {
            if let Some(Value::Object(object)) = event.pointer_mut(object) {
                object.retain(|key, _| key != "ja3" && key != "ja3s");
            }
        }
    }
    events
}

#[test]
fn it_is_off_by_default_and_changes_nothing_else() {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("everything.pcap");
    generate::write(CaptureKind::Everything, 0.02, 14, &mut File::create(&capture).unwrap()).unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "[output]\nja3 = true\n").unwrap();
    for format in ["json", "eve"] {
        let lines = |options: &[&str]| {
            let arguments = [&["replay", "--format", format], options, &[capture.to_str().unwrap()]].concat();
            Sensor::new().run(&arguments).ok()
        };
        let (off, on) = (lines(&[]), lines(&["--ja3"]));
        assert!(!off.stdout().contains("ja3") && on.stdout().contains("ja3s"), "{format}");
        assert_eq!(without_ja3(on.events()), off.events(), "{format}");
        assert!(
            lines(&["--config", config.to_str().unwrap()]).stdout() == on.stdout(),
            "{format}: key and option differ"
        );
    }
}

#[test]
fn hellos_of_every_shape_agree_with_another_implementation() {
    let Some(python) = require_python("hashlib") else { return };
    let mut random = SplitMix64::new(3);
    // Chromium shuffles extensions and draws GREASE values for each hello.
    let pairs: Vec<_> = (0..4)
        .flat_map(|_| Shape::ALL)
        .map(|shape| {
            let server = if shape == Shape::Device { hello::server_hello_12 } else { hello::server_hello_13 };
            [shape.client_hello("example.org", &mut random), server(&mut random)]
        })
        .collect();
    let hex = |message: &Vec<u8>| message.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let mut script = Command::new(python);
    script.arg(SCRIPT);
    let input: String = pairs.iter().flatten().map(hex).collect();
    let outcome = Outcome::new(process::run(script, input.as_bytes(), process::LIMIT)).ok();
    let expected: Vec<Value> =
        outcome.stdout().lines().map(|line| object(line.split_once(' ').unwrap().into())).collect();
    assert_eq!(expected.len(), 2 * pairs.len());
    for ([client, server], expected) in pairs.iter().zip(expected.chunks(2)) {
        let tls = eve_event(conversation(client, server).packets(), &["--ja3"], "tls");
        assert_eq!([&tls["tls"]["ja3"], &tls["tls"]["ja3s"]], [&expected[0], &expected[1]]);
    }
}

#[test]
fn of_two_hellos_the_first_one_counts_as_in_ja4() {
    let hello = || HelloMessageBuilder::new(0x0303, &[0x1a1a, 0x1302, 0x1301]).versions(&[0xfafa, 0x0304]);
    let groups = [0, 4, 0x3a, 0x3a, 0, 0x1d];
    let first = hello().extension(10, &groups).algorithms(&[0x0403]).extension(0x0033, &[0, 0]);
    let second = first.clone().extension(0x002c, &[0, 1, 5]);
    let answer =
        || HelloMessageBuilder::new(0x0303, &[0x1302]).extension(0x002b, &[3, 4]).extension(0x0033, &[0, 0x1d]);
    let retry = answer().random(RETRY).extension(0x002c, &[0, 1, 5]);
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    for (client, server) in [(&first, &retry), (&second, &answer())] {
        conversation.client(&hello::records(&client.client(), usize::MAX));
        conversation.server(&hello::records(&server.server(), usize::MAX));
    }
    conversation.close();
    let tls = eve_event(conversation.packets(), &["--ja3"], "tls");
    assert_eq!(
        (&tls["tls"]["ja3"], &tls["tls"]["ja3s"]),
        (
            &object(["8d3b2b9504fc1c15211d3dca68d33a98", "771,4866-4865,43-10-13-51,29,"]),
            &object(["43461f37fab0589f4650c9bf46641dc8", "771,4866,43-51-44"]),
        )
    );
}

#[test]
fn a_dtls_handshake_has_it_in_the_flow() {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02b]).extension(10, &[0, 2, 0, 29]).extension(11, &[1, 0]);
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
    conversation.client(&datagrams(1, 0, &hello.dtls_client(&[]), 1000)[0]);
    let flow = eve_event(conversation.packets(), &["--ja3"], "flow");
    // MD5 by md5sum.
    let expected = object(["ae51636a5eddc1dcd8953e04a752f39b", "65277,49195,10-11,29,0"]);
    assert_eq!(flow["ja4plus"]["tls"]["ja3"], expected, "{flow:#}");
}

#[test]
fn a_long_string_is_cut_and_its_hash_is_that_of_all() {
    let suites: Vec<u16> = (0x4000..0x4000 + 300).collect();
    let client = HelloMessageBuilder::new(0x0303, &suites).client();
    let tls =
        eve_event(conversation(&client, &hello::server_hello_12(&mut SplitMix64::new(1))).packets(), &["--ja3"], "tls");
    let list: Vec<_> = suites.iter().map(u16::to_string).collect();
    let all = format!("771,{},,,", list.join("-"));
    assert!(all.len() > 1024);
    // MD5 of all 1806 characters, by md5sum.
    assert_eq!(tls["tls"]["ja3"], object(["93f318ef2d8dad5d0576e9b7105fb5a9", &all[..1024]]));
}
