//! Attaches the loaded programs to the hooks of an interface, and detaches them.
//!
//! | hook | ingress | egress |
//! |---|---|---|
//! | XDP, native | in the driver | none |
//! | XDP, generic | in the stack, before tc | none |
//! | tcx (Linux 6.6), else clsact | `ja4_tc_ingress` | `ja4_tc` |
//! | the same on an interface without link headers, such as tun | `ja4_tc_ip_ingress` | `ja4_tc_ip_egress` |
//!
//! Every attachment but clsact is a `bpf_link` held by a descriptor: the kernel detaches it when the process ends. clsact
//! filters are removed when the [`Attachment`] is dropped; the empty qdisc stays, because other programs may use it.

mod refusal;

use std::fmt;

use aya::programs::links::{FdLink, Link};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};

use self::refusal::{AttachHook, Refusal};
use super::ebpf::{Kernel, KernelError, Program};
use super::interface::Interface;

/// The hook for ingress packets: `--hook`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// Native XDP on a physical device, generic XDP on a virtual device, tc if XDP is rejected
    #[default]
    Auto,
    /// XDP in the driver
    Native,
    /// XDP in the network stack
    Generic,
    /// tc ingress, which coexists with XDP programs
    Tc,
}

/// The direction of captured packets: `--direction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionChoice {
    /// Ingress and egress packets
    #[default]
    Both,
    /// Ingress packets
    Ingress,
    /// Egress packets
    Egress,
}

/// The hooks and directions to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The ingress hook.
    pub hook: HookChoice,
    /// The directions. On a loopback interface, `Both` means `Ingress`: each packet passes both hooks.
    pub direction: DirectionChoice,
    /// Whether to try tcx; without it, clsact is used as on kernels before 6.6.
    pub tcx: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { hook: HookChoice::Auto, direction: DirectionChoice::Both, tcx: true }
    }
}

/// The hook of an attached ingress program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngressMode {
    /// `xdp native`
    XdpNative,
    /// `xdp generic`
    XdpGeneric,
    /// `tcx` or `tc clsact`
    Tc(TcMode),
}

/// The kind of an attached tc program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcMode {
    /// `tcx`
    Tcx,
    /// `tc clsact`
    Clsact,
}

/// Why a program could not be attached or detached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel half cannot be used, or a privilege is missing.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Frames start with another header than Ethernet or IP.
    #[error(
        "cannot attach to {interface}: its frames have neither an Ethernet nor an IP header (link type {link_type}); name \
         the interface that carries its packets"
    )]
    LinkType {
        /// Name of the interface.
        interface: String,
        /// `ARPHRD_*`.
        link_type: u16,
    },
    /// XDP was requested where frames have no Ethernet header.
    #[error(
        "cannot attach to {0}: its frames have no Ethernet header, which XDP needs; use `--hook auto` or `--hook tc`"
    )]
    XdpWithoutEthernet(String),
    /// The interface was removed.
    #[error("cannot attach to {0}: the interface was removed")]
    Gone(String),
    /// The kernel or the driver rejected the program.
    #[error("cannot attach to {interface}: {refused}; {fix}")]
    Refused {
        /// Name of the interface.
        interface: String,
        /// The rejected hooks with their causes.
        refused: String,
        /// The fix.
        fix: &'static str,
    },
    /// A clsact filter could not be removed.
    #[error("cannot detach from {interface}: {cause}; run `tc filter del dev {interface} {direction}`")]
    Detach {
        /// Name of the interface.
        interface: String,
        /// The error of the kernel.
        cause: String,
        /// `ingress` or `egress`.
        direction: &'static str,
    },
}

impl AttachError {
    /// Whether a privilege is missing.
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::Kernel(error) if error.is_privilege())
    }
}

