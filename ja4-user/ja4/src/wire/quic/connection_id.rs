//! Connection IDs (RFC 9000, section 5.1).

use crate::wire::WireError;

/// A connection ID of a supported version: at most 20 bytes (RFC 9000, section 17.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    len: u8,
    /// Zero from `len` on, so that equal IDs are equal arrays.
    bytes: [u8; Self::MAX],
}

impl ConnectionId {
    /// Most bytes of a connection ID.
    pub const MAX: usize = 20;

    /// The ID as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl TryFrom<&[u8]> for ConnectionId {
    type Error = WireError;

    /// # Errors
    /// [`WireError::BadLength`] above [`MAX`](Self::MAX).
    fn try_from(id: &[u8]) -> Result<Self, WireError> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..id.len()).ok_or(WireError::BadLength)?.copy_from_slice(id);
        Ok(Self { len: id.len() as u8, bytes }) // <= MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_length_differ() {
        let [empty, zero, long] = [&[][..], &[0], &[7; 20]].map(ConnectionId::try_from);
        assert_ne!(empty, zero);
        assert_eq!(long.map(|id| id.as_bytes().len()), Ok(20));
        assert_eq!(ConnectionId::try_from(&[0; 21][..]), Err(WireError::BadLength));
    }
}
