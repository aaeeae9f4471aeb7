//! Puts the loaded programs onto an interface's hooks and takes them off again.
//!
//! | hook | ingress | egress |
//! |---|---|---|
//! | XDP, native | in the driver | none |
//! | XDP, generic | in the stack, before tc | none |
//! | tcx (Linux 6.6), else clsact | `ja4_tc_ingress` | `ja4_tc` |
//!
//! Every attachment but clsact is a `bpf_link` held by descriptor: it ends with the process, however that
//! ends. clsact filters are taken off when the [`Attachment`] is dropped; the empty qdisc stays, since
//! others may have come to use it.

mod refusal;

use std::fmt;

use aya::programs::links::{FdLink, Link};
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};

use self::refusal::{AttachHook, Refusal};
use super::ebpf::{Kernel, KernelError, Program};
use super::interface::Interface;

/// How packets that come in are seen: `--hook`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// Native XDP on a physical device, generic XDP on a virtual one, tc where XDP is refused
    #[default]
    Auto,
    /// XDP in the driver
    Native,
    /// XDP in the network stack
    Generic,
    /// tc ingress, beside any XDP program
    Tc,
}

/// Which packets are seen: `--direction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionChoice {
    /// Those that come in and those that go out
    #[default]
    Both,
    /// Those that come in
    Ingress,
    /// Those that go out
    Egress,
}

/// What to attach where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The way in.
    pub hook: HookChoice,
    /// The directions. On a loopback interface `Both` is `Ingress`: each packet passes both hooks there.
    pub direction: DirectionChoice,
    /// Whether to try tcx; without it tc is used as on kernels before 6.6.
    pub tcx: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { hook: HookChoice::Auto, direction: DirectionChoice::Both, tcx: true }
    }
}

/// Where a program hangs; displayed as users know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngressMode {
    /// `xdp native`
    XdpNative,
    /// `xdp generic`
    XdpGeneric,
    /// `tcx` or `tc clsact`
    Tc(TcMode),
}

/// How a tc program hangs; displayed as users know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcMode {
    /// `tcx`
    Tcx,
    /// `tc clsact`
    Clsact,
}

/// Why a program is not on an interface.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel half cannot be used, or the process lacks rights.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The frames have no Ethernet header.
    #[error(
        "{interface}: not an Ethernet interface{}; choose the Ethernet device that carries its packets",
        link_type.map(|number| format!(" (link type {number})")).unwrap_or_default()
    )]
    NotEthernet {
        /// Its name.
        interface: String,
        /// `ARPHRD_*`, if it has one.
        link_type: Option<u16>,
    },
    /// It was there when it was looked up.
    #[error("{0}: the interface is gone")]
    Gone(String),
    /// The kernel, the driver or another program is in the way.
    #[error("{interface}: {refused}; {fix}")]
    Refused {
        /// Its name.
        interface: String,
        /// Each hook that was tried, and the cause.
        refused: String,
        /// What the user can do.
        fix: &'static str,
    },
    /// A clsact filter is still there.
    #[error("{interface}: cannot detach: {cause}; `tc filter del dev {interface} {direction}` does it")]
    Detach {
        /// Its name.
        interface: String,
        /// What the kernel says.
        cause: String,
        /// `ingress` or `egress`.
        direction: &'static str,
    },
}

impl AttachError {
    /// Whether it is for lack of rights.
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::Kernel(error) if error.is_privilege())
    }
}

