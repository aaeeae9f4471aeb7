//! What an interface allows.

use std::process::Command;

use aya::programs::tc::TcAttachType;
use aya::programs::{SchedClassifier, loaded_programs};

use super::finding::Finding;
use super::kernel::{KernelRelease, MULTI_BUFFER_XDP};
use crate::capture::attach::{Attachment, HookChoice, Policy};
use crate::capture::interface::Interface;

/// Drivers with native XDP (Linux 6.18).
const NATIVE_DRIVERS: [&str; 28] = [
    "atlantic",
    "bnxt_en",
    "ena",
    "fec",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "qede",
    "sfc",
    "stmmac",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
    "xen-netfront",
    "tsnep",
];

/// Largest MTU that fits into one buffer of a page, with room for headers in front and the kernel's data behind it.
const SINGLE_BUFFER_MTU: u32 = 3498;

/// What a run would do on the interface.
struct InterfaceCheck<'a> {
    interface: &'a Interface,
    policy: Policy,
    release: &'a KernelRelease,
}

/// The findings about an interface.
pub(super) fn findings(interface: &Interface, policy: Policy, release: &KernelRelease) -> Vec<Finding> {
    let check = InterfaceCheck { interface, policy, release };
    let mut findings = vec![Finding::ok("interface.hooks", Attachment::preview(interface, policy))];
    findings.extend(check.state());
    findings.extend(check.driver());
    findings.extend(check.mtu());
    findings.extend(check.offloads());
    findings.extend(check.xdp_program());
    findings.extend(check.tc_programs());
    findings.into_iter().map(|finding| finding.of_interface(&interface.name)).collect()
}

