//! Interfaces that appear, vanish, are renamed, moved or created again while the sensor runs.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::bpf;
use tests::process::Spawned;

use super::*;

/// Longest wait for a change.
const SOON: Duration = Duration::from_secs(10);

/// Interface of the server in the tests, beside the one of the wire.
const NAME: &str = "w1";

/// A wire with a TLS server, and room for a second link between its hosts.
struct ChangingHost {
    wire: Wire,
    _server: Spawned,
    _chain: Chain,
    /// The sensor's configuration, and the socket of its API.
    folder: TempDir,
}

impl ChangingHost {
    fn new() -> Self {
        let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
        let server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("sensor.toml"), "[http]\nsocket = \"api.sock\"\n").unwrap();
        Self { wire, _server: server, _chain: chain, folder }
    }

    fn host(&self) -> &Namespace {
        self.wire.server()
    }

    /// Creates the second link.
    fn add_link(&self) {
        let (client, server) = (self.wire.client(), self.host());
        client.ip(&["link", "add", "peer", "type", "veth", "peer", "name", NAME, "netns", server.name()]);
        client.ip(&["link", "set", "peer", "up"]);
        client.ip(&["addr", "add", "10.97.0.1/24", "dev", "peer"]);
        self.bring_up(NAME);
    }

    /// Activates the server's end of the second link, which has this name, and sets its address.
    fn bring_up(&self, name: &str) {
        let host = self.host();
        host.ip(&["link", "set", name, "up"]);
        host.ip(&["addr", "replace", "10.97.0.2/24", "dev", name]);
        let state = format!("/sys/class/net/{name}/operstate");
        assert!(until(SOON, || host.run(&["cat", &state]).stdout().trim() == "up"), "{name} is not up");
    }

    fn delete_link(&self) {
        self.host().ip(&["link", "del", NAME]);
    }

    /// Visits the server over the second link.
    fn visit(&self) {
        peers::openssl_client(self.wire.client(), Ipv4Addr::new(10, 97, 0, 2).into(), 443, &[]);
    }

    /// Starts a sensor with these selections, and waits until it serves HTTP.
    fn sensor(&self, selections: &[&str], options: &[&str]) -> RunningSensor {
        let config = self.folder.path().join("sensor.toml");
        let mut arguments = vec!["run", "--config", config.to_str().unwrap()];
        arguments.extend(selections.iter().flat_map(|name| ["-i", name]));
        arguments.extend(options);
        let sensor = RunningSensor::spawn(self.host().enter(&Sensor::new().command(&arguments)));
        let is_ready = until(Duration::from_secs(20), || sensor.stderr().contains("serving on"));
        assert!(is_ready, "{}", sensor.stderr());
        sensor
    }

    /// Returns status and body of a page of the sensor.
    fn get(&self, path: &str) -> (String, String) {
        let (socket, url) = (self.folder.path().join("api.sock"), format!("http://localhost{path}"));
        let options = ["-s", "-w", "\n%{http_code}", "--unix-socket", socket.to_str().unwrap()];
        let answer = self.host().run(&[&["curl"], &options[..], &[&url]].concat()).ok();
        let (body, status) = answer.stdout().rsplit_once('\n').expect("a body and a status");
        (status.to_owned(), body.to_owned())
    }

    fn stats(&self) -> Value {
        let mut event: Value = serde_json::from_str(&self.get("/api/v1/stats").1).expect("JSON");
        event["stats"].take()
    }

    /// Waits until `/healthz` has this status, and returns the body.
    fn wait_health(&self, status: &str) -> String {
        let mut last = Default::default();
        let found = until(SOON, || {
            last = self.get("/healthz");
            last.0 == status
        });
        assert!(found, "not {status} but {last:?}");
        last.1
    }

    /// Waits until an interface has been attached this many times.
    fn wait_attached(&self, sensor: &RunningSensor, name: &str, times: usize) {
        let line = format!(" {name}: attached");
        let has_line = || sensor.stderr().lines().filter(|text| text.contains(&line)).count() == times;
        assert!(until(SOON, has_line), "{line} not {times} times:\n{}", sensor.stderr());
    }
}

/// Waits until standard error has a text.
fn wait_logged(sensor: &RunningSensor, text: &str) {
    assert!(until(SOON, || sensor.stderr().contains(text)), "no {text:?}:\n{}", sensor.stderr());
}

/// The number of TLS clients that were seen on an interface first.
fn clients_on(events: &[Value], interface: &str) -> usize {
    let is_there = |event: &&&Value| event["fingerprint"]["type"] == "ja4" && event["in_iface"] == interface;
    fingerprints(events).iter().filter(is_there).count()
}

fn wait_clients(sensor: &RunningSensor, interface: &str, count: usize) {
    sensor.wait_for(&format!("{count} clients on {interface}"), |events| clients_on(events, interface) == count);
}

#[test]
fn an_interface_that_appears_is_watched() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let sensor = changing.sensor(&["w*"], &[]);
    assert!(sensor.stderr().contains("w* matches no interface yet"), "{}", sensor.stderr());
    changing.wait_health("200");
    changing.add_link();
    changing.wait_attached(&sensor, NAME, 1);
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    let stats = changing.stats();
    assert_eq!((&stats["attachments"]["attached"], &stats["attachments"]["attaches"]), (&1.into(), &1.into()));
    counters::assert_conserved(&sensor.stop().ok().events());
}

