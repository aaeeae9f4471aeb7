//! What the tests and `cargo xtask ci` need of the machine: Debian packages, Python packages, privileges.
//!
//! This is the only list of packages. `.ci/run` installs those that compile this program, and leaves the rest to
//! `cargo xtask ci --install`.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::{in_path, root, succeed};
use crate::run::is_root;

/// Set to `bpf`, a test that cannot run fails instead of being skipped.
const REQUIRE: &str = "JA4_TEST_REQUIRE";

/// Names the Python interpreter that has the packages of [`PYTHON_PACKAGES`].
const PYTHON: &str = "JA4_TEST_PYTHON";

/// The virtual environment that has them by default, from the top of the checkout.
const PYTHON_ENVIRONMENT: &str = "target/test-python";

const PYTHON_PACKAGES: &str = "tests/requirements.txt";

/// A Debian package.
struct Package {
    /// Its name, then the names in releases that lack it.
    names: &'static [&'static str],
    proof: Proof,
}

/// How to recognize that a package is installed.
enum Proof {
    /// A program in PATH or in root's folders, whichever package it is from.
    Program(&'static str),
    /// The package database: the package has no program of its own.
    Database,
}

const fn program(names: &'static [&'static str], program: &'static str) -> Package {
    Package { names, proof: Proof::Program(program) }
}

const fn package(names: &'static [&'static str]) -> Package {
    Package { names, proof: Proof::Database }
}

/// Packages that the tests need.
const TEST: &[Package] = &[
    // Network namespaces, offloads, privileges, attached programs.
    program(&["iproute2"], "ip"),
    program(&["ethtool"], "ethtool"),
    program(&["bpftool", "linux-tools-common"], "bpftool"),
    program(&["procps"], "sysctl"),
    program(&["libcap2-bin"], "capsh"),
    program(&["mount"], "mount"),
    // Interfaces without Ethernet headers; their tests run where the kernel has them.
    program(&["wireguard-tools"], "wg"),
    program(&["ppp"], "pppd"),
    program(&["socat"], "socat"),
    // Clients and servers.
    program(&["curl"], "curl"),
    program(&["openssl"], "openssl"),
    program(&["nginx-light", "nginx"], "nginx"),
    program(&["nghttp2-client"], "nghttp"),
    program(&["openvpn"], "openvpn"),
    program(&["openssh-client"], "ssh"),
    program(&["openssh-server"], "sshd"),
    program(&["dnsmasq-base"], "dnsmasq"),
    program(&["isc-dhcp-client"], "dhclient"),
    program(&["udhcpc"], "udhcpc"),
    program(&["rsyslog"], "rsyslogd"),
    package(&["rsyslog-gnutls"]),
    program(&["systemd"], "journalctl"),
    program(&["python3"], "python3"),
    package(&["python3-venv"]),
    program(&["prometheus"], "prometheus"),
    // A terminal.
    program(&["tmux"], "tmux"),
    // Recording and replaying traffic, measuring throughput, compressing captures.
    program(&["tcpdump"], "tcpdump"),
    program(&["tcpreplay"], "tcpreplay"),
    program(&["iperf3"], "iperf3"),
    program(&["gzip"], "gzip"),
    program(&["zstd"], "zstd"),
];

/// Packages that `cargo xtask ci` needs as well.
const CI: &[Package] = &[
    program(&["build-essential"], "cc"),
    package(&["ca-certificates"]),
    program(&["git"], "git"),
    program(&["pkg-config"], "pkg-config"),
    // A component of rustup.
    program(&["rustfmt-web", "rustfmt"], "rustfmt"),
    // The compiler of the committed BPF object, the source of its core, its clippy. They are in Debian 12.
    package(&["rustc-web"]),
    package(&["cargo-web"]),
    package(&["rust-web-src"]),
    package(&["rust-web-clippy"]),
    // The libraries that bpf-linker is linked with.
    package(&["llvm-22-dev"]),
    package(&["libzstd-dev"]),
    package(&["zlib1g-dev"]),
];

/// Packages that `cargo xtask ci --long --kernel FOLDER` needs as well, for the virtual machine.
const KERNELS: &[Package] = &[
    program(&["qemu-system-x86"], "qemu-system-x86_64"),
    package(&["busybox-static"]),
    program(&["cpio"], "cpio"),
    program(&["kmod"], "depmod"),
];

/// The command that has requirements. Each one has those of the commands before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Scope {
    Test,
    Ci,
    Kernels,
}

impl Scope {
    fn packages(self) -> impl Iterator<Item = &'static Package> {
        let lists = [(Self::Test, TEST), (Self::Ci, CI), (Self::Kernels, KERNELS)];
        lists.into_iter().filter(move |(scope, _)| *scope <= self).flat_map(|(_, list)| list)
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "cargo xtask test",
            Self::Ci => "cargo xtask ci",
            Self::Kernels => "cargo xtask ci --long --kernel FOLDER",
        })
    }
}

