//! Unusable input: one clear error line and the documented exit status.
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::conversation::TcpConversation;
use tests::generate::{self, CaptureKind};
use tests::hello::{self, Shape};
use tests::packets::PcapWriter;
use tests::random::SplitMix64;
use tests::{Outcome, Sensor, process, require_bpf, require_root, require_tools, values};

/// Exit status: the file cannot be processed.
const UNREADABLE: i32 = 1;
/// Exit status: the command line is invalid.
const USAGE: i32 = 2;
/// Exit status: a privilege is missing.
const PRIVILEGE: i32 = 3;

fn replay(file: &Path) -> Outcome {
    Sensor::new().run(&[OsStr::new("replay"), file.as_os_str()])
}

/// Writes a capture of a conversation with one ClientHello and one ServerHello.
fn capture(folder: &Path) -> PathBuf {
    let mut random = SplitMix64::new(11);
    let hello = hello::records(&Shape::Curl.client_hello("example.org", &mut random), usize::MAX);
    let flight = hello::server_flight_13(&mut random, 64);
    TcpConversation::new().handshake().client(&hello).server(&flight).close().save(folder, "good.pcap")
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_missing_file_is_named() {
    replay(Path::new("/nowhere/missing.pcap"))
        .status(UNREADABLE)
        .stderr_has("/nowhere/missing.pcap")
        .stderr_has_one_line();
}

#[test]
fn a_folder_is_not_a_capture() {
    let folder = TempDir::new().unwrap();
    replay(folder.path())
        .status(UNREADABLE)
        .stderr_has(folder.path().to_str().unwrap())
        .stderr_has("directory")
        .stderr_has_one_line();
}

#[test]
fn an_empty_file_is_reported_as_empty() {
    let folder = TempDir::new().unwrap();
    replay(&file(folder.path(), "nothing.pcap", &[]))
        .status(UNREADABLE)
        .stderr_has("nothing.pcap")
        .stderr_has("empty")
        .stderr_has_one_line();
}

#[test]
fn a_file_that_is_not_a_capture_is_rejected() {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in
        [("text.pcap", &b"Dear sir or madam,\n"[..]), ("short.pcap", &[0xd4][..]), ("zeros", &[0; 4096][..])]
    {
        replay(&file(folder.path(), name, bytes))
            .status(UNREADABLE)
            .stderr_has(name)
            .stderr_has("capture")
            .stderr_has_one_line();
    }
}

#[test]
fn a_file_truncated_in_a_packet_yields_its_complete_packets_and_a_warning() {
    let folder = TempDir::new().unwrap();
    let whole = capture(folder.path());
    let bytes = fs::read(&whole).unwrap();
    // Cuts inside the last packet, a bare ACK after all packets that yield fingerprints.
    let cut = file(folder.path(), "cut.pcap", &bytes[..bytes.len() - 30]);
    let outcome = replay(&cut).status(UNREADABLE).stderr_has("cut.pcap").stderr_has("truncated").stderr_has_one_line();
    let (events, whole) = (outcome.events(), replay(&whole).ok().events());
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(&events, kind), values(&whole, kind), "{kind}");
    }
    assert_eq!(values(&events, "ja4"), [Shape::Curl.ja4()]);
}

#[test]
fn a_file_truncated_in_a_packet_header_yields_a_warning() {
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(capture(folder.path())).unwrap();
    let first = 24 + 16 + u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
    let outcome =
        replay(&file(folder.path(), "cut.pcap", &bytes[..first + 7])).status(UNREADABLE).stderr_has("truncated");
    assert_eq!(values(&outcome.events(), "ja4t").len(), 1, "the SYN before the truncation is fingerprinted");
}

#[test]
fn an_unsupported_link_type_is_named() {
    const IEEE_802_15_4: u32 = 195;
    let mut bytes = Vec::new();
    let mut pcap = PcapWriter::new(&mut bytes, IEEE_802_15_4).unwrap();
    pcap.packet(1_000_000_000, &[0; 64]).unwrap();
    pcap.finish().unwrap();
    let folder = TempDir::new().unwrap();
    replay(&file(folder.path(), "sensors.pcap", &bytes))
        .status(UNREADABLE)
        .stderr_has("sensors.pcap")
        .stderr_has("195")
        .stderr_has_one_line();
}

/// Returns a pcapng block: type, total length, body, total length again.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (12 + body.len() as u32).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

