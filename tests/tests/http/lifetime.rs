//! A running sensor under a service manager: configuration reload and watchdog.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

fn rules(name: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\ndescription = \"x\"\nseverity = \"low\"\non = \"connection\"\n\
         group_by = [\"src_ip\"]\nmeasure = \"count\"\nthreshold = {{ op = \"gt\", value = 5 }}\nwindow = \"1m\"\n"
    )
}

/// The first reload waits for a file without data; the files of the second are complete.
#[test]
fn the_later_of_two_reloads_is_active_even_if_the_first_is_slow() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["mkfifo"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config = |file: &str| format!("[rules]\nbuiltin = false\nfiles = [{:?}]\n", path(file));
    fs::write(path("first.toml"), rules("first")).unwrap();
    fs::write(path("later.toml"), rules("later")).unwrap();
    assert!(Command::new("mkfifo").arg(path("slow.toml")).status().unwrap().success());
    let served = HttpSensor::with(&config("first.toml"), &[]);
    let reload = || kill(Pid::from_raw(served.sensor.id().cast_signed()), Signal::SIGHUP).unwrap();

    served.configure(&config("slow.toml"));
    reload();
    // Blocks until the sensor opens the FIFO for reading.
    let mut slow = OpenOptions::new().write(true).open(path("slow.toml")).unwrap();
    served.configure(&config("later.toml"));
    reload();
    thread::sleep(Duration::from_millis(500));
    slow.write_all(rules("slow").as_bytes()).unwrap();
    drop(slow);
    let done = || served.sensor.stderr().lines().filter(|line| line.ends_with("configuration reloaded")).count() == 2;
    assert!(until(SOON, done), "{}", served.sensor.stderr());
    let listed = served.json("/api/v1/rules");
    let is_active = |name: &str| listed["rules"].as_array().unwrap().iter().any(|rule| rule["rule"] == name);
    assert!(is_active("later") && !is_active("slow"), "{listed:#}");
    served.sensor.stop().ok();
}

/// A thread stopped by a debugger. The thread resumes on drop.
struct StoppedThread(Child);

impl StoppedThread {
    fn new(process: u32, name: &str) -> Self {
        const DEBUGGER: &str = "\
import ctypes, sys
ptrace = ctypes.CDLL(None).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT = 0x4206, 0x4207
thread = int(sys.argv[1])
assert ptrace(SEIZE, thread, 0, 0) == 0 and ptrace(INTERRUPT, thread, 0, 0) == 0
print('stopped', flush=True)
sys.stdin.read()
";
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
        let named = threads.filter(|thread| fs::read_to_string(thread.join("comm")).unwrap().trim() == name);
        let thread = named.last().unwrap_or_else(|| panic!("no thread {name}"));
        let mut command = Command::new("python3");
        command.args(["-c", DEBUGGER]).arg(thread.file_name().unwrap());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "stopped\n");
        Self(child)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the messages received at a socket within a period of time.
fn receive_all(socket: &UnixDatagram, within: Duration) -> Vec<String> {
    let until = Instant::now() + within;
    let mut messages = Vec::new();
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        socket.set_read_timeout(Some(left)).unwrap();
        let mut message = [0; 512];
        if let Ok(length) = socket.recv(&mut message) {
            messages.push(String::from_utf8_lossy(&message[..length]).trim_end().to_owned());
        }
    }
    messages
}

#[test]
fn no_watchdog_message_is_sent_while_a_thread_hangs() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let served = HttpSensor::with("", &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);
    let watchdog_messages = |messages: Vec<String>| messages.iter().filter(|message| *message == "WATCHDOG=1").count();
    for thread in ["engine", "shard-0"] {
        assert!(watchdog_messages(receive_all(&socket, Duration::from_secs(3))) >= 3, "{}", served.sensor.stderr());
        let stopped = StoppedThread::new(served.sensor.id(), thread);
        // A thread without progress for five seconds is reported as blocked.
        receive_all(&socket, Duration::from_secs(7));
        assert_eq!(watchdog_messages(receive_all(&socket, Duration::from_secs(2))), 0, "{thread}");
        assert_eq!(served.request("GET", "/healthz").status, 503, "{thread}");
        drop(stopped);
        assert!(until(SOON, || served.request("GET", "/healthz").status == 200), "{thread}");
    }
    assert!(served.sensor.stderr().contains("the engine has made no progress for "), "{}", served.sensor.stderr());
    served.sensor.stop().ok();
}
