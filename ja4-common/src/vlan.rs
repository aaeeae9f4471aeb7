//! VLAN tags of a packet.

/// Most tags of a packet that are kept.
pub const MAX_TAGS: usize = 4;

/// The bit of a tag that is there: identifier 0 is one, too (IEEE 802.1Q, section 9.6: the tag has a priority only). It is
/// in place of the priority.
pub const VLAN_PRESENT: u16 = 1 << 15;

/// The identifier within a tag.
const IDENTIFIER: u16 = 0x0fff;

/// The identifiers of the VLAN tags of a packet, outermost first; further ones than four are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct VlanTags([u16; MAX_TAGS]);

impl VlanTags {
    /// No tags.
    pub const NONE: Self = Self([0; MAX_TAGS]);

    /// These tags inside of another one, with [`VLAN_PRESENT`]; 0: none.
    #[inline(always)]
    #[must_use]
    pub const fn inside(self, outer: u16) -> Self {
        let [first, second, third, _] = self.0;
        if outer & VLAN_PRESENT == 0 { self } else { Self([outer & IDENTIFIER | VLAN_PRESENT, first, second, third]) }
    }

    /// Adds the tag with this identifier inside the others. Other bits than those of the identifier are ignored.
    #[inline(always)]
    pub fn push(&mut self, identifier: u16) {
        for tag in &mut self.0 {
            if *tag == 0 {
                *tag = identifier & IDENTIFIER | VLAN_PRESENT;
                return;
            }
        }
    }

    /// Whether there is no tag.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0[0] == 0
    }

    /// Whether one of the tags has this identifier.
    #[inline(always)]
    #[must_use]
    pub const fn contains(&self, identifier: u16) -> bool {
        let [first, second, third, fourth] = self.0;
        let tag = identifier & IDENTIFIER | VLAN_PRESENT;
        first == tag || second == tag || third == tag || fourth == tag
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
            let kept = &identifiers[..identifiers.len().min(MAX_TAGS)];
            assert!(tags.iter().eq(kept.iter().copied()), "{tags:?}");
            assert_eq!(tags.is_empty(), identifiers.is_empty());
            assert!((0..8).all(|identifier| tags.contains(identifier) == kept.contains(&identifier)));
        }
        // Priority and drop eligibility are no part of the identifier.
        assert_eq!(VlanTags::from_iter([0xf123]).iter().next(), Some(0x0123));
        let tags = VlanTags::from_iter([1, 2, 3, 4]);
        assert_eq!(tags.inside(0xf123), VlanTags::from_iter([0x0123, 1, 2, 3]));
        assert_eq!(tags.inside(0x0123), tags);
    }
}