/// Installs what is missing if `install` is set, and reports on stderr what is missing then.
///
/// # Errors
///
/// When packages cannot be installed, or the tests lack something and [`REQUIRE`] forbids to skip any.
pub(crate) fn prepare(scope: Scope, install: bool) -> Result<()> {
    let missing = Missing::find(scope)?;
    if install {
        missing.install()?;
    }
    let missing = Missing::find(scope)?;
    if missing.is_empty() {
        return Ok(());
    }
    if env::var_os(REQUIRE).is_some_and(|required| required == "bpf") {
        let missing = Missing::find(Scope::Test)?;
        if !missing.is_empty() {
            bail!("{REQUIRE}=bpf forbids skipping tests\n{missing}");
        }
    }
    let effect = if scope == Scope::Test {
        "Tests that need these are skipped."
    } else {
        "Tests that need these are skipped; steps fail."
    };
    eprintln!("{missing}{effect}\n");
    Ok(())
}

/// What this machine lacks.
struct Missing {
    scope: Scope,
    packages: Vec<&'static Package>,
    /// Lines of [`PYTHON_PACKAGES`].
    python: Vec<String>,
    privileges: Vec<&'static str>,
}

impl Missing {
    fn find(scope: Scope) -> Result<Self> {
        let packages = scope.packages().filter(|package| !package.is_installed()).collect();
        let listed = fs::read_to_string(root().join(PYTHON_PACKAGES))?;
        let python = python();
        let python = python_packages(&listed).filter(|package| !has_module(&python, &module(package)));
        let status = fs::read_to_string("/proc/self/status")?;
        let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
        Ok(Self { scope, packages, python: python.map(str::to_owned).collect(), privileges: privileges(&status, btf) })
    }

    fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.python.is_empty() && self.privileges.is_empty()
    }

    /// Installs the packages: Debian's as root or through sudo, Python's into a virtual environment.
    fn install(&self) -> Result<()> {
        if !self.packages.is_empty() {
            install_packages(&self.packages)?;
        }
        if !self.python.is_empty() {
            if env::var_os(PYTHON).is_some() {
                bail!("the interpreter in {PYTHON} lacks {}; unset {PYTHON}, or install them", self.python.join(" "));
            }
            eprintln!("installing {} into {PYTHON_ENVIRONMENT}", self.python.join(" "));
            let environment = root().join(PYTHON_ENVIRONMENT);
            succeed(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
            let mut pip = Command::new(environment.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
            succeed(pip.arg(root().join(PYTHON_PACKAGES)))?;
        }
        Ok(())
    }
}

impl Display for Missing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "missing for {}:", self.scope)?;
        if !self.packages.is_empty() {
            let names: Vec<_> = self.packages.iter().filter_map(|package| package.names.first().copied()).collect();
            writeln!(f, "  Debian packages: {}", names.join(" "))?;
        }
        if !self.python.is_empty() {
            writeln!(f, "  Python packages: {}", self.python.join(" "))?;
        }
        for privilege in &self.privileges {
            writeln!(f, "  {privilege}")?;
        }
        if !self.packages.is_empty() || !self.python.is_empty() {
            writeln!(f, "Install the packages: {} --install", self.scope)?;
        }
        if self.privileges.contains(&ROOT) {
            writeln!(f, "Run as root: sudo -E env \"PATH=$PATH\" {}", self.scope)?;
        }
        Ok(())
    }
}

impl Package {
    fn is_installed(&self) -> bool {
        match self.proof {
            Proof::Program(program) => is_program(program),
            Proof::Database => self.names.iter().any(|name| {
                let mut query = Command::new("dpkg-query");
                query.args(["--show", "--showformat=${db:Status-Status}", name]).stderr(Stdio::null());
                query.output().is_ok_and(|output| output.stdout == b"installed")
            }),
        }
    }

    /// The first name that this release has, after `apt-get update`.
    fn available(&self) -> Option<&'static str> {
        let known = |name: &&&str| {
            let mut show = Command::new("apt-cache");
            show.args(["show", "--no-all-versions", name]).stdout(Stdio::null()).stderr(Stdio::null());
            show.status().is_ok_and(|status| status.success())
        };
        self.names.iter().find(known).copied()
    }
}

fn is_program(name: &str) -> bool {
    in_path(name).is_some() || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).is_file())
}

/// Installs packages with apt-get.
fn install_packages(packages: &[&Package]) -> Result<()> {
    if in_path("apt-get").is_none() {
        bail!("cannot install packages: there is no apt-get here; install the programs by hand");
    }
    succeed(as_root(&["apt-get", "update", "-qq"])?.stdin(Stdio::null()))?;
    let mut names = Vec::new();
    for package in packages {
        match package.available() {
            Some(name) => names.push(name),
            None => bail!("cannot install {}: this release does not have it", package.names.join(" or ")),
        }
    }
    eprintln!("installing {}", names.join(" "));
    succeed(as_root(&["sh", "-c", INSTALL, "sh"])?.args(names).stdin(Stdio::null()))
}

