//! Access to the API: off, with the bearer token, over the Unix socket.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::*;

/// The status that curl gets with these options.
fn status(served: &HttpSensor, options: &[&str], path: &str) -> String {
    let url = format!("http://{}{path}", served.address);
    let curl = ["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}"];
    served.host().run(&[&curl, options, &[&url]].concat()).ok().stdout().to_owned()
}

#[test]
fn the_api_needs_the_token_and_metrics_do_not() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let with = |token: &str| ["-H".to_owned(), format!("Authorization: Bearer {token}")];
    let status_with = |token: &str, path: &str| {
        let options = with(token);
        status(&served, &options.each_ref().map(String::as_str), path)
    };
    for path in ["/api/v1/connections", "/api/v1/alerts", "/api/v1/stats", "/api/v1/rules", "/api/v1/first-seen"] {
        assert_eq!(status(&served, &[], path), "401", "{path}");
        assert_eq!(status_with(TOKEN, path), "200", "{path}");
        for wrong in ["", "x", &TOKEN[1..], &format!("{TOKEN}0"), &TOKEN.replace('f', "e")] {
            assert_eq!(status_with(wrong, path), "401", "{path} with {wrong}");
        }
    }
    for path in ["/metrics", "/healthz"] {
        assert_eq!(status(&served, &[], path), "200", "{path}");
    }
    served.sensor.stop().ok();
}

#[test]
fn without_a_token_the_api_is_off_over_tcp_and_a_socket_serves_it() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
    let (config, socket) = (folder.path().join("sensor.toml"), folder.path().join("api.sock"));
    fs::write(&config, "[http]\nsocket = \"api.sock\"\nsocket_group = \"daemon\"\n").unwrap();
    let options = ["--http", "127.0.0.1:9418", "--config", config.to_str().unwrap()];
    let sensor = RunningSensor::start(wire.server(), &options);
    let path = socket.to_str().unwrap();
    assert!(until(SOON, || sensor.stderr().contains(&format!("http: serving on {path}"))), "{}", sensor.stderr());
    let file = fs::symlink_metadata(&socket).unwrap();
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
    assert_eq!((file.mode() & 0o777, file.gid()), (0o660, group.gid.as_raw()));
    let curl = |options: &[&str], url: &str| {
        let outcome = wire.server().run(&[&["curl", "-sS", "--max-time", "10"], options, &[url]].concat()).ok();
        outcome.stdout().to_owned()
    };
    let over_tcp = curl(&[], "http://127.0.0.1:9418/api/v1/connections");
    assert!(over_tcp.contains("the API is off over TCP; set http.token_file"), "{over_tcp}");
    assert!(curl(&[], "http://127.0.0.1:9418/metrics").contains("ja4sensor_build_info"));
    let over_socket = curl(&["--unix-socket", path], "http://localhost/api/v1/connections");
    assert!(over_socket.starts_with("{\"connections\":["), "{over_socket}");
    assert_eq!(curl(&["--unix-socket", path], "http://localhost/healthz"), "{\"status\":\"ok\"}\n");
    sensor.stop().ok();
    assert!(!socket.exists());
}

#[test]
fn wrong_settings_of_the_api_are_refused_at_the_start() {
    let Some(_exclusive) = exclusive() else { return };
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sensor.toml");
    fs::write(folder.path().join("short"), "secret\n").unwrap();
    for (keys, message) in [
        ("token_file = \"short\"", "its token has less than 16 characters; write one with `openssl rand -hex 32`"),
        ("token_file = \"none\"", "No such file"),
        ("socket = \"s\"\nsocket_group = \"no-such\"", "there is no group 'no-such'"),
        ("socket = \"sensor.toml\"", "the path is not a socket"),
    ] {
        fs::write(&config, format!("[http]\nlisten = \"127.0.0.1:0\"\n{keys}\n")).unwrap();
        let outcome = Sensor::new().run(&["run", "-i", "lo", "--config", config.to_str().unwrap()]);
        assert_ne!(outcome.code(), Some(0), "{keys}");
        outcome.stderr_has(message).stderr_has_one_line();
    }
}
