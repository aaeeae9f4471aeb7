//! Conversations of a client and a server, built packet by packet.

mod builder;
mod tcp;
mod udp;

pub use builder::Conversation;
pub use tcp::{
    JA4L, JA4LS, JA4T, JA4TS, LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS, TIMESTAMP_OPTIONS, TcpConversation, TcpState,
};
pub use udp::{UdpConversation, UdpState};