#[test]
fn a_pcapng_block_of_absurd_length_is_rejected_without_an_allocation() {
    let section = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let interface = block(1, &[1, 0, 0, 0, 0, 0, 4, 0]);
    let folder = TempDir::new().unwrap();
    for length in [0xffff_fffc_u32, 0x4000_0000, 4, 0] {
        let packet = [&6_u32.to_le_bytes()[..], &length.to_le_bytes(), &[0; 64]].concat();
        let path = file(folder.path(), "absurd.pcapng", &[&section[..], &interface, &packet].concat());
        let sensor = Sensor::new();
        // 1 GiB of address space: an allocation of the claimed length fails, and the test detects it.
        let mut limited = Command::new("sh");
        limited.args(["-c", r#"ulimit -v 1048576; exec "$0" replay "$1""#]).arg(sensor.binary()).arg(&path);
        let outcome = Outcome::new(process::run(limited, &[], process::LIMIT));
        outcome.status(UNREADABLE).stderr_has("absurd.pcapng").stderr_has("length").stderr_has_one_line();
    }
}

#[test]
fn standard_input_is_replayed_like_a_file() {
    let folder = TempDir::new().unwrap();
    let path = capture(folder.path());
    let from_file = replay(&path).ok();
    let from_stdin = Sensor::new().run_with_stdin(&["replay", "-"], &fs::read(&path).unwrap()).ok();
    assert_eq!(from_stdin.stdout(), from_file.stdout());
    Sensor::new().run(&["replay", "-"]).status(UNREADABLE).stderr_has("empty").stderr_has_one_line();
}

#[test]
fn compressed_files_are_detected_by_content_not_by_name() {
    let folder = TempDir::new().unwrap();
    let path = capture(folder.path());
    let (plain, bytes) = (replay(&path).ok(), fs::read(&path).unwrap());

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&bytes).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&bytes[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (name, packed) in [("gzip.txt", &gzip), ("zstd.pcap", &zstd), ("zstd.gz", &zstd)] {
        assert_eq!(replay(&file(folder.path(), name, packed)).ok().stdout(), plain.stdout(), "{name}");
    }
    assert_eq!(Sensor::new().run_with_stdin(&["replay", "-"], &gzip).ok().stdout(), plain.stdout());
    // A truncated download.
    replay(&file(folder.path(), "half.gz", &gzip[..gzip.len() / 2]))
        .status(UNREADABLE)
        .stderr_has("half.gz")
        .stderr_has_one_line();
}

#[test]
fn an_invalid_file_does_not_prevent_the_replay_of_a_valid_one() {
    let folder = TempDir::new().unwrap();
    let good = capture(folder.path());
    let bad = file(folder.path(), "bad.pcap", b"no capture");
    let outcome = Sensor::new().run(&[OsStr::new("replay"), good.as_os_str(), bad.as_os_str()]);
    let outcome = outcome.status(UNREADABLE).stderr_has("bad.pcap");
    assert_eq!(values(&outcome.events(), "ja4"), [Shape::Curl.ja4()]);
}

#[test]
fn an_option_names_capture_files_as_operands_do() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (capture(folder.path()), folder.path().join("two.pcap"));
    fs::copy(&one, &two).unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let operands = Sensor::new().run(&["replay", one, two]).ok();
    assert_ne!(Sensor::new().run(&["replay", one]).ok().stdout(), operands.stdout());
    assert_eq!(Sensor::new().run(&["replay", "-r", one, "-r", two]).ok().stdout(), operands.stdout());
}

#[test]
fn an_invalid_command_line_has_its_own_exit_status() {
    let folder = TempDir::new().unwrap();
    let good = capture(folder.path());
    let good = good.to_str().unwrap();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["replay"],
        &["replay", "-r", good, good],
        &["replay", "--no-such-flag", good],
        &["replay", "--format", "xml", good],
        &["replay", "--shards", "0", good],
        &["replay", "--shards", "many", good],
        &["replay", "--types", "ja4,ja5", good],
        &["run"],
        &["run", "-i", "lo", "--hook", "sideways"],
        &["run", "-i", "lo", "--direction", "up"],
    ] {
        let outcome = Sensor::new().run(arguments).status(USAGE);
        assert!(outcome.stdout().is_empty(), "{arguments:?}: stdout is not empty");
        assert!(!outcome.stderr().trim().is_empty(), "{arguments:?}: no error is reported");
    }
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    for name in ["nosuch0", "a-name-that-no-kernel-takes"] {
        Sensor::new().run(&["run", "-i", name]).status(USAGE).stderr_has(name).stderr_has_one_line();
        Sensor::new().run(&["run", "-i", "lo", "-i", name]).status(USAGE).stderr_has(name).stderr_has_one_line();
    }
}

