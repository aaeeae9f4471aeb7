//! TLS in the control channel of OpenVPN.

mod channel;
mod flow;

pub use channel::{ControlChannel, ControlEvent};
pub(crate) use flow::OpenVpnFlow;
