//! Notifications to systemd.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use ja4_user::system::notify::Notifier;

/// The environment belongs to the process, so the notifier runs in a child process.
#[test]
#[ignore = "the next one runs it, with an environment of its own"]
fn speaks() {
    let notifier = Notifier::from_environment();
    notifier.ready();
    notifier.alive();
    notifier.status(&format!("alive every {:?}\nMAINPID=1", notifier.interval()));
    notifier.stopping();
}

#[test]
fn systemd_hears_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let speak = |watchdog: Option<&str>, listens: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "notify::speaks", "--ignored"]).env_remove("NOTIFY_SOCKET");
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog);
        }
        if listens {
            command.env("NOTIFY_SOCKET", &path);
        }
        assert!(command.output().unwrap().status.success());
    };
    let hear = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim_end().to_owned()
    };
    speak(Some("3000000"), true);
    let heard: Vec<_> = (0..4).map(|_| hear()).collect();
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "STATUS=alive every Some(1.5s)MAINPID=1", "STOPPING=1"]);
    speak(None, true);
    let heard: Vec<_> = (0..4).map(|_| hear()).collect();
    assert_eq!(heard[2], "STATUS=alive every NoneMAINPID=1");

    speak(Some("3000000"), false);
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
}
