//! Notifications to systemd.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use ja4_user::system::notify::Notifier;

/// The environment belongs to the process, so the notifier runs in a child process.
#[test]
#[ignore = "systemd_receives_ready_watchdog_and_stopping runs it in a child process"]
fn send_notifications() {
    let notifier = Notifier::from_environment();
    notifier.ready();
    notifier.alive();
    notifier.status(&format!("alive every {:?}\nMAINPID=1", notifier.interval()));
    notifier.stopping();
}

#[test]
fn systemd_receives_ready_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let notify = |watchdog: Option<&str>, has_socket: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "notify::send_notifications", "--ignored"]).env_remove("NOTIFY_SOCKET");
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog);
        }
        if has_socket {
            command.env("NOTIFY_SOCKET", &path);
        }
        assert!(command.output().unwrap().status.success());
    };
    let receive = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim_end().to_owned()
    };
    notify(Some("3000000"), true);
    let received: Vec<_> = (0..4).map(|_| receive()).collect();
    assert_eq!(received, ["READY=1", "WATCHDOG=1", "STATUS=alive every Some(1.5s)MAINPID=1", "STOPPING=1"]);
    notify(None, true);
    let received: Vec<_> = (0..4).map(|_| receive()).collect();
    assert_eq!(received[2], "STATUS=alive every NoneMAINPID=1");

    notify(Some("3000000"), false);
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
}