/// Loads the programs that [`Attachment::new`] attaches by this policy. The kernel verifies a program when it is
/// loaded; if all are loaded before the first is attached, both hooks work from nearly the same moment on. An error of
/// a program that the kernel refuses is reported by [`Attachment::new`], which names the hook.
///
/// # Errors
/// If a privilege is missing, or the object is not the one that this binary was built for.
pub fn load(kernel: &mut Kernel, interfaces: &[Interface], policy: Policy) -> Result<(), AttachError> {
    for interface in interfaces {
        let (wants_ingress, wants_egress) = directions(policy.direction, interface.is_loopback);
        if wants_egress {
            is_loaded(kernel.tc(Program::TcEgress))?;
        }
        if wants_ingress {
            let (hooks, _) = plan(policy.hook, interface.is_physical, has_tc_program(interface));
            for hook in hooks {
                let loaded = match hook {
                    AttachHook::Native | AttachHook::Generic => is_loaded(kernel.xdp(Program::Xdp))?,
                    AttachHook::Tc => is_loaded(kernel.tc(Program::TcIngress))?,
                };
                if loaded {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether the kernel took a program: multi-buffer XDP needs Linux 5.18, for example.
fn is_loaded<T>(program: Result<T, KernelError>) -> Result<bool, KernelError> {
    match program {
        Ok(_) => Ok(true),
        Err(KernelError::Load(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The programs on one interface. Dropped, they come off; it must not outlive the [`Kernel`].
#[derive(Debug)]
pub struct Attachment {
    /// Where.
    pub interface: Interface,
    /// How packets that come in are seen, and why that way.
    pub ingress: Option<(IngressMode, String)>,
    /// How packets that go out are seen.
    pub egress: Option<TcMode>,
    ingress_link: Option<HeldLink>,
    egress_link: Option<HeldLink>,
}

impl Attachment {
    /// Attaches the programs that `policy` asks for. Should one be refused, none stays.
    ///
    /// # Minimum kernel version
    /// 5.18 for XDP with multi-buffer frames; before that, tc is what `auto` takes.
    ///
    /// # Errors
    /// Where rights are lacking, the interface is gone or no Ethernet, or a hook that `policy` insists
    /// on is refused.
    pub fn new(kernel: &mut Kernel, interface: Interface, policy: Policy) -> Result<Self, AttachError> {
        if !interface.still_there() {
            return Err(AttachError::Gone(interface.name));
        }
        if !interface.is_ethernet() {
            return Err(AttachError::NotEthernet { interface: interface.name, link_type: interface.link_type });
        }
        let (wants_ingress, wants_egress) = directions(policy.direction, interface.is_loopback);
        let mut attachment = Self { interface, ingress: None, egress: None, ingress_link: None, egress_link: None };
        if wants_ingress {
            attachment.attach_ingress(kernel, policy)?;
        }
        if wants_egress {
            let (mode, link) = attach_tc(kernel, &attachment.interface, Program::TcEgress, policy.tcx)
                .map_err(|refusal| attachment.error(refusal, &[]))?;
            attachment.egress = Some(mode);
            attachment.egress_link = Some(link);
        }
        Ok(attachment)
    }

    /// One line for the user: what is attached, and why the way in was taken.
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

    /// The way in, as `stats` has it: `xdp native`, `xdp generic`, `tcx`, `tc clsact` or `none`.
    pub fn ingress_mode(&self) -> &'static str {
        self.ingress.as_ref().map_or("none", |(mode, _)| mode.name())
    }

    /// Why the way in was taken; empty where there is none.
    pub fn ingress_reason(&self) -> &str {
        self.ingress.as_ref().map_or("", |(_, reason)| reason)
    }

    /// The way out, as `stats` has it: `tcx`, `tc clsact` or `none`.
    pub fn egress_mode(&self) -> &'static str {
        self.egress.map_or("none", TcMode::name)
    }

    /// What `policy` would try on an interface, for the user: `ingress XDP native, else tc (physical device), egress tc`.
    pub fn preview(interface: &Interface, policy: Policy) -> String {
        let mut parts = Vec::new();
        let (wants_ingress, wants_egress) = directions(policy.direction, interface.is_loopback);
        if wants_ingress {
            let (hooks, why) = plan(policy.hook, interface.is_physical, has_tc_program(interface));
            let hooks: Vec<_> = hooks.iter().map(|hook| hook.name()).collect();
            parts.push(format!("ingress {} ({why})", hooks.join(", else ")));
        }
        if wants_egress {
            parts.push("egress tc".to_owned());
        }
        parts.join(", ")
    }

    /// Attaches to an interface and detaches again. Native XDP is not tried like this: drivers restart a device for it.
    ///
    /// # Errors
    /// If a hook is refused, most likely because another XDP program is there.
    pub fn try_out(kernel: &mut Kernel, interface: Interface, policy: Policy) -> Result<(), AttachError> {
        Self::new(kernel, interface, policy)?.detach()
    }

    /// Takes the programs off. An interface that is gone has taken them along.
    ///
    /// # Errors
    /// Where a clsact filter cannot be taken off; both directions are tried all the same.
    pub fn detach(self) -> Result<(), AttachError> {
        let Self { interface, ingress_link, egress_link, .. } = self;
        let detach = |link: Option<HeldLink>, direction| match link.map(HeldLink::detach) {
            Some(Err(refusal)) if refusal.errno != Some(libc::ENODEV) => {
                Err(AttachError::Detach { interface: interface.name.clone(), cause: refusal.words, direction })
            }
            _ => Ok(()),
        };
        let egress = detach(egress_link, "egress");
        detach(ingress_link, "ingress").and(egress)
    }

    fn attach_ingress(&mut self, kernel: &mut Kernel, policy: Policy) -> Result<(), AttachError> {
        let (hooks, why) = plan(policy.hook, self.interface.is_physical, has_tc_program(&self.interface));
        let mut refused: Vec<Refusal> = Vec::new();
        for hook in hooks {
            let attached = match hook {
                AttachHook::Native => {
                    attach_xdp(kernel, &self.interface, XdpMode::Driver).map(|link| (IngressMode::XdpNative, link))
                }
                AttachHook::Generic => {
                    attach_xdp(kernel, &self.interface, XdpMode::Skb).map(|link| (IngressMode::XdpGeneric, link))
                }
                AttachHook::Tc => attach_tc(kernel, &self.interface, Program::TcIngress, policy.tcx)
                    .map(|(mode, link)| (IngressMode::Tc(mode), link)),
            };
            match attached {
                Ok((mode, link)) => {
                    let reason = if refused.is_empty() { why.to_owned() } else { refusal::list(&refused) };
                    self.ingress = Some((mode, reason));
                    self.ingress_link = Some(link);
                    return Ok(());
                }
                Err(refusal) if refusal.is_final() => return Err(self.error(refusal, &[])),
                Err(refusal) => refused.push(refusal),
            }
        }
        // No plan is empty.
        let last = refused.pop().unwrap_or_else(|| Refusal::words(AttachHook::Tc, "no hook was tried"));
        Err(self.error(last, &refused))
    }

    /// The error that `last` is, after those in `earlier`.
    fn error(&self, last: Refusal, earlier: &[Refusal]) -> AttachError {
        let name = self.interface.name.clone();
        if let Some(error) = last.kernel {
            return AttachError::Kernel(error);
        }
        if last.is_privilege() {
            return AttachError::Kernel(KernelError::Privilege(format!("attaching to {name}: {}", last.words)));
        }
        if last.errno == Some(libc::ENODEV) || !self.interface.still_there() {
            return AttachError::Gone(name);
        }
        let mut refused = refusal::list(earlier);
        if !refused.is_empty() {
            refused.push_str("; ");
        }
        refused.push_str(&last.to_string());
        AttachError::Refused { interface: name, refused, fix: last.fix() }
    }
}

impl IngressMode {
    /// As in `stats`.
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
    /// As in `stats`.
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

/// What keeps a program on its hook.
#[derive(Debug)]
enum HeldLink {
    /// Comes off when the last descriptor is closed: here, or by the kernel when the process ends.
    Fd(FdLink),
    /// Comes off by a request over netlink, which dropping it sends, too.
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

/// Whether a tc program, of whomever, watches what comes in. Before 6.6 there is no asking.
fn has_tc_program(interface: &Interface) -> bool {
    SchedClassifier::query_tcx(&interface.name, TcAttachType::Ingress).is_ok_and(|(_, programs)| !programs.is_empty())
}

/// The hooks to try in turn, and why the first of them is the first.
fn plan(choice: HookChoice, is_physical: Option<bool>, beside_tc: bool) -> (&'static [AttachHook], &'static str) {
    match (choice, is_physical) {
        (HookChoice::Native, _) => (&[AttachHook::Native], "as asked"),
        (HookChoice::Generic, _) => (&[AttachHook::Generic], "as asked"),
        (HookChoice::Tc, _) => (&[AttachHook::Tc], "as asked"),
        // Not generic after native: the kernel would switch off LRO and hardware GRO for it, while tc
        // leaves the device as it is.
        (HookChoice::Auto, Some(true)) => (&[AttachHook::Native, AttachHook::Tc], "physical device"),
        // Behind generic XDP the kernel (6.18) hands tc programs frames without their Ethernet header.
        (HookChoice::Auto, Some(false) | None) if beside_tc => {
            (&[AttachHook::Tc], "beside a tc program, which generic XDP would disturb")
        }
        // Never native: on veth it switches off the large frames that make bulk streams fast.
        (HookChoice::Auto, Some(false)) => (&[AttachHook::Generic, AttachHook::Tc], "virtual device"),
        (HookChoice::Auto, None) => (&[AttachHook::Generic, AttachHook::Tc], "not known to be a physical device"),
    }
}

fn attach_xdp(kernel: &mut Kernel, interface: &Interface, mode: XdpMode) -> Result<HeldLink, Refusal> {
    let hook = if mode == XdpMode::Driver { AttachHook::Native } else { AttachHook::Generic };
    let program: &mut Xdp = kernel.xdp(Program::Xdp).map_err(|error| Refusal::load(hook, error))?;
    let refused = |error: ProgramError| Refusal::program(hook, &error);
    let id = program.attach_to_if_index(interface.index, mode).map_err(refused)?;
    // aya turns to netlink where the kernel says EINVAL to a link. Such an attachment would outlive a
    // killed process, and aya tells the two apart in the Debug form of the identifier only: the link
    // itself, once taken and found to be none, could not be detached any more.
    if format!("{id:?}").contains("NlLink") {
        program.detach(id).map_err(refused)?;
        return Err(Refusal::words(hook, "it would outlive the process"));
    }
    let link = program.take_link(id).map_err(refused)?;
    FdLink::try_from(link).map(HeldLink::Fd).map_err(|error| Refusal::words(hook, &error.to_string()))
}

fn attach_tc(
    kernel: &mut Kernel,
    interface: &Interface,
    program: Program,
    tcx: bool,
) -> Result<(TcMode, HeldLink), Refusal> {
    let at = match program {
        Program::TcIngress => TcAttachType::Ingress,
        _ => TcAttachType::Egress,
    };
    let program: &mut SchedClassifier = kernel.tc(program).map_err(|error| Refusal::load(AttachHook::Tc, error))?;
    let refused = |error: ProgramError| Refusal::program(AttachHook::Tc, &error);
    if tcx {
        // First, because a program in front may end the packet's way; ours always passes it on.
        match program.attach_with_options(&interface.name, at, TcAttachOptions::TcxOrder(LinkOrder::first())) {
            Ok(id) => {
                let link = program.take_link(id).map_err(refused)?;
                let link = FdLink::try_from(link);
                let link = link.map_err(|error| Refusal::words(AttachHook::Tc, &error.to_string()))?;
                return Ok((TcMode::Tcx, HeldLink::Fd(link)));
            }
            // A kernel without tcx does not know the attach type.
            Err(error) if Refusal::program(AttachHook::Tc, &error).is_unknown_to_kernel() => {}
            Err(error) => return Err(refused(error)),
        }
    }
    match tc::qdisc_add_clsact(&interface.name).map_err(|error| Refusal::tc(&error)) {
        Err(refusal) if refusal.errno != Some(libc::EEXIST) => return Err(refusal),
        _ => {}
    }
    // With no priority given the kernel puts the filter before those that are there.
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(&interface.name, at, options).map_err(refused)?;
    let link = program.take_link(id).map_err(refused)?;
    Ok((TcMode::Clsact, HeldLink::Filter(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_never_takes_native_where_it_would_slow_the_device_down() {
        for is_physical in [Some(false), None] {
            assert!(!plan(HookChoice::Auto, is_physical, false).0.contains(&AttachHook::Native), "{is_physical:?}");
        }
        assert_eq!(plan(HookChoice::Auto, Some(true), true).0, [AttachHook::Native, AttachHook::Tc]);
        assert_eq!(plan(HookChoice::Auto, Some(false), true).0, [AttachHook::Tc]);
    }

    #[test]
    fn a_hook_that_was_asked_for_is_the_only_one_tried() {
        for (choice, hook) in [
            (HookChoice::Native, AttachHook::Native),
            (HookChoice::Generic, AttachHook::Generic),
            (HookChoice::Tc, AttachHook::Tc),
        ] {
            assert_eq!(plan(choice, Some(true), true).0, [hook]);
        }
    }

    #[test]
    fn loopback_shows_each_packet_once() {
        for choice in [DirectionChoice::Both, DirectionChoice::Ingress, DirectionChoice::Egress] {
            let (ingress, egress) = directions(choice, true);
            assert!(ingress ^ egress, "{choice:?}");
        }
        assert_eq!(directions(DirectionChoice::Both, false), (true, true));
    }
}