/// Loads the programs that [`Attachment::new`] attaches with this policy. The kernel verifies a program when it is loaded;
/// because all programs are loaded before the first is attached, both hooks start almost simultaneously. If the kernel
/// rejects a program, [`Attachment::new`] reports the error with the hook.
///
/// # Errors
/// If a privilege is missing, the frames of an interface cannot be read, or the object is not the one that this binary was
/// built for.
pub fn load<'a>(
    kernel: &mut Kernel,
    interfaces: impl IntoIterator<Item = &'a Interface>,
    policy: Policy,
) -> Result<(), AttachError> {
    for interface in interfaces {
        let (use_ingress, use_egress) = directions(policy.direction, interface.is_loopback);
        require_frames(interface, policy.hook)?;
        let is_ethernet = interface.is_ethernet();
        if use_egress {
            is_loaded(kernel.tc(Program::tc(is_ethernet, true)))?;
        }
        if use_ingress {
            for hook in plan(policy.hook, interface).0 {
                let loaded = match hook {
                    AttachHook::Native | AttachHook::Generic => is_loaded(kernel.xdp(Program::Xdp))?,
                    AttachHook::Tc => is_loaded(kernel.tc(Program::tc(is_ethernet, false)))?,
                };
                if loaded {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Returns an error if the programs cannot read the frames of an interface.
fn require_frames(interface: &Interface, hook: HookChoice) -> Result<(), AttachError> {
    let name = || interface.name.clone();
    if !interface.is_supported() {
        return Err(AttachError::LinkType { interface: name(), link_type: interface.link_type });
    }
    if !interface.is_ethernet() && matches!(hook, HookChoice::Native | HookChoice::Generic) {
        return Err(AttachError::XdpWithoutEthernet(name()));
    }
    Ok(())
}

/// Whether the kernel accepted a program: multi-buffer XDP requires Linux 5.18, for example.
fn is_loaded<T>(program: Result<T, KernelError>) -> Result<bool, KernelError> {
    match program {
        Ok(_) => Ok(true),
        Err(KernelError::Load(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The programs attached to one interface. Dropping it detaches them. It must not outlive the [`Kernel`].
#[derive(Debug)]
pub struct Attachment {
    /// The interface.
    pub interface: Interface,
    /// The ingress hook, and the reason for it.
    pub ingress: Option<(IngressMode, String)>,
    /// The egress hook.
    pub egress: Option<TcMode>,
    ingress_link: Option<HeldLink>,
    egress_link: Option<HeldLink>,
}

impl Attachment {
    /// Attaches the programs of `policy`. If one is rejected, none stays attached.
    ///
    /// # Minimum kernel version
    /// 5.18 for XDP with multi-buffer frames; before that, `auto` selects tc.
    ///
    /// # Errors
    /// If a privilege is missing, the interface was removed or has frames that cannot be read, or all hooks of `policy` are
    /// rejected.
    pub fn new(kernel: &mut Kernel, interface: Interface, policy: Policy) -> Result<Self, AttachError> {
        if !interface.exists() {
            return Err(AttachError::Gone(interface.name));
        }
        require_frames(&interface, policy.hook)?;
        let (use_ingress, use_egress) = directions(policy.direction, interface.is_loopback);
        let mut attachment = Self { interface, ingress: None, egress: None, ingress_link: None, egress_link: None };
        if use_ingress {
            attachment.attach_ingress(kernel, policy)?;
        }
        if use_egress {
            let (mode, link) = attach_tc(kernel, &attachment.interface, true, policy.tcx)
                .map_err(|refusal| attachment.error(refusal, &[]))?;
            attachment.egress = Some(mode);
            attachment.egress_link = Some(link);
        }
        Ok(attachment)
    }

    /// Describes the attached hooks on one line.
    pub fn describe(&self) -> String {
        let mut line = format!("{}: attached", self.interface.name);
        if let Some((mode, reason)) = &self.ingress {
            line.push_str(&format!(", ingress {mode} ({reason})"));
        }
        if let Some(mode) = &self.egress {
            line.push_str(&format!(", egress {mode}"));
        }
        line
    }

    /// Returns the ingress hook for `stats`: `xdp native`, `xdp generic`, `tcx`, `tc clsact` or `none`.
    pub fn ingress_mode(&self) -> &'static str {
        self.ingress.as_ref().map_or("none", |(mode, _)| mode.name())
    }

    /// Returns the reason for the ingress hook; empty if there is none.
    pub fn ingress_reason(&self) -> &str {
        self.ingress.as_ref().map_or("", |(_, reason)| reason)
    }

    /// Returns the egress hook for `stats`: `tcx`, `tc clsact` or `none`.
    pub fn egress_mode(&self) -> &'static str {
        self.egress.map_or("none", TcMode::name)
    }

    /// Describes the hooks that `policy` would try on an interface: `ingress XDP native, else tc (physical device), egress tc`.
    pub(crate) fn preview(interface: &Interface, policy: Policy) -> String {
        let mut parts = Vec::new();
        let (use_ingress, use_egress) = directions(policy.direction, interface.is_loopback);
        if use_ingress {
            let (hooks, why) = plan(policy.hook, interface);
            let hooks: Vec<_> = hooks.iter().map(|hook| hook.name()).collect();
            parts.push(format!("ingress {} ({why})", hooks.join(", else ")));
        }
        if use_egress {
            parts.push("egress tc".to_owned());
        }
        parts.join(", ")
    }

    /// Attaches to an interface and detaches again. Do not use it with native XDP, for which drivers restart the device.
    ///
    /// # Errors
    /// If a hook is rejected, for example because another XDP program is attached.
    pub(crate) fn try_out(kernel: &mut Kernel, interface: Interface, policy: Policy) -> Result<(), AttachError> {
        Self::new(kernel, interface, policy)?.detach()
    }

    /// Detaches the programs. Removal of the interface has already detached them.
    ///
    /// # Errors
    /// If a clsact filter cannot be removed; both directions are tried.
    pub fn detach(self) -> Result<(), AttachError> {
        let Self { interface, ingress_link, egress_link, .. } = self;
        let detach = |link: Option<HeldLink>, direction| match link.map(HeldLink::detach) {
            Some(Err(refusal)) if refusal.errno != Some(libc::ENODEV) => {
                Err(AttachError::Detach { interface: interface.name.clone(), cause: refusal.cause, direction })
            }
            _ => Ok(()),
        };
        let egress = detach(egress_link, "egress");
        detach(ingress_link, "ingress").and(egress)
    }

    fn attach_ingress(&mut self, kernel: &mut Kernel, policy: Policy) -> Result<(), AttachError> {
        let (hooks, why) = plan(policy.hook, &self.interface);
        let mut refused: Vec<Refusal> = Vec::new();
        for hook in hooks {
            let attached = match hook {
                AttachHook::Native => {
                    attach_xdp(kernel, &self.interface, XdpMode::Driver).map(|link| (IngressMode::XdpNative, link))
                }
                AttachHook::Generic => {
                    attach_xdp(kernel, &self.interface, XdpMode::Skb).map(|link| (IngressMode::XdpGeneric, link))
                }
                AttachHook::Tc => attach_tc(kernel, &self.interface, false, policy.tcx)
                    .map(|(mode, link)| (IngressMode::Tc(mode), link)),
            };
            match attached {
                Ok((mode, link)) => {
                    let reason = if refused.is_empty() { why.to_owned() } else { refusal::join(&refused) };
                    self.ingress = Some((mode, reason));
                    self.ingress_link = Some(link);
                    return Ok(());
                }
                Err(refusal) if refusal.is_final() => return Err(self.error(refusal, &[])),
                Err(refusal) => refused.push(refusal),
            }
        }
        // A plan has at least one hook.
        let last = refused.pop().unwrap_or_else(|| Refusal::new(AttachHook::Tc, "no hook was tried"));
        Err(self.error(last, &refused))
    }

    /// Returns the error of `last`, after the rejections in `earlier`.
    fn error(&self, last: Refusal, earlier: &[Refusal]) -> AttachError {
        let name = self.interface.name.clone();
        if let Some(error) = last.kernel {
            return AttachError::Kernel(error);
        }
        if last.is_privilege() {
            return AttachError::Kernel(KernelError::Privilege(format!("attaching to {name}: {}", last.cause)));
        }
        if last.errno == Some(libc::ENODEV) || !self.interface.exists() {
            return AttachError::Gone(name);
        }
        let mut refused = refusal::join(earlier);
        if !refused.is_empty() {
            refused.push_str("; ");
        }
        refused.push_str(&last.to_string());
        AttachError::Refused { interface: name, refused, fix: last.fix() }
    }
}

impl IngressMode {
    /// Returns the name in `stats`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp native",
            Self::XdpGeneric => "xdp generic",
            Self::Tc(mode) => mode.name(),
        }
    }
}

impl fmt::Display for IngressMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl TcMode {
    /// Returns the name in `stats`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "tc clsact",
        }
    }
}

impl fmt::Display for TcMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The link that keeps a program attached.
#[derive(Debug)]
enum HeldLink {
    /// Detached when the last descriptor is closed: here, or at the end of the process.
    Fd(FdLink),
    /// Detached by a netlink request, which is also sent when it is dropped.
    Filter(SchedClassifierLink),
}

impl HeldLink {
    fn detach(self) -> Result<(), Refusal> {
        match self {
            Self::Fd(link) => {
                drop(link);
                Ok(())
            }
            Self::Filter(link) => link.detach().map_err(|error| Refusal::program(AttachHook::Tc, &error)),
        }
    }
}

/// Whether to attach to (ingress, egress).
fn directions(choice: DirectionChoice, is_loopback: bool) -> (bool, bool) {
    match choice {
        DirectionChoice::Both => (true, !is_loopback),
        DirectionChoice::Ingress => (true, false),
        DirectionChoice::Egress => (false, true),
    }
}

/// Whether a tc program of any process is attached to ingress. Kernels before 6.6 cannot be queried.
fn has_tc_program(interface: &Interface) -> bool {
    SchedClassifier::query_tcx(&interface.name, TcAttachType::Ingress).is_ok_and(|(_, programs)| !programs.is_empty())
}

/// Returns the hooks to try in order, and the reason for the first one.
fn plan(choice: HookChoice, interface: &Interface) -> (&'static [AttachHook], &'static str) {
    let has_tc = || has_tc_program(interface);
    match (choice, interface.is_physical) {
        (HookChoice::Native, _) => (&[AttachHook::Native], "as configured"),
        (HookChoice::Generic, _) => (&[AttachHook::Generic], "as configured"),
        (HookChoice::Tc, _) => (&[AttachHook::Tc], "as configured"),
        (HookChoice::Auto, _) if !interface.is_ethernet() => (&[AttachHook::Tc], "no Ethernet header"),
        // Not generic after native: the kernel would disable LRO and hardware GRO for it, while tc does not change the
        // device.
        (HookChoice::Auto, Some(true)) => (&[AttachHook::Native, AttachHook::Tc], "physical device"),
        // After generic XDP, the kernel (6.18) passes frames without Ethernet header to tc programs.
        (HookChoice::Auto, Some(false) | None) if has_tc() => {
            (&[AttachHook::Tc], "another tc program is attached, which generic XDP would break")
        }
        // Never native: on veth it disables the large frames that make bulk transfers fast.
        (HookChoice::Auto, Some(false)) => (&[AttachHook::Generic, AttachHook::Tc], "virtual device"),
        (HookChoice::Auto, None) => (&[AttachHook::Generic, AttachHook::Tc], "unknown device type"),
    }
}

fn attach_xdp(kernel: &mut Kernel, interface: &Interface, mode: XdpMode) -> Result<HeldLink, Refusal> {
    let hook = if mode == XdpMode::Driver { AttachHook::Native } else { AttachHook::Generic };
    let program: &mut Xdp = kernel.xdp(Program::Xdp).map_err(|error| Refusal::load(hook, error))?;
    let refused = |error: ProgramError| Refusal::program(hook, &error);
    let id = program.attach_to_if_index(interface.index, mode).map_err(refused)?;
    // aya falls back to netlink if the kernel rejects a link with EINVAL. Such an attachment would outlive a killed process.
    // aya distinguishes the two only in the Debug form of the identifier; a link that was taken out could not be detached.
    if format!("{id:?}").contains("NlLink") {
        program.detach(id).map_err(refused)?;
        return Err(Refusal::new(hook, "the attachment would outlive the process"));
    }
    let link = program.take_link(id).map_err(refused)?;
    FdLink::try_from(link).map(HeldLink::Fd).map_err(|error| Refusal::new(hook, &error.to_string()))
}

fn attach_tc(
    kernel: &mut Kernel,
    interface: &Interface,
    egress: bool,
    tcx: bool,
) -> Result<(TcMode, HeldLink), Refusal> {
    let at = if egress { TcAttachType::Egress } else { TcAttachType::Ingress };
    let program = Program::tc(interface.is_ethernet(), egress);
    let program: &mut SchedClassifier = kernel.tc(program).map_err(|error| Refusal::load(AttachHook::Tc, error))?;
    let refused = |error: ProgramError| Refusal::program(AttachHook::Tc, &error);
    if tcx {
        // First in order, because an earlier program may drop the packet; ours always passes it on.
        match program.attach_with_options(&interface.name, at, TcAttachOptions::TcxOrder(LinkOrder::first())) {
            Ok(id) => {
                let link = program.take_link(id).map_err(refused)?;
                let link = FdLink::try_from(link);
                let link = link.map_err(|error| Refusal::new(AttachHook::Tc, &error.to_string()))?;
                return Ok((TcMode::Tcx, HeldLink::Fd(link)));
            }
            // A kernel without tcx does not support the attach type.
            Err(error) if Refusal::program(AttachHook::Tc, &error).is_unknown_to_kernel() => {}
            Err(error) => return Err(refused(error)),
        }
    }
    match tc::qdisc_add_clsact(&interface.name).map_err(|error| Refusal::tc(&error)) {
        Err(refusal) if refusal.errno != Some(libc::EEXIST) => return Err(refusal),
        _ => {}
    }
    // Without a priority, the kernel inserts the filter before the existing ones.
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(&interface.name, at, options).map_err(refused)?;
    let link = program.take_link(id).map_err(refused)?;
    Ok((TcMode::Clsact, HeldLink::Filter(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interface that does not exist, so that no program is attached to it.
    fn interface(is_physical: Option<bool>, link_type: u16) -> Interface {
        Interface {
            index: u32::MAX,
            name: "ja4-none".to_owned(),
            is_loopback: false,
            is_up: true,
            is_physical,
            link_type,
            mtu: 1500,
            xdp: None,
        }
    }

    #[test]
    fn auto_never_selects_native_on_virtual_devices() {
        for is_physical in [Some(false), None] {
            let (hooks, _) = plan(HookChoice::Auto, &interface(is_physical, 1));
            assert!(!hooks.contains(&AttachHook::Native), "{is_physical:?}");
        }
        assert_eq!(plan(HookChoice::Auto, &interface(Some(true), 1)).0, [AttachHook::Native, AttachHook::Tc]);
    }

    #[test]
    fn frames_without_an_ethernet_header_are_captured_with_tc() {
        for link_type in [0xfffe, 512, 519, 768, 769, 776, 778, 823] {
            let interface = interface(Some(true), link_type);
            assert!(
                interface.is_supported() && plan(HookChoice::Auto, &interface).0 == [AttachHook::Tc],
                "{link_type}"
            );
        }
        // CAN, IEEE 802.11 with radiotap.
        assert!(![280, 803].iter().any(|link_type| interface(None, *link_type).is_supported()));
    }

    #[test]
    fn a_configured_hook_is_the_only_one_tried() {
        for (choice, hook) in [
            (HookChoice::Native, AttachHook::Native),
            (HookChoice::Generic, AttachHook::Generic),
            (HookChoice::Tc, AttachHook::Tc),
        ] {
            assert_eq!(plan(choice, &interface(Some(true), 1)).0, [hook]);
        }
    }

    #[test]
    fn loopback_is_captured_in_one_direction() {
        for choice in [DirectionChoice::Both, DirectionChoice::Ingress, DirectionChoice::Egress] {
            let (ingress, egress) = directions(choice, true);
            assert!(ingress ^ egress, "{choice:?}");
        }
        assert_eq!(directions(DirectionChoice::Both, false), (true, true));
    }
}