#[test]
fn a_missing_privilege_is_reported_with_its_fix() {
    if !require_root() || !require_tools(&["setpriv"]) {
        return;
    }
    // The binary is copied to a folder that every user can read, wherever the build folder is.
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("ja4sensor");
    process::copy_program(Sensor::new().binary(), &binary);
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();

    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).args(["run", "-i", "lo"]);
    command.current_dir("/").env_remove("RUST_LOG");
    let outcome = Outcome::new(process::run(command, &[], process::LIMIT)).status(PRIVILEGE);
    outcome
        .stderr_has("CAP_BPF")
        .stderr_has("CAP_NET_ADMIN")
        .stderr_has("CAP_PERFMON")
        .stderr_has("setcap")
        .stderr_has_one_line();
}

/// Runs the sensor as root without these capabilities, which are also dropped from the bounding set.
fn run_without(capabilities: &str, arguments: &str) -> Outcome {
    let script = format!("exec {} {arguments}", Sensor::new().binary().display());
    let mut command = Command::new("capsh");
    command.args([&format!("--drop={capabilities}"), "--", "-c", &script]);
    Outcome::new(process::run(command, &[], process::LIMIT))
}

/// Writes a configuration without HTTP, since `check` would also report a port that the sensor of another test holds.
fn without_http(folder: &Path) -> String {
    let file = folder.join("without_http.toml");
    fs::write(&file, "[http]\nlisten = \"off\"\n").unwrap();
    file.display().to_string()
}

#[test]
fn a_missing_capability_is_named_before_anything_starts() {
    if !require_root() || !require_tools(&["capsh"]) {
        return;
    }
    const NAMES: [&str; 3] = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"];
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let run = format!("run -i lo --db {}", database.display());
    let check = format!("check -i lo --config {}", without_http(folder.path()));
    for (dropped, missing) in [
        ("cap_bpf,cap_sys_admin", &["CAP_BPF"][..]),
        ("cap_perfmon,cap_sys_admin", &["CAP_PERFMON"]),
        ("cap_net_admin", &["CAP_NET_ADMIN"]),
        ("cap_bpf,cap_perfmon,cap_sys_admin,cap_net_admin", &NAMES),
    ] {
        for arguments in [&run, &check] {
            let outcome = run_without(dropped, arguments)
                .status(PRIVILEGE)
                .stderr_has("setcap")
                .stderr_has("bounding set")
                .stderr_has_one_line();
            let named: Vec<_> = NAMES.into_iter().filter(|name| outcome.stderr().contains(name)).collect();
            assert_eq!(named, missing, "{}", outcome.stderr());
        }
        assert!(!database.exists(), "{dropped}: the database was opened first");
    }
}

#[test]
fn cap_sys_admin_is_a_substitute_for_the_newer_capabilities() {
    if !require_bpf() || !require_tools(&["capsh"]) {
        return;
    }
    run_without("cap_bpf,cap_perfmon", "check -i lo").ok().stdout_has("loads the BPF programs");
}

