//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.
//!
//! | module | framing | carries |
//! |---|---|---|
//! | [`proxy`] | PROXY protocol 1 and 2 | any client stream, behind one header |

pub mod proxy;
