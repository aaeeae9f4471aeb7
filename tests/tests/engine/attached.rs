//! `ja4sensor attach`, and readers that have asked for events.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::process::{collect, until};
use tests::{Wire, require_tools, stats_u64};

use super::live::{SOON, assert_nothing_lost, connect, exclusive, listen, start, terminate};
use super::*;

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A running `ja4sensor attach`.
struct Attached {
    child: Child,
    stdout: thread::JoinHandle<Vec<u8>>,
    stderr: thread::JoinHandle<Vec<u8>>,
}

impl Attached {
    fn start(folder: &EngineFolder, arguments: &[&str]) -> Self {
        let mut command = attach(folder, arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    /// Waits for its end, or ends it. Returns its exit status, output and messages.
    fn end(mut self, signal: Option<Signal>) -> (Option<i32>, String, String) {
        if let Some(signal) = signal {
            kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        }
        let status = tests::process::wait(&mut self.child, SOON).expect("attach ends");
        let text = |thread: thread::JoinHandle<Vec<u8>>| String::from_utf8(thread.join().unwrap()).unwrap();
        (status.code(), text(self.stdout), text(self.stderr))
    }
}

fn attach(folder: &EngineFolder, arguments: &[&str]) -> Command {
    let mut command = Sensor::new().command(&[&["attach"], arguments].concat());
    command.env("RUNTIME_DIRECTORY", folder.path("run"));
    command
}

fn event_readers(folder: &EngineFolder) -> u64 {
    let mut stream = UnixStream::connect(folder.path("socket")).unwrap();
    stream.write_all(b"{\"view\":\"summary\",\"interval_ms\":0}\n").unwrap();
    let mut line = Vec::new();
    let mut bytes = std::io::BufReader::new(stream).bytes();
    line.extend(bytes.by_ref().map_while(Result::ok).take_while(|byte| *byte != b'\n'));
    let answer: Value = serde_json::from_slice(&line).unwrap();
    answer["rows"][0]["stats"]["attach"]["event_readers"].as_u64().unwrap()
}

#[test]
fn attach_prints_what_run_prints() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"socket\"\n"));
    let to = listen(wire.server(), 80, RESPONSE);
    let other = listen(wire.server(), 81, RESPONSE);
    let sensor = start(&wire, &folder, &["--shards", "2"]);
    let socket = folder.text("socket");
    let json = Attached::start(&folder, &[&socket]);
    let csv = Attached::start(&folder, &[&socket, "--format", "csv"]);
    let table = Attached::start(&folder, &[&socket, "--format", "table", "--types", "ja4h,connection"]);
    let filtered =
        Attached::start(&folder, &[&socket, "--filter", "dport:81 ja4h:ge11*", "--types", "ja4h", "--count", "2"]);
    assert!(until(SOON, || event_readers(&folder) == 4), "{}", event_readers(&folder));
    let until_then = Attached::start(&folder, &[&socket, "--duration", "1s", "--types", "stats"]);
    connect(&wire, to, 3, REQUEST);
    connect(&wire, other, 2, REQUEST);
    let (status, of_filter, _) = filtered.end(None);
    assert_eq!((status, of_filter.lines().count()), (Some(0), 2));
    assert!(
        of_filter.lines().all(|line| line.contains("\"dest_port\":81,") && line.contains("\"type\":\"ja4h\"")),
        "{of_filter}"
    );
    assert_eq!(until_then.end(None), (Some(0), String::new(), String::new()));
    thread::sleep(ms(3000));
    let printed = terminate(sensor);
    assert_nothing_lost(&printed);

    let (_, of_json, _) = json.end(Some(Signal::SIGTERM));
    let mut events: Vec<Value> = of_json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut wanted: Vec<Value> = printed.into_iter().filter(|event| event["event_type"] != "stats").collect();
    let by = |event: &Value| event.to_string();
    events.sort_by_key(by);
    wanted.sort_by_key(by);
    assert_eq!(events, wanted);
    let (_, of_csv, messages) = csv.end(Some(Signal::SIGTERM));
    assert!(of_csv.starts_with("timestamp,event_type,"), "{of_csv}");
    assert_eq!(of_csv.lines().count(), wanted.len() + 1);
    assert!(messages.contains("the sensor has ended; waiting for its next start"), "{messages}");
    let (_, of_table, _) = table.end(Some(Signal::SIGTERM));
    let has = |word: &str| of_table.lines().filter(|line| line.contains(word)).count();
    assert_eq!((has("ja4h"), has("connection  "), has("time (UTC)")), (5, 5, 1), "{of_table}");
}