#[test]
fn root_of_a_user_namespace_lacks_the_capabilities() {
    if !require_root() || !require_tools(&["unshare"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let config = without_http(folder.path());
    for arguments in [["run", "-i", "lo", "--config", &config], ["check", "-i", "lo", "--config", &config]] {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--"]).arg(Sensor::new().binary()).args(arguments);
        let outcome = Outcome::new(process::run(command, &[], process::LIMIT)).status(PRIVILEGE);
        outcome.stderr_has("CAP_BPF").stderr_has("user namespace").stderr_has_one_line();
    }
}

#[test]
fn check_fails_where_run_fails() {
    if !require_bpf() || !require_tools(&["capsh", "unshare", "ip", "mount"]) {
        return;
    }
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        let script = script.replace("SENSOR", Sensor::new().binary().to_str().unwrap());
        command.args(["--net", "--mount", "--", "sh", "-c", &script]);
        Outcome::new(process::run(command, &[], process::LIMIT))
    };
    shell("SENSOR check -i lo").ok();
    // TUNSETIFF with IFF_TUN | IFF_NO_PI, and TUNSETLINK: 280 is CAN.
    let tunnel = "mount -t sysfs sysfs /sys && ip tuntap add dev tun9 mode tun && ";
    let other_link_type = "python3 -c \"import fcntl; f = open('/dev/net/tun', 'r+b', 0); \
        fcntl.ioctl(f, 0x400454ca, b'tun9'.ljust(16, bytes(1)) + b'\\1\\x10'.ljust(24, bytes(1))); \
        fcntl.ioctl(f, 0x400454cd, 280)\" && ";
    let (unsupported, no_ethernet) = ("neither an Ethernet nor an IP header", "no Ethernet header, which XDP needs");
    for (before, command, cause) in [
        (other_link_type, "check -i tun9", unsupported),
        (other_link_type, "run -i tun9 --http off", unsupported),
        ("", "run -i tun9 --http off --hook generic", no_ethernet),
        ("", "run -i tun9 --http off --hook native", no_ethernet),
    ] {
        shell(&format!("{tunnel}{before}exec SENSOR {command}"))
            .status(USAGE)
            .stderr_has("tun9")
            .stderr_has(cause)
            .stderr_has_one_line();
    }
    shell(&format!("{tunnel}exec SENSOR check -i tun9"))
        .ok()
        .stdout_has("tun9: ingress tc (no Ethernet header), egress tc");
    shell("mount -t tmpfs none /sys/kernel/btf && exec SENSOR check")
        .status(PRIVILEGE)
        .stderr_has("BTF")
        .stderr_has_one_line();
    // A configuration error takes precedence: it affects every user.
    let folder = TempDir::new().unwrap();
    let (good, bad) = (file(folder.path(), "good.toml", b""), file(folder.path(), "bad.toml", b"[captur]\n"));
    let check = |config: &Path| run_without("cap_net_admin", &format!("check --config {}", config.display()));
    check(&bad).status(USAGE).stderr_has("captur").stderr_has_one_line();
    check(&good).status(PRIVILEGE).stderr_has("CAP_NET_ADMIN").stdout_has("good.toml: valid");
}

#[test]
fn check_reports_resources_in_use_by_another_sensor() {
    if !require_bpf() || !require_tools(&["unshare", "ip"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let config = |name: &str, text: &str| file(folder.path(), name, text.as_bytes());
    let (hook, port) = ("[capture]\ninterfaces = ['lo']\nhook = 'generic'\n", "[http]\nlisten = '127.0.0.1:9418'\n");
    let history = format!("[storage]\npath = '{}'\n", folder.path().join("x.db").display());
    config("all.toml", &format!("{hook}{port}{history}"));
    config("hook.toml", hook);
    config("port.toml", port);
    config("history.toml", &history);
    let script = "ip link set lo up; SENSOR run --config all.toml > out 2> err & pid=$!
        for i in $(seq 200); do grep -q attached err && break; sleep 0.1; done
        for name in hook port history; do SENSOR check --config $name.toml > $name 2>&1; echo $name $?; done
        kill $pid; wait $pid; echo run $?; SENSOR check --config all.toml > all; echo all $?";
    let script = script.replace("SENSOR", Sensor::new().binary().to_str().unwrap());
    let mut command = Command::new("unshare");
    command.current_dir(folder.path()).args(["--net", "--", "sh", "-c", &script]);
    let outcome = Outcome::new(process::run(command, &[], process::LIMIT));
    let output = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let all = ["err", "hook", "port", "history"].map(output).join("\n");
    outcome.ok().stdout_has("hook 1\nport 1\nhistory 1\nrun 0\nall 0\n");
    for cause in ["XDP", "another process listens there", "x.db"] {
        assert!(all.contains(cause), "{cause}: {all}");
    }
}

/// Starts a replay with more output than a pipe holds.
fn long_replay(folder: &Path, stdout: Stdio) -> std::process::Child {
    let path = folder.join("long.pcap");
    generate::write(CaptureKind::Dense, 0.05, 1, &mut File::create(&path).unwrap()).unwrap();
    let mut command = Sensor::new().command(&[OsStr::new("replay"), path.as_os_str()]);
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_closed_output_ends_the_replay_without_an_error() {
    let folder = TempDir::new().unwrap();
    let mut child = long_replay(folder.path(), Stdio::piped());
    let mut line = String::new();
    // Reads one line, as `| head -1` does.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{') && line.ends_with("}\n"), "not a complete line: {line}");
    let stderr = process::collect(child.stderr.take().unwrap());
    let status = process::wait(&mut child, process::LIMIT).expect("the replay ends");
    let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = TempDir::new().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child = long_replay(folder.path(), full.into());
    let stderr = process::collect(child.stderr.take().unwrap());
    let status = process::wait(&mut child, process::LIMIT).expect("the replay ends");
    let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("space"), "{stderr}");
}

#[test]
fn a_kernel_without_btf_is_reported() {
    if !require_root() || !require_tools(&["unshare", "mount"]) {
        return;
    }
    let script = format!("mount -t tmpfs none /sys/kernel/btf && exec {} run -i lo", Sensor::new().binary().display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", &script]);
    Outcome::new(process::run(command, &[], process::LIMIT)).status(PRIVILEGE).stderr_has("BTF").stderr_has_one_line();
}