#[test]
fn an_interface_that_is_created_again_is_watched_again() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    changing.add_link();
    let sensor = changing.sensor(&[NAME], &[]);
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    changing.delete_link();
    assert!(changing.wait_health("503").contains("w1: there is no such interface"));
    wait_logged(&sensor, "w1: detached, the interface was removed");
    assert_eq!(changing.stats()["attachments"]["missing"], 1);
    changing.add_link();
    changing.wait_attached(&sensor, NAME, 2);
    changing.wait_health("200");
    changing.visit();
    wait_clients(&sensor, NAME, 2);
    let outcome = sensor.stop().ok();
    assert_eq!(outcome.stderr().matches("the interface was removed").count(), 1, "{}", outcome.stderr());
    counters::assert_conserved(&outcome.events());
}

#[test]
fn a_renamed_interface_stays_attached_and_has_its_new_name_in_events() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let host = changing.host();
    changing.add_link();
    let sensor = changing.sensor(&["w*"], &[]);
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    let rename = |from: &str, to: &str| {
        host.ip(&["link", "set", from, "down"]);
        host.ip(&["link", "set", from, "name", to]);
        changing.bring_up(to);
    };
    rename(NAME, "w2");
    wait_logged(&sensor, "w1: renamed to w2");
    changing.visit();
    wait_clients(&sensor, "w2", 1);
    let stats = changing.stats();
    assert_eq!((&stats["attachments"]["attaches"], &stats["attachments"]["detaches"]), (&1.into(), &0.into()));
    assert!(stats["interfaces"]["w2"].is_object() && stats["interfaces"][NAME].is_null(), "{stats:#}");
    rename("w2", "other");
    wait_logged(&sensor, "w2: detached, renamed to other, which is not selected");
    rename("other", "w3");
    changing.wait_attached(&sensor, "w3", 1);
    changing.visit();
    wait_clients(&sensor, "w3", 1);
    assert_eq!(clients_on(&sensor.stop().ok().events(), NAME), 1);
}

#[test]
fn an_interface_that_is_moved_away_is_detached_and_watched_when_it_is_back() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let (host, other) = (changing.host(), changing.wire.client());
    for options in [&[][..], &["--hook", "generic"], &["--hook", "tc"]] {
        changing.add_link();
        let sensor = changing.sensor(&["w*"], options);
        changing.visit();
        wait_clients(&sensor, NAME, 1);
        host.ip(&["link", "set", NAME, "netns", other.name()]);
        wait_logged(&sensor, "w1: detached, the interface was removed");
        let link = || other.run(&["ip", "-d", "link", "show", NAME]).ok().stdout().contains(" xdp");
        assert!(until(SOON, || !link() && other.with(|| bpf::tcx_programs(NAME)) == 0), "{options:?}");
        other.ip(&["link", "set", NAME, "netns", host.name()]);
        changing.bring_up(NAME);
        changing.wait_attached(&sensor, NAME, 2);
        changing.visit();
        wait_clients(&sensor, NAME, 2);
        counters::assert_conserved(&sensor.stop().ok().events());
        changing.delete_link();
    }
}

/// It has the same index again, but the kernel has removed the filters of clsact.
#[test]
fn an_interface_that_was_away_for_a_moment_is_attached_again() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let (host, other) = (changing.host(), changing.wire.client());
    changing.add_link();
    let sensor = changing.sensor(&["w*"], &[]);
    changing.wait_attached(&sensor, NAME, 1);
    let pid = Pid::from_raw(i32::try_from(sensor.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    host.ip(&["link", "set", NAME, "netns", other.name()]);
    other.ip(&["link", "set", NAME, "netns", host.name()]);
    changing.bring_up(NAME);
    kill(pid, Signal::SIGCONT).unwrap();
    changing.wait_attached(&sensor, NAME, 2);
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    sensor.stop().ok();
}

#[test]
fn any_follows_interfaces_that_go_down_and_up() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    changing.add_link();
    let sensor = changing.sensor(&["any"], &[]);
    changing.wait_attached(&sensor, NAME, 1);
    changing.host().ip(&["link", "set", NAME, "down"]);
    wait_logged(&sensor, "w1: detached, the interface is down");
    assert_eq!(changing.stats()["attachments"]["attached"], 1);
    changing.bring_up(NAME);
    changing.wait_attached(&sensor, NAME, 2);
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    changing.wait_health("200");
    sensor.stop().ok();
}

#[test]
fn an_interface_that_another_program_occupies_is_reported_and_watched_once_it_is_free() {
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let wire_interface = changing.host().interface();
    let first = RunningSensor::start(changing.host(), &["--hook", "generic", "--http", "off"]);
    let sensor = changing.sensor(&["ve*"], &["--hook", "generic"]);
    let failure = changing.wait_health("503");
    assert!(failure.contains("another XDP program is attached"), "{failure}");
    assert_eq!(changing.stats()["attachments"]["failing"], 1);
    // A change of another interface is no reason to log the failure again.
    changing.add_link();
    changing.delete_link();
    first.stop().ok();
    changing.wait_attached(&sensor, wire_interface, 1);
    changing.wait_health("200");
    let outcome = sensor.stop().ok();
    assert_eq!(outcome.stderr().matches("cannot attach").count(), 1, "{}", outcome.stderr());
}

