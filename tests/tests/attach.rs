//! Attaching and detaching the eBPF programs on a real kernel.
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

use ja4_common::filter_config::FilterConfig;
use ja4_user::capture::attach::{AttachError, Attachment, DirectionChoice, HookChoice, IngressMode, Policy, TcMode};
use ja4_user::capture::ebpf::{Kernel, KernelSettings};
use ja4_user::capture::interface::{Interface, InterfaceError};
use ja4_user::capture::link_socket::LinkSocket;
use tests::{Namespace, Wire, privilege, require_bpf, require_tools};

/// Returns the loaded eBPF programs, or `None` if the test cannot run.
fn kernel() -> Option<Kernel> {
    if !require_bpf() || !require_tools(&["ip", "tc", "ethtool"]) {
        return None;
    }
    let settings = KernelSettings { filter_config: FilterConfig::new([3, 4]), ring_bytes: 1 << 20, flows: 1 << 10 };
    Some(Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap())
}

/// Returns an interface of the namespace of the thread.
fn interface(name: &str) -> Result<Interface, InterfaceError> {
    LinkSocket::interfaces()?.named(name).cloned()
}

fn policy(hook: HookChoice) -> Policy {
    Policy { hook, ..Policy::default() }
}

/// Attaches to an interface of `host`.
fn attach_to(kernel: &mut Kernel, host: &Namespace, name: &str, policy: Policy) -> Result<Attachment, AttachError> {
    host.with(|| Attachment::new(kernel, interface(name).unwrap(), policy))
}

fn attach(kernel: &mut Kernel, host: &Namespace, policy: Policy) -> Result<Attachment, AttachError> {
    attach_to(kernel, host, host.interface(), policy)
}

/// Opens and closes a TCP connection between two hosts, or from a host to itself.
fn connect(from: &Namespace, to: &Namespace, address: IpAddr) {
    let listener = to.with(|| TcpListener::bind((address, 0)).unwrap());
    let server = listener.local_addr().unwrap();
    let stream = from.with(|| TcpStream::connect(server).unwrap());
    let (peer, _) = listener.accept().unwrap();
    drop((stream, peer));
}

/// Attaches with `policy`, checks that both directions of a connection are counted, detaches, and checks that no
/// program remains.
fn assert_counts_a_connection(policy: Policy, ingress: IngressMode, egress: TcMode, line: &str) {
    let Some(mut kernel) = kernel() else { return };
    let wire = Wire::new();
    let host = wire.server();
    let attachment = attach(&mut kernel, host, policy).unwrap();
    assert_eq!(attachment.ingress.as_ref().unwrap().0, ingress);
    assert_eq!(attachment.egress, Some(egress));
    assert_eq!(attachment.describe(), line);
    assert!(host.has_programs());

    connect(wire.client(), host, host.v4());
    for (counters, direction) in kernel.counters().unwrap().iter().zip(["ingress", "egress"]) {
        assert!(counters.seen >= 2, "{direction}: {counters:?}");
        assert!(counters.balanced(), "{direction}: {counters:?}");
    }

    host.with(|| attachment.detach()).unwrap();
    assert!(!host.has_programs());
}

#[test]
fn auto_attaches_generic_xdp_on_veth() {
    assert_counts_a_connection(
        Policy::default(),
        IngressMode::XdpGeneric,
        TcMode::Tcx,
        // Only this thread entered the namespace, so /sys still shows another one.
        "ves: attached, ingress xdp generic (unknown device type), egress tcx",
    );
}

#[test]
fn native_xdp_is_attached_as_configured() {
    assert_counts_a_connection(
        policy(HookChoice::Native),
        IngressMode::XdpNative,
        TcMode::Tcx,
        "ves: attached, ingress xdp native (as configured), egress tcx",
    );
}

#[test]
fn tc_is_attached_as_configured() {
    assert_counts_a_connection(
        policy(HookChoice::Tc),
        IngressMode::Tc(TcMode::Tcx),
        TcMode::Tcx,
        "ves: attached, ingress tcx (as configured), egress tcx",
    );
}

#[test]
fn without_tcx_filters_are_attached_to_clsact_and_detached() {
    let policy = Policy { tcx: false, ..policy(HookChoice::Tc) };
    assert_counts_a_connection(
        policy,
        IngressMode::Tc(TcMode::Clsact),
        TcMode::Clsact,
        "ves: attached, ingress tc clsact (as configured), egress tc clsact",
    );
}

#[test]
fn a_dropped_attachment_leaves_no_program() {
    let Some(mut kernel) = kernel() else { return };
    let wire = Wire::new();
    let host = wire.server();
    for tcx in [true, false] {
        for hook in [HookChoice::Generic, HookChoice::Native, HookChoice::Tc] {
            let policy = Policy { tcx, ..policy(hook) };
            // clsact filters are detached by netlink, so the thread must be in the namespace.
            host.with(|| {
                let interface = interface(host.interface()).unwrap();
                drop(Attachment::new(&mut kernel, interface, policy).unwrap());
            });
            assert!(!host.has_programs(), "{policy:?}");
        }
    }
}

