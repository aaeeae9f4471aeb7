//! What the sensor has to do with the system that runs it.

pub mod clock;
pub mod notify;
pub mod privilege;
pub mod shutdown;
pub(crate) mod shutdown_watch;
pub(crate) mod signals;
