//! VLAN tags of a packet.

/// Most tags of a packet that are kept.
pub(crate) const MAX_TAGS: usize = 4;

/// A tag is present: identifier 0 is one (IEEE 802.1Q, section 9.6: the tag has a priority only).
const PRESENT: u16 = 1 << 15;

/// The identifier within a tag.
const IDENTIFIER: u16 = 0x0fff;

/// The identifiers of the VLAN tags of a packet, outermost first; further ones than four are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VlanTags([u16; MAX_TAGS]);

impl VlanTags {
    /// No tags.
    pub const NONE: Self = Self([0; MAX_TAGS]);

    /// Adds the tag with this identifier inside the others. Other bits than those of the identifier are ignored.
    pub fn push(&mut self, identifier: u16) {
        if let Some(free) = self.0.iter_mut().find(|tag| **tag == 0) {
            *free = identifier & IDENTIFIER | PRESENT;
        }
    }

    /// Whether there is no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The identifiers, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.0.into_iter().filter(|tag| *tag != 0).map(|tag| tag & IDENTIFIER)
    }
}

impl FromIterator<u16> for VlanTags {
    fn from_iter<I: IntoIterator<Item = u16>>(identifiers: I) -> Self {
        let mut tags = Self::NONE;
        identifiers.into_iter().for_each(|identifier| tags.push(identifier));
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_tags_are_kept_and_identifier_0_is_one() {
        for identifiers in [&[][..], &[0], &[7, 0], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]] {
            let tags: VlanTags = identifiers.iter().copied().collect();
            let kept: Vec<_> = tags.iter().collect();
            assert_eq!(kept, identifiers[..identifiers.len().min(MAX_TAGS)]);
            assert_eq!(tags.is_empty(), identifiers.is_empty());
        }
        // Priority and drop eligibility are no part of the identifier.
        assert_eq!(VlanTags::from_iter([0xf123]).iter().next(), Some(0x0123));
    }
}
