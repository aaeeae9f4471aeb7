//! Options on how live traffic is seen.

use clap::{Args, value_parser};

use crate::capture::attach::{DirectionChoice, HookChoice};
use crate::capture::ebpf::MAX_SHARDS;
use crate::config::{self, IDLE_TIMEOUT};
use crate::units::{Size, Span, SpanError};

/// How live traffic is seen.
#[derive(Debug, Args)]
pub(super) struct CaptureFlags {
    /// Interface to watch; may be given several times
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,

    /// How to see packets that come in [default: auto]
    #[arg(long, value_enum)]
    hook: Option<HookChoice>,

    /// Which packets to see [default: both]
    #[arg(long, value_enum)]
    direction: Option<DirectionChoice>,

    /// Shards, each with a thread and a ring [default: CPUs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    shards: Option<u32>,

    /// Size of each shard's ring, KiB; rounded up to a power of two [default: 8192]
    #[arg(long, value_name = "KIB", value_parser = value_parser!(u32).range(64..=1 << 20))]
    ring_size: Option<u32>,

    /// Most connections known at once [default: 262144]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1 << 24))]
    max_connections: Option<u32>,

    /// Time without a packet after which a connection has ended, as 120 (seconds) or 2m [default: 120]
    #[arg(long, value_name = "TIME", value_parser = idle)]
    idle_timeout: Option<Span>,

    /// Most records of each class per second and CPU, in place of the defaults; 0: no limit
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,

    /// Count only packets of interest for a connection: bulk packets cost less, and the filter forgets a
    /// connection after 30 seconds without a packet of interest
    #[arg(long)]
    no_accounting: bool,
}

impl CaptureFlags {
    /// Changes what the configuration says. Interfaces take the place of those in it.
    pub(super) fn apply(&self, to: &mut config::Capture) {
        if !self.interfaces.is_empty() {
            to.interfaces.clone_from(&self.interfaces);
        }
        to.hook = self.hook.unwrap_or(to.hook);
        to.direction = self.direction.unwrap_or(to.direction);
        to.shards = self.shards.or(to.shards);
        to.ring_size = self.ring_size.map_or(to.ring_size, |kib| Size(u64::from(kib) << 10));
        to.max_connections = self.max_connections.unwrap_or(to.max_connections);
        to.idle_timeout = self.idle_timeout.unwrap_or(to.idle_timeout);
        to.rate_limit = self.rate_limit.or(to.rate_limit);
        to.accounting &= !self.no_accounting;
    }
}

/// A time with its unit, or seconds.
pub(super) fn seconds(text: &str) -> Result<Span, SpanError> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if bare { format!("{text}s").parse() } else { text.parse() }
}

pub(super) fn idle(text: &str) -> Result<Span, String> {
    let span = seconds(text).map_err(|error| error.to_string())?;
    let (least, most) = (IDLE_TIMEOUT.start(), IDLE_TIMEOUT.end());
    if IDLE_TIMEOUT.contains(&span) { Ok(span) } else { Err(format!("it must be from {least} to {most}")) }
}
