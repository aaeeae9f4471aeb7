//! Packets of OpenVPN's control channel, which carries TLS (OpenVPN's `doc/doxygen/doc_protocol_overview.h` and
//! `src/openvpn/ssl_pkt.h`).
//!
//! Over UDP a datagram is one packet; over TCP a length of 16 bits precedes each packet. The TLS records are
//! unencrypted without `tls-crypt`. With `tls-auth` an HMAC, a packet id and a time follow the session id.

use crate::wire::{Cursor, WireError};

/// Bytes of a session id.
pub const SESSION_ID_LEN: usize = 8;

/// Most acknowledgments in one packet (`RELIABLE_ACK_SIZE`).
const MAX_ACKS: u8 = 8;

/// Bytes between session id and acknowledgments: none, or with `tls-auth` the digest (MD5, SHA-1, 192, 224, 256, 384
/// and 512 bits) with a packet id and a time of four bytes each.
const AUTH_LENGTHS: [usize; 8] = [0, 24, 28, 32, 36, 40, 56, 72];

/// The type of a packet: the opcode without the key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlOpcode {
    /// P_CONTROL_HARD_RESET_CLIENT_V2: a client begins a session.
    ClientReset,
    /// P_CONTROL_HARD_RESET_SERVER_V2: the server's response.
    ServerReset,
    /// P_CONTROL_SOFT_RESET_V1: another TLS handshake begins in the same session.
    SoftReset,
    /// P_CONTROL_V1: bytes of the TLS stream.
    Control,
}

impl ControlOpcode {
    /// The opcode in a packet's first byte: the upper five bits; the lower three are the key id.
    #[must_use]
    pub const fn of(first: u8) -> Option<Self> {
        match first >> 3 {
            7 => Some(Self::ClientReset),
            8 => Some(Self::ServerReset),
            3 => Some(Self::SoftReset),
            4 => Some(Self::Control),
            _ => None,
        }
    }
}

/// One packet of the control channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPacket<'a> {
    /// Type of the packet.
    pub kind: ControlOpcode,
    /// Number of the TLS handshake within the session, 0 to 7.
    pub key_id: u8,
    /// The sender's session.
    pub session_id: [u8; SESSION_ID_LEN],
    /// Number of the packet within the sender's TLS handshake, from 0.
    pub packet_id: u32,
    /// Bytes of the TLS stream.
    pub payload: &'a [u8],
}

impl<'a> ControlPacket<'a> {
    /// Reads a packet with `auth` bytes of `tls-auth`; `None` if its opcode is not one of [`ControlOpcode`].
    ///
    /// # Errors
    /// [`WireError::Truncated`] if it ends within its header, [`WireError::TooMany`] for more than `MAX_ACKS`
    /// acknowledgments.
    pub fn parse(packet: &'a [u8], auth: usize) -> Result<Option<Self>, WireError> {
        let mut rest = Cursor::new(packet);
        let first = rest.u8()?;
        let Some(kind) = ControlOpcode::of(first) else {
            return Ok(None);
        };
        let session_id = *rest.array()?;
        rest.take(auth)?;
        let acks = rest.u8()?;
        if acks > MAX_ACKS {
            return Err(WireError::TooMany);
        }
        if acks > 0 {
            // The acknowledgments are followed by the peer's session id.
            rest.take(4 * usize::from(acks) + SESSION_ID_LEN)?;
        }
        let packet_id = rest.u32()?;
        Ok(Some(Self { kind, key_id: first & 7, session_id, packet_id, payload: rest.rest() }))
    }

    /// Whether a TLS handshake begins with the payload: a record with a ClientHello, or with a ServerHello.
    #[must_use]
    pub const fn begins(&self, hello: u8) -> bool {
        matches!(self.payload, [22, 3, 0..=4, _, _, kind, ..] if *kind == hello)
    }
}

/// Types of the hellos (RFC 8446, section 4).
pub const CLIENT_HELLO: u8 = 1;
/// The server's.
pub const SERVER_HELLO: u8 = 2;

/// Bytes of `tls-auth` in a packet, if the packet reveals them: a reset has no payload and the number 0, and a TLS
/// handshake begins with a hello. With `tls-crypt` both are encrypted.
#[must_use]
pub fn auth_len(packet: &[u8]) -> Option<usize> {
    AUTH_LENGTHS.into_iter().find(|auth| match ControlPacket::parse(packet, *auth) {
        Ok(Some(packet)) if packet.kind == ControlOpcode::Control => {
            packet.begins(CLIENT_HELLO) || packet.begins(SERVER_HELLO)
        }
        Ok(Some(packet)) => packet.payload.is_empty() && packet.packet_id == 0,
        Ok(None) | Err(_) => false,
    })
}

/// Whether these bytes can be the start of the first packet of a TCP direction: a length, then a reset or the TLS
/// stream under key 0.
#[must_use]
pub fn begins(&[high, low, first]: &[u8; 3]) -> bool {
    /// A reset without acknowledgments.
    const SHORTEST: u16 = 14;
    /// More than any packet of the control channel (`TLS_CHANNEL_BUF_SIZE`).
    const LONGEST: u16 = 2048;
    matches!(first, 0x38 | 0x40 | 0x20) && (SHORTEST..=LONGEST).contains(&u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use ::tests::framing::{OpenVpn, openvpn_auth};

    use super::*;

    const HELLO: &[u8] = &[22, 3, 1, 0, 50, 1, 0, 0, 46, 3, 3];

    #[test]
    fn packets_with_and_without_tls_auth() {
        let client = OpenVpn::client();
        for digest in [None, Some(20), Some(32), Some(64)] {
            let auth = digest.map_or(0, |length| length + 8);
            let with = |packet: Vec<u8>| digest.map_or(packet.clone(), |length| openvpn_auth(&packet, length));
            for packet in
                [with(client.reset(&[])), with(OpenVpn::server().reset(&[0])), with(client.control(1, &[0], HELLO))]
            {
                assert_eq!(auth_len(&packet), Some(auth), "{packet:02x?}");
                assert!(ControlPacket::parse(&packet, auth).unwrap().is_some());
            }
            let packet = with(client.control(7, &[1, 2, 3], b"bytes"));
            let read = ControlPacket::parse(&packet, auth).unwrap().unwrap();
            assert_eq!((read.kind, read.packet_id, read.payload), (ControlOpcode::Control, 7, &b"bytes"[..]));
        }
    }

    #[test]
    fn packets_with_tls_crypt_are_not_recognized() {
        let mut packet = openvpn_auth(&OpenVpn::client().reset(&[]), 32);
        packet.iter_mut().skip(49).for_each(|byte| *byte = 0xa7);
        assert_eq!(auth_len(&packet), None);
        assert_eq!(ControlOpcode::of(0x48), None);
    }
}
