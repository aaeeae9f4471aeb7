//! Options of the capture and of tunnels.

use std::num::NonZeroU16;

use clap::{Args, value_parser};

use crate::capture::attach::{DirectionChoice, HookChoice};
use crate::capture::ebpf::MAX_SHARDS;
use crate::capture::{CaptureSettings, FilterExpression, IDLE_TIMEOUT, TunnelSettings};
use crate::units::{ByteSize, DurationError, HumanDuration};

/// Options of the capture.
#[derive(Debug, Args)]
pub(super) struct CaptureFlags {
    /// Interface to attach to (repeatable): a name or several (eth0,lo), a pattern ('veth*'), any for all that are up
    /// except lo, '!docker0' for all but this
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,

    /// Hook for ingress packets [default: auto]
    #[arg(long, value_enum)]
    hook: Option<HookChoice>,

    /// Direction of captured packets [default: both]
    #[arg(long, value_enum)]
    direction: Option<DirectionChoice>,

    /// Number of shards, each with a thread and a ring [default: number of CPUs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    shards: Option<u32>,

    /// Ring size per shard in KiB, rounded up to a power of two [default: 8192]
    #[arg(long, value_name = "KIB", value_parser = value_parser!(u32).range(64..=1 << 20))]
    ring_size: Option<u32>,

    /// Maximum number of tracked connections [default: 262144]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1 << 24))]
    max_connections: Option<u32>,

    /// Idle time after which a connection ends, for example 120 (seconds) or 2m [default: 120]
    #[arg(long, value_name = "TIME", value_parser = idle)]
    idle_timeout: Option<HumanDuration>,

    /// Record limit per class, second and CPU, in place of the built-in limits; 0 means unlimited
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,

    /// Packet and byte counts of selected packets only: bulk packets cost less, and the filter evicts a flow after 30
    /// seconds without a selected packet
    #[arg(long)]
    no_accounting: bool,

    #[command(flatten)]
    filter: ExpressionFlags,
}

impl CaptureFlags {
    /// Overrides the configuration. Interfaces replace those in the configuration.
    pub(super) fn apply(&self, to: &mut CaptureSettings) {
        if !self.interfaces.is_empty() {
            to.interfaces.clone_from(&self.interfaces);
        }
        to.hook = self.hook.unwrap_or(to.hook);
        to.direction = self.direction.unwrap_or(to.direction);
        to.shards = self.shards.or(to.shards);
        to.ring_size = self.ring_size.map_or(to.ring_size, |kib| ByteSize(u64::from(kib) << 10));
        to.max_connections = self.max_connections.unwrap_or(to.max_connections);
        to.idle_timeout = self.idle_timeout.unwrap_or(to.idle_timeout);
        to.rate_limit = self.rate_limit.or(to.rate_limit);
        to.accounting &= !self.no_accounting;
        if self.filter.filter.is_some() {
            to.filter.clone_from(&self.filter.filter);
        }
    }
}

/// The filter expression, shared by `run` and `replay`.
#[derive(Debug, Args)]
pub(super) struct ExpressionFlags {
    /// Filter expression, such as 'tcp port 443 and not net 10.0.0.0/8': only connections that match are captured. A
    /// subset of pcap-filter(7): host, net, port, portrange, src, dst, tcp, udp, icmp, ip, ip6, vlan, and, or, not
    #[arg(long, value_name = "EXPR")]
    pub(super) filter: Option<FilterExpression>,
}

/// Options of tunnels, shared by `run` and `replay`.
#[derive(Debug, Args)]
pub(super) struct TunnelFlags {
    /// UDP port of VXLAN, in addition to 4789 and 8472
    #[arg(long, value_name = "PORT")]
    vxlan_port: Option<NonZeroU16>,

    /// UDP port of Geneve, in addition to 6081
    #[arg(long, value_name = "PORT")]
    geneve_port: Option<NonZeroU16>,
}

impl TunnelFlags {
    /// Overrides the configuration.
    pub(super) fn apply(&self, to: &mut TunnelSettings) {
        for (ports, flag) in [(&mut to.vxlan_ports, self.vxlan_port), (&mut to.geneve_ports, self.geneve_port)] {
            if let Some(port) = flag {
                *ports = vec![port];
            }
        }
    }
}

/// Parses a duration with a unit, or a number of seconds.
pub(super) fn seconds(text: &str) -> Result<HumanDuration, DurationError> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if bare { format!("{text}s").parse() } else { text.parse() }
}

/// Parses a duration that is not 0.
pub(super) fn positive(text: &str) -> Result<HumanDuration, String> {
    let time = seconds(text).map_err(|error| error.to_string())?;
    if time.0.is_zero() { Err("expected a time longer than 0".to_owned()) } else { Ok(time) }
}

pub(super) fn idle(text: &str) -> Result<HumanDuration, String> {
    let span = seconds(text).map_err(|error| error.to_string())?;
    let (least, most) = (IDLE_TIMEOUT.start(), IDLE_TIMEOUT.end());
    if IDLE_TIMEOUT.contains(&span) { Ok(span) } else { Err(format!("expected {least} to {most}")) }
}