#[test]
fn if_another_xdp_program_is_attached_auto_attaches_tc_and_reports_the_reason() {
    let (Some(mut other), Some(mut kernel)) = (kernel(), kernel()) else {
        return;
    };
    let wire = Wire::new();
    let host = wire.server();
    let other_attachment = attach(&mut other, host, policy(HookChoice::Generic)).unwrap();

    let attachment = attach(&mut kernel, host, Policy::default()).unwrap();
    assert_eq!(attachment.ingress_mode(), "tcx");
    assert_eq!(
        attachment.ingress_reason(),
        "XDP generic rejected: device or resource busy (another XDP program is attached)"
    );
    assert!(attachment.describe().contains(attachment.ingress_reason()));

    connect(wire.client(), host, host.v4());
    for kernel in [&kernel, &other] {
        let [ingress, egress] = kernel.counters().unwrap();
        assert!(ingress.seen >= 2, "both count ingress frames: {ingress:?}");
        assert!(egress.seen >= 2, "both count egress frames: {egress:?}");
    }
    drop(attachment);
    assert!(host.has_programs(), "the programs of the other sensor were detached");
    drop(other_attachment);
    assert!(!host.has_programs());
}

#[test]
fn auto_passes_every_frame_on_to_another_tc_program() {
    let (Some(mut other), Some(mut kernel)) = (kernel(), kernel()) else {
        return;
    };
    let wire = Wire::new();
    let host = wire.server();
    let _other_attachment = attach(&mut other, host, policy(HookChoice::Tc)).unwrap();
    let attachment = attach(&mut kernel, host, Policy::default()).unwrap();
    assert_eq!(attachment.ingress_mode(), "tcx");
    assert!(attachment.ingress_reason().contains("another tc program is attached"), "{}", attachment.ingress_reason());
    connect(wire.client(), host, host.v4());
    for kernel in [&kernel, &other] {
        let [ingress, _] = kernel.counters().unwrap();
        assert!(ingress.selected.iter().sum::<u64>() >= 2, "both select ingress frames: {ingress:?}");
    }
}

#[test]
fn a_configured_hook_that_is_in_use_is_refused_in_one_line() {
    let (Some(mut other), Some(mut kernel)) = (kernel(), kernel()) else {
        return;
    };
    let wire = Wire::new();
    let host = wire.server();
    let other_attachment = attach(&mut other, host, policy(HookChoice::Generic)).unwrap();
    for hook in [HookChoice::Native, HookChoice::Generic] {
        let error = attach(&mut kernel, host, policy(hook)).unwrap_err();
        assert!(!error.is_privilege());
        let line = error.to_string();
        for part in ["ves: XDP ", " rejected: ", "another XDP program is attached", "use --hook tc"] {
            assert!(line.contains(part), "no {part:?} in: {line}");
        }
        assert!(!line.contains('\n'), "{line}");
    }
    drop(other_attachment);
    assert!(!host.has_programs(), "a refused attempt left a program");
}

#[test]
fn on_loopback_each_packet_is_seen_once() {
    for (direction, line, seen) in [
        (DirectionChoice::Both, "lo: attached, ingress xdp generic (virtual device)", [true, false]),
        (DirectionChoice::Egress, "lo: attached, egress tcx", [false, true]),
    ] {
        let Some(mut kernel) = kernel() else { return };
        let wire = Wire::new();
        let host = wire.server();
        let policy = Policy { direction, ..Policy::default() };
        let attachment = attach_to(&mut kernel, host, "lo", policy).unwrap();
        assert_eq!(attachment.describe(), line);
        connect(host, host, Ipv4Addr::LOCALHOST.into());
        let counters = kernel.counters().unwrap();
        assert_eq!(counters.map(|counters| counters.seen > 0), seen);
        drop(attachment);
        assert!(!host.has_programs());
    }
}

#[test]
fn a_single_direction_is_attached_alone() {
    let Some(mut kernel) = kernel() else { return };
    let wire = Wire::new();
    for (direction, modes) in
        [(DirectionChoice::Ingress, ("xdp generic", "none")), (DirectionChoice::Egress, ("none", "tcx"))]
    {
        let policy = Policy { direction, ..Policy::default() };
        let attachment = attach(&mut kernel, wire.server(), policy).unwrap();
        assert_eq!((attachment.ingress_mode(), attachment.egress_mode()), modes);
    }
}

#[test]
fn an_interface_without_ethernet_headers_is_captured_with_tc() {
    let Some(mut kernel) = kernel() else { return };
    let wire = Wire::new();
    let host = wire.server();
    let created = host.run(&["ip", "tuntap", "add", "mode", "tun", "name", "tunnel"]);
    if !created.stderr().is_empty() {
        privilege::skipped("TUN devices");
        return;
    }
    for (tcx, mode) in [(true, "tcx"), (false, "tc clsact")] {
        let attachment = attach_to(&mut kernel, host, "tunnel", Policy { tcx, ..Policy::default() }).unwrap();
        assert_eq!((attachment.ingress_mode(), attachment.egress_mode()), (mode, mode));
        assert_eq!(attachment.ingress_reason(), "no Ethernet header");
    }
}

#[test]
fn a_deleted_interface_is_detected() {
    let Some(mut kernel) = kernel() else { return };
    let wire = Wire::new();
    let host = wire.server();
    let veth = host.with(|| interface(host.interface()).unwrap());
    assert!(!veth.is_loopback && veth.is_ethernet());
    let attachment = attach(&mut kernel, host, Policy::default()).unwrap();
    assert!(host.with(|| veth.exists()));

    host.run(&["ip", "link", "del", host.interface()]).ok();
    assert!(!host.with(|| veth.exists()));
    host.with(|| attachment.detach()).expect("detaching from a deleted interface succeeds");
    let error = host.with(|| Attachment::new(&mut kernel, veth, Policy::default()));
    assert!(matches!(error, Err(AttachError::Gone(name)) if name == "ves"));

    let missing = host.with(|| interface("ves")).unwrap_err();
    assert!(
        matches!(&missing, InterfaceError::NoSuch { existing, .. } if existing.contains(&"lo".to_owned())),
        "{missing}"
    );
}