/// BPF objects that a process holds, by kind, and the number of its descriptors. Nothing is pinned, so that the kernel has
/// no other object of the sensor.
fn held_objects(sensor: &RunningSensor) -> [usize; 4] {
    let descriptors = fs::read_dir(format!("/proc/{}/fdinfo", sensor.id())).expect("the sensor runs");
    let texts: Vec<_> = descriptors.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect();
    let held = |key: &str| texts.iter().filter(|text| text.lines().any(|line| line.starts_with(key))).count();
    [texts.len(), held("prog_id:"), held("link_id:"), held("map_id:")]
}

#[test]
fn a_hundred_pairs_that_come_and_go_leave_nothing_behind_and_lose_nothing_else() {
    const PAIRS: usize = 100;
    const CLIENTS: usize = 20;
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let host = changing.host();
    let sensor = changing.sensor(&["any"], &[]);
    changing.wait_attached(&sensor, host.interface(), 1);
    let visit = || peers::openssl_client(changing.wire.client(), host.v4(), 443, &[]);
    // The first visit adds the name of the interface.
    visit();
    let before = held_objects(&sensor);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for pair in 0..PAIRS {
                let (one, two) = (format!("s{pair}a"), format!("s{pair}b"));
                host.ip(&["link", "add", &one, "up", "type", "veth", "peer", "name", &two]);
                host.ip(&["link", "set", &two, "up"]);
                host.ip(&["link", "del", &one]);
            }
        });
        scope.spawn(|| (1..CLIENTS).for_each(|_| drop(visit())));
    });
    let is_alone = || changing.stats()["attachments"]["attached"] == 1;
    assert!(until(SOON, is_alone), "{:#}", changing.stats()["attachments"]);
    let settled = until(SOON, || held_objects(&sensor) == before);
    assert!(settled, "{before:?} became {:?}", held_objects(&sensor));
    let stats = changing.stats();
    let interfaces: Vec<_> = stats["interfaces"].as_object().unwrap().keys().collect();
    assert_eq!(interfaces, [host.interface()]);
    assert!(stats["attachments"]["attaches"].as_u64() > Some(1), "no pair was attached: {stats:#}");
    assert_eq!(
        stats["attachments"]["attaches"].as_u64().unwrap() - 1,
        stats["attachments"]["detaches"].as_u64().unwrap()
    );
    changing.wait_health("200");
    let events = sensor.stop().ok().events();
    assert_eq!((clients_on(&events, host.interface()), values(&events, "ja4s").len()), (CLIENTS, CLIENTS));
    let last = counters::assert_conserved(&events);
    assert_eq!((stats_u64(last, &["kernel", "ring_full"]), stats_u64(last, &["kernel", "rate_limited"])), (0, 0));
}

/// The kernel drops reports of changes once 4 MiB of them wait.
#[test]
fn changes_that_the_kernel_dropped_are_noticed() {
    const CHANGES: usize = 6000;
    let Some(_exclusive) = exclusive() else { return };
    let changing = ChangingHost::new();
    let host = changing.host();
    changing.add_link();
    host.ip(&["link", "add", "noise", "type", "veth", "peer", "name", "noise2"]);
    let sensor = changing.sensor(&["w*"], &[]);
    changing.wait_attached(&sensor, NAME, 1);
    let pid = Pid::from_raw(i32::try_from(sensor.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changes");
    let changes = (0..CHANGES).map(|change| format!("link set noise mtu {}\n", 1000 + change % 2));
    fs::write(&file, changes.collect::<String>()).unwrap();
    host.ip(&["-batch", file.to_str().unwrap()]);
    changing.delete_link();
    changing.add_link();
    kill(pid, Signal::SIGCONT).unwrap();
    changing.wait_attached(&sensor, NAME, 2);
    let overruns = &changing.stats()["attachments"]["overruns"];
    assert!(overruns.as_u64() > Some(0), "{overruns}");
    changing.visit();
    wait_clients(&sensor, NAME, 1);
    sensor.stop().ok();
}

#[test]
fn removal_of_an_interface_leaves_the_others_attached() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let sensor = RunningSensor::start_on(Some(host), &[host.interface(), "lo"], &[]);
    let before = sensor.stderr().len();
    host.run(&["ip", "link", "del", host.interface()]).ok();
    let reported = until(Duration::from_secs(10), || sensor.stderr()[before..].contains(host.interface()));
    assert!(reported, "the removal of {} is not reported:\n{}", host.interface(), sensor.stderr());
    peers::openssl_client(host, IpAddr::V4(Ipv4Addr::LOCALHOST), 443, &[]);
    assert_eq!(values(&sensor.stop().ok().events(), "ja4").len(), 1);
}