#[test]
fn attach_finds_sensors_and_waits_for_their_next_start() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(""));
    let to = listen(wire.server(), 80, RESPONSE);
    let none = Outcome::new(tests::process::run(attach(&folder, &[]), &[], SOON));
    none.status(2).stderr_has("no sensor runs here; start one with `sudo ja4sensor run -i eth0`");
    let start = || {
        let config = folder.text("sensor.toml");
        let arguments = ["run", "-i", wire.server().interface(), "--config", &config, "--http", "off"];
        let mut command = Sensor::new().command(&arguments);
        command.env("RUNTIME_DIRECTORY", folder.path("run"));
        let mut sensor = tests::RunningSensor::spawn(wire.server().enter(&command));
        sensor.wait_attached(1);
        sensor
    };
    let first = start();
    let socket = folder.path(&format!("run/{}.sock", wire.server().interface()));
    let file = fs::metadata(&socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(first.stderr().contains(&format!("attach: serving on {}", socket.display())), "{}", first.stderr());
    let attached = Attached::start(&folder, &["--types", "ja4h", "--format", "csv", "--count", "2"]);
    thread::sleep(ms(500));
    connect(&wire, to, 1, REQUEST);
    thread::sleep(ms(500));
    terminate(first);
    assert!(!socket.exists());
    let second = start();
    thread::sleep(ms(1500));
    connect(&wire, to, 1, REQUEST);
    let (status, lines, messages) = attached.end(None);
    // One header, and a line of each sensor.
    assert_eq!((status, lines.lines().count()), (Some(0), 3), "{lines}{messages}");
    assert_eq!(messages.matches("the sensor has ended").count(), 1, "{messages}");

    // A second sensor of this name runs without a socket, and says so.
    let other = start();
    assert!(other.stderr().contains("no attach socket: cannot serve the socket"), "{}", other.stderr());
    terminate(other);
    let unknown = Outcome::new(tests::process::run(attach(&folder, &["eth9"]), &[], SOON));
    unknown
        .status(2)
        .stderr_has("no running sensor is named 'eth9'; running sensors: ")
        .stderr_has(wire.server().interface());
    let wrong = Outcome::new(tests::process::run(attach(&folder, &["--filter", "nwe"]), &[], SOON));
    wrong.status(2).stderr_has("--filter: character 1: unknown word 'nwe'");
    terminate(second);
}

#[test]
fn readers_that_never_read_lose_their_own_lines_alone() {
    const READERS: usize = 64;
    const REQUESTS: usize = 6000;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"socket\"\n"));
    let to = listen(wire.server(), 80, RESPONSE);
    let sensor = start(&wire, &folder, &[]);
    let mut all: Vec<UnixStream> = (0..READERS)
        .map(|_| {
            let mut stream = UnixStream::connect(folder.path("socket")).unwrap();
            stream.write_all(b"{\"view\":\"events\",\"types\":[\"ja4h\"]}\n").unwrap();
            stream
        })
        .collect();
    for stream in &mut all {
        let mut accepted = [0; br#"{"event_type":"accepted"}"#.len() + 1];
        stream.read_exact(&mut accepted).unwrap();
        assert_eq!(&accepted, b"{\"event_type\":\"accepted\"}\n");
    }
    thread::sleep(ms(500));
    let idle = all.split_off(READERS / 2);
    let reading: Vec<_> = all.into_iter().map(collect).collect();
    let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
    stream.set_read_timeout(Some(SOON)).unwrap();
    for number in 0..REQUESTS {
        write!(stream, "GET / HTTP/1.1\r\nHost: a.example\r\nX-{}: 1\r\n\r\n", number % 7).unwrap();
        assert!(stream.read(&mut [0; 256]).unwrap() > 0);
    }
    drop(stream);
    thread::sleep(ms(500));
    let printed = terminate(sensor);
    assert_nothing_lost(&printed);
    let ja4h = tests::values(&printed, "ja4h").len();
    assert_eq!(ja4h, REQUESTS);
    for reader in reading {
        let text = String::from_utf8(reader.join().unwrap()).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("\"fingerprint\"")).count(), REQUESTS);
    }
    let stats = events::of_type(&printed, "stats");
    let lost = stats_u64(stats.last().unwrap(), &["attach", "lost"]);
    assert!(lost > 0 && lost < (READERS / 2 * REQUESTS) as u64, "{lost}");
    // The rest in its socket consists of whole lines.
    let mut text = String::new();
    idle.into_iter().next().unwrap().read_to_string(&mut text).ok();
    assert!(text.lines().count() > 0);
}

#[test]
fn a_group_may_attach_and_others_may_not() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["setpriv"]) {
        return;
    }
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"socket\"\ngroup = \"games\"\n"));
    for path in [folder.path("."), folder.path("..")] {
        let _shared = fs::set_permissions(&path, fs::Permissions::from_mode(0o755));
    }
    let sensor = start(&wire, &folder, &[]);
    assert_eq!(fs::metadata(folder.path("socket")).unwrap().permissions().mode() & 0o777, 0o660);
    let program = folder.path("ja4sensor");
    tests::process::copy_program(Sensor::new().binary(), &program);
    let as_user = |group: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", &format!("--regid={group}"), "--clear-groups"]).arg(&program);
        command.args(["attach", &folder.text("socket"), "--duration", "1s"]);
        Outcome::new(tests::process::run(command, &[], SOON))
    };
    let games = fs::read_to_string("/etc/group").unwrap();
    let games = games.lines().find_map(|line| line.strip_prefix("games:x:")?.split(':').next().map(str::to_owned));
    as_user(&games.unwrap()).ok();
    as_user("65534").status(1).stderr_has("Permission denied").stderr_has("see attach.group");
    terminate(sensor);
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\ngroup = \"no-such-group\"\n"));
    let config = folder.text("sensor.toml");
    let command =
        wire.server().enter(&Sensor::new().command(&["run", "-i", wire.server().interface(), "--config", &config]));
    let refused = Outcome::new(tests::process::run(command, &[], SOON));
    refused.status(2).stderr_has("attach.group: there is no group 'no-such-group'");
}