/// The tests start the servers that they need. A package must not start its own beside them.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
"#;

/// `command`, through sudo where this process is not root's.
fn as_root(command: &[&str]) -> Result<Command> {
    let sudo = if is_root()? { None } else { Some("sudo") };
    let mut words = sudo.into_iter().chain(command.iter().copied());
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    Ok(command)
}

/// The interpreter that the tests use; see tests/support/python.rs.
fn python() -> PathBuf {
    env::var_os(PYTHON).map_or_else(|| root().join(PYTHON_ENVIRONMENT).join("bin/python"), PathBuf::from)
}

fn has_module(python: &Path, module: &str) -> bool {
    let mut import = Command::new(python);
    import.args(["-c", &format!("import {module}")]).stdout(Stdio::null()).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

/// The lines of a requirements file that name a package.
fn python_packages(file: &str) -> impl Iterator<Item = &str> {
    file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The module of `package==version`.
fn module(package: &str) -> String {
    package.split("==").next().unwrap_or_default().replace('-', "_")
}

const ROOT: &str = "root privileges: CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN";

/// What the kernel does not grant, from `/proc/self/status` and whether the kernel has BTF.
fn privileges(status: &str, btf: bool) -> Vec<&'static str> {
    /// CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF in capability.h.
    const NEEDED: u64 = 1 << 12 | 1 << 21 | 1 << 39;
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let mut missing = Vec::new();
    if capabilities & NEEDED != NEEDED {
        missing.push(ROOT);
    }
    if !btf {
        missing.push("a kernel with BTF: /sys/kernel/btf/vmlinux");
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Programs that every Debian has: packages marked essential.
    const ESSENTIAL: [&str; 7] = ["mkfifo", "mount", "nsenter", "setpriv", "taskset", "umount", "unshare"];

    /// Programs of a package that another program represents in [`TEST`].
    const SAME_PACKAGE: [&str; 6] = ["pgrep", "promtool", "ss", "tc", "scp", "ssh-keygen"];

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn a_package_provides_every_program_that_a_test_requires() {
        let mut files = Vec::new();
        sources(&root().join("tests"), &mut files);
        let calls = files.iter().flat_map(|file| file.split("require_tools(&[").skip(1));
        let required: BTreeSet<&str> = calls
            .filter_map(|call| call.split(']').next())
            .flat_map(|list| list.split(','))
            .filter_map(|word| word.trim().strip_prefix('"')?.strip_suffix('"'))
            .collect();
        assert!(required.contains("tcpdump"), "no calls found");
        let provided: BTreeSet<&str> = TEST
            .iter()
            .filter_map(|package| match package.proof {
                Proof::Program(program) => Some(program),
                Proof::Database => None,
            })
            .chain(ESSENTIAL)
            .chain(SAME_PACKAGE)
            .collect();
        let missing: Vec<_> = required.difference(&provided).collect();
        assert!(missing.is_empty(), "no package for {missing:?}");
    }

    #[test]
    fn each_command_has_the_packages_of_the_ones_before() {
        let counts = [Scope::Test, Scope::Ci, Scope::Kernels].map(|scope| scope.packages().count());
        assert_eq!(counts, [TEST.len(), TEST.len() + CI.len(), TEST.len() + CI.len() + KERNELS.len()]);
    }

    #[test]
    fn python_packages_are_read_from_the_requirements() {
        let listed: Vec<_> = python_packages("# QUIC peers.\naioquic==1.7.2\n\nprometheus-client==0.26.0\n").collect();
        assert_eq!(listed, ["aioquic==1.7.2", "prometheus-client==0.26.0"]);
        assert_eq!(module("prometheus-client==0.26.0"), "prometheus_client");
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        assert_eq!(privileges("Name:\txtask\nCapEff:\t000001ffffffffff\n", true), [""; 0]);
        assert_eq!(privileges("CapEff:\t0000000000000000\n", true), [ROOT]);
        // Without CAP_BPF, bit 39.
        assert_eq!(privileges("CapEff:\t0000017fffffffff\n", true), [ROOT]);
        assert_eq!(privileges("CapEff:\t000001ffffffffff\n", false), ["a kernel with BTF: /sys/kernel/btf/vmlinux"]);
    }

    #[test]
    fn the_message_has_the_command_that_installs() {
        let python = vec!["aioquic==1.7.2".to_owned()];
        let missing =
            Missing { scope: Scope::Test, packages: TEST.iter().take(2).collect(), python, privileges: vec![ROOT] };
        assert_eq!(
            missing.to_string(),
            "missing for cargo xtask test:\n  Debian packages: iproute2 ethtool\n  Python packages: aioquic==1.7.2\n  \
             root privileges: CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN\n\
             Install the packages: cargo xtask test --install\n\
             Run as root: sudo -E env \"PATH=$PATH\" cargo xtask test\n"
        );
    }
}
