//! Creates Initial packets, for tests and traffic generators.

use crate::wire::WireError;
use crate::wire::quic::gcm::{GcmKey, HashBlocks};
use crate::wire::quic::protection::PacketKeys;
use crate::wire::quic::protection::{PROTECTED_BITS, TAG_LEN};
use crate::wire::quic::version::VersionFamily;

/// The header of an Initial packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialHeader<'a> {
    /// Version.
    pub version: u32,
    /// Destination connection ID.
    pub dcid: &'a [u8],
    /// Source connection ID.
    pub scid: &'a [u8],
    /// Token; empty unless a client sends it after a Retry.
    pub token: &'a [u8],
    /// Packet number.
    pub number: u32,
    /// Length of the packet number, 1 to 4 bytes.
    pub number_len: usize,
}

/// Appends an Initial packet with these frames to a datagram, the inverse of [`PacketKeys::open`].
///
/// # Errors
/// [`WireError::Unsupported`] for an unknown version; [`WireError::BadLength`] if a field does not fit its length, or
/// the payload is too short to be sampled: it needs `4 - number_len` bytes.
pub fn seal(
    header: &InitialHeader<'_>,
    keys: &PacketKeys,
    frames: &[u8],
    datagram: &mut Vec<u8>,
) -> Result<(), WireError> {
    let family = VersionFamily::of(header.version).ok_or(WireError::Unsupported)?;
    let number = header.number.to_be_bytes();
    let number = number.get(number.len().saturating_sub(header.number_len)..).unwrap_or_default();
    let start = datagram.len();
    datagram.push(0xc0 | family.initial_bits() | (number.len().saturating_sub(1) & 0x03) as u8);
    datagram.extend(header.version.to_be_bytes());
    for id in [header.dcid, header.scid] {
        datagram.push(u8::try_from(id.len()).map_err(|_| WireError::BadLength)?);
        datagram.extend_from_slice(id);
    }
    push_length(header.token.len(), datagram)?;
    datagram.extend_from_slice(header.token);
    push_length(number.len() + frames.len() + TAG_LEN, datagram)?;
    let number_at = datagram.len() - start;
    datagram.extend_from_slice(number);
    let payload_at = datagram.len() - start;
    datagram.resize(datagram.len() + frames.len(), 0);

    let (head, payload) = datagram
        .get_mut(start..)
        .and_then(|packet| packet.split_at_mut_checked(payload_at))
        .ok_or(WireError::BadLength)?;
    let (key, nonce, blocks) = (GcmKey::new(&keys.key), keys.nonce(header.number), &mut HashBlocks::default());
    key.apply_keystream(&nonce, head, frames, payload, blocks);
    // The tag is that of the ciphertext.
    key.apply_keystream(&nonce, head, payload, &mut vec![0; frames.len()], blocks);
    let tag = key.tag(blocks);
    datagram.extend_from_slice(&tag);

    let (head, sampled) = datagram
        .get_mut(start..)
        .and_then(|packet| packet.split_at_mut_checked(number_at + 4))
        .ok_or(WireError::BadLength)?;
    let [first_mask, number_mask @ ..] = keys.mask(sampled.first_chunk().ok_or(WireError::BadLength)?);
    if let Some(first) = head.first_mut() {
        *first ^= first_mask & PROTECTED_BITS;
    }
    let number = head.get_mut(number_at..payload_at).unwrap_or_default();
    number.iter_mut().zip(number_mask).for_each(|(byte, mask)| *byte ^= mask);
    Ok(())
}

/// Appends a length of two bytes (RFC 9000, section 16), or of one byte if it is zero.
fn push_length(length: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    match u16::try_from(length) {
        Ok(0) => out.push(0),
        Ok(length @ ..0x4000) => out.extend((0x4000 | length).to_be_bytes()),
        _ => return Err(WireError::BadLength),
    }
    Ok(())
}
