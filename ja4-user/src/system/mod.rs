//! The operating system: clocks, signals, shutdown, privileges, service manager.

pub mod clock;
pub(crate) mod log;
pub(crate) mod loopback_host;
pub(crate) mod memory;
pub mod notify;
pub mod privilege;
pub(crate) mod process;
pub mod shutdown;
pub(crate) mod shutdown_watch;
pub(crate) mod signals;
pub mod tls;
pub mod unix_socket;
