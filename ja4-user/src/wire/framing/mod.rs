//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.
//!
//! | module | framing | carries |
//! |---|---|---|
//! | [`proxy`] | PROXY protocol 1 and 2 | any client stream, behind one header |
//! | [`tds`] | Tabular Data Stream | TLS in both directions |
//!
//! [`Unframe`] takes a TCP stream in one of them apart; [`proxy`] is one header and has a reader of its own.

pub mod proxy;
pub mod tds;
mod unframe;

pub use unframe::{Content, Unframe};

/// A framing of a whole TCP direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// TDS packets.
    Tds,
}

/// What the first bytes of a TCP direction say of its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognized {
    /// It has this one.
    Framing(Framing),
    /// They are too few to tell.
    TooFew,
    /// It has none.
    Nothing,
}

impl Framing {
    /// Bytes that distinguish every framing.
    pub const ENOUGH: usize = 8;

    /// The framing of a TCP direction that begins with these bytes.
    #[must_use]
    pub fn recognize(bytes: &[u8]) -> Recognized {
        match bytes.first_chunk() {
            Some(header) if tds::PacketHeader::parse(header).is_ok() => Recognized::Framing(Self::Tds),
            None if matches!(bytes, [0x04 | 0x12, ..]) => Recognized::TooFew,
            _ => Recognized::Nothing,
        }
    }
}