impl InterfaceCheck<'_> {
    /// Whether a run tries native XDP.
    fn is_native_tried(&self) -> bool {
        match self.policy.hook {
            HookChoice::Native => true,
            HookChoice::Auto => self.interface.is_physical == Some(true) && self.interface.is_ethernet(),
            HookChoice::Generic | HookChoice::Tc => false,
        }
    }

    fn state(&self) -> Option<Finding> {
        let name = &self.interface.name;
        let message = "the interface is down: it has no packets";
        (!self.interface.is_up)
            .then(|| Finding::warning("interface.state", message, format!("ip link set dev {name} up")))
    }

    fn driver(&self) -> Option<Finding> {
        let link = format!("/sys/class/net/{}/device/driver", self.interface.name);
        let driver = std::fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned();
        if !self.is_native_tried() {
            return Some(Finding::ok("interface.driver", format!("driver {driver}")));
        }
        Some(if NATIVE_DRIVERS.contains(&driver.as_str()) {
            Finding::ok("interface.driver", format!("driver {driver} has native XDP"))
        } else {
            let message = format!("driver {driver} is not known to have native XDP; the run tries it");
            Finding::warning("interface.driver", message, "use --hook tc, which needs no support of the driver")
        })
    }

    /// Before Linux 5.18, a program sees the first buffer of a frame only, and drivers refuse XDP with a larger MTU.
    fn mtu(&self) -> Option<Finding> {
        let Interface { mtu, name, .. } = self.interface;
        if *mtu == 0 {
            return None;
        }
        if self.is_native_tried() && self.release.is_before(MULTI_BUFFER_XDP) && *mtu > SINGLE_BUFFER_MTU {
            let message = format!("MTU {mtu}: before Linux 5.18, native XDP needs frames in one buffer");
            let fix = format!("ip link set dev {name} mtu {SINGLE_BUFFER_MTU}, or --hook tc");
            return Some(Finding::warning("interface.mtu", message, fix));
        }
        Some(Finding::ok("interface.mtu", format!("MTU {mtu}")))
    }

    /// Offloads that matter to native XDP. ethtool reads them.
    fn offloads(&self) -> Vec<Finding> {
        if !self.is_native_tried() {
            return Vec::new();
        }
        let name = &self.interface.name;
        let features = match Command::new("ethtool").args(["-k", name]).output() {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => {
                let message = "offloads are unknown, because `ethtool -k` did not list them";
                return vec![Finding::unknown("interface.offloads", message)];
            }
        };
        let mut findings: Vec<_> = OFFLOADS
            .iter()
            .filter(|offload| is_on(&features, offload.feature))
            .map(|offload| {
                let fix = format!("ethtool -K {name} {} off", offload.option);
                Finding::warning("interface.offloads", format!("{}: {}", offload.feature, offload.effect), fix)
            })
            .collect();
        if findings.is_empty() {
            findings.push(Finding::ok("interface.offloads", "no offload conflicts with native XDP"));
        }
        findings
    }

    /// An XDP program of another process.
    fn xdp_program(&self) -> Option<Finding> {
        let found = self.interface.xdp?;
        let program = found.id.map_or_else(|| "several programs".to_owned(), program_name);
        let effect = if self.policy.hook == HookChoice::Tc {
            "packets that it drops or redirects do not reach the sensor"
        } else {
            "XDP of the sensor is refused beside it; packets that it drops or redirects do not reach tc"
        };
        let message = format!("another XDP program is attached ({}, {program}): {effect}", found.mode);
        let fix = format!("ip link set dev {0} xdp off, or --hook tc", self.interface.name);
        Some(Finding::warning("interface.xdp_program", message, fix))
    }

    /// tc programs of other processes. Kernels before 6.6 cannot be queried.
    fn tc_programs(&self) -> Vec<Finding> {
        let directions = [(TcAttachType::Ingress, "ingress"), (TcAttachType::Egress, "egress")];
        let name = &self.interface.name;
        let attached = directions.into_iter().filter_map(|(kind, direction)| {
            let (_, programs) = SchedClassifier::query_tcx(name, kind).ok()?;
            let programs: Vec<_> = programs.iter().map(|program| program_name(program.id())).collect();
            (!programs.is_empty()).then(|| {
                let message = format!(
                    "other tc programs are attached to {direction} ({}): packets that they drop or redirect before the \
                     sensor's program are not seen",
                    programs.join(", ")
                );
                Finding::warning("interface.tc_programs", message, format!("bpftool net show dev {name}"))
            })
        });
        attached.collect()
    }
}

/// An offload that native XDP conflicts with.
struct Offload {
    /// Its name in `ethtool -k`.
    feature: &'static str,
    /// Its name in `ethtool -K`.
    option: &'static str,
    effect: &'static str,
}

const OFFLOADS: [Offload; 3] = [
    Offload {
        feature: "large-receive-offload",
        option: "lro",
        effect: "drivers refuse native XDP with it; --hook auto uses tc then",
    },
    Offload {
        feature: "rx-gro-hw",
        option: "rx-gro-hw",
        effect: "drivers refuse native XDP with it; --hook auto uses tc then",
    },
    Offload { feature: "rx-vlan-offload", option: "rxvlan", effect: "native XDP sees frames without their VLAN tag" },
];

/// Whether `ethtool -k` shows a feature as on.
fn is_on(features: &str, name: &str) -> bool {
    let state = features.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    state.is_some_and(|state| state.split(' ').next() == Some("on"))
}

/// Describes a program: `program 7 'filter'`.
fn program_name(id: u32) -> String {
    let loaded = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    let name = loaded.and_then(|program| program.name_as_str().map(str::to_owned)).unwrap_or_default();
    if name.is_empty() { format!("program {id}") } else { format!("program {id} '{}'", name.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_feature_is_its_first_word() {
        let features = "Features for eth0:\nrx-checksumming: on\nlarge-receive-offload: off [fixed]\n\trx-gro-hw: on\n";
        let on = ["large-receive-offload", "rx-gro-hw", "rx-vlan-offload"].map(|name| is_on(features, name));
        assert_eq!(on, [false, true, false]);
    }
}
