//! The clock of a pcapng interface: resolution and offset of its timestamps.

/// Nanoseconds of the default resolution, 10⁻⁶ s.
const NANOS_PER_MICRO: u64 = 1_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Exponent of nanoseconds, which need no conversion.
const NANO_EXPONENT: u8 = 9;

/// if_tsresol and if_tsoffset of an interface description (draft-ietf-opsawg-pcapng section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceClock {
    unit: ClockUnit,
    /// Added to every timestamp, in seconds.
    offset: i64,
}

/// The conversion of units to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockUnit {
    /// Nanoseconds per unit.
    Nanos(u64),
    /// Units per nanosecond.
    PerNano(u64),
    /// 2ⁿ units per second.
    Binary(u8),
    /// A unit so short that 64 bits of units are less than a nanosecond.
    Vanishing,
}

impl Default for InterfaceClock {
    /// Microseconds since the Unix epoch, as for an interface without these options.
    fn default() -> Self {
        Self { unit: ClockUnit::Nanos(NANOS_PER_MICRO), offset: 0 }
    }
}

impl InterfaceClock {
    /// Sets the resolution from if_tsresol: a negative power of 10, or of 2 if the highest bit is set.
    pub(super) fn set_resolution(&mut self, resolution: u8) {
        let exponent = resolution & 0x7f;
        self.unit = if resolution & 0x80 != 0 {
            ClockUnit::Binary(exponent)
        } else if exponent <= NANO_EXPONENT {
            ClockUnit::Nanos(10u64.pow(u32::from(NANO_EXPONENT - exponent)))
        } else {
            let beyond = u32::from(exponent - NANO_EXPONENT);
            10u64.checked_pow(beyond).map_or(ClockUnit::Vanishing, ClockUnit::PerNano)
        };
    }

    /// Sets the offset from if_tsoffset, in seconds.
    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset = seconds;
    }

    /// Converts a timestamp to nanoseconds since the Unix epoch, clamped to the range of the type.
    #[inline]
    pub(super) fn nanoseconds(&self, high: u32, low: u32) -> u64 {
        let units = u64::from(high) << 32 | u64::from(low);
        let nanos = match self.unit {
            ClockUnit::Nanos(each) => units.saturating_mul(each),
            ClockUnit::PerNano(count) => units / count,
            // Fits: 64 bits of units times 30 bits are 94 of 128.
            ClockUnit::Binary(bits) => clamp((u128::from(units) * u128::from(NANOS_PER_SECOND)) >> bits),
            ClockUnit::Vanishing => 0,
        };
        let shift = self.offset.unsigned_abs().saturating_mul(NANOS_PER_SECOND);
        if self.offset >= 0 { nanos.saturating_add(shift) } else { nanos.saturating_sub(shift) }
    }
}

fn clamp(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of `units` at this if_tsresol and if_tsoffset.
    fn time(resolution: u8, offset: i64, units: u64) -> u64 {
        let mut clock = InterfaceClock::default();
        clock.set_resolution(resolution);
        clock.set_offset(offset);
        clock.nanoseconds((units >> 32) as u32, units as u32)
    }

    #[test]
    fn the_default_resolution_is_microseconds() {
        assert_eq!(InterfaceClock::default().nanoseconds(0, 1_500_000), 1_500_000_000);
        assert_eq!(time(6, 0, 1_500_000), 1_500_000_000);
    }

    #[test]
    fn powers_of_ten() {
        assert_eq!(time(0, 0, 3), 3_000_000_000);
        assert_eq!(time(3, 0, 1_500), 1_500_000_000);
        assert_eq!(time(9, 0, 0x1_0000_0001), 0x1_0000_0001);
        assert_eq!(time(12, 0, 1_234_567), 1_234);
    }

    #[test]
    fn powers_of_two() {
        assert_eq!(time(0x80, 0, 3), 3_000_000_000);
        assert_eq!(time(0x80 | 10, 0, 1_536), 1_500_000_000);
        assert_eq!(time(0x80 | 32, 0, 3 << 31), 1_500_000_000);
    }

    #[test]
    fn offsets_move_the_epoch_both_ways() {
        assert_eq!(time(9, 1_000, 5), 1_000_000_000_005);
        assert_eq!(time(9, -1, 1_000_000_005), 5);
    }

    #[test]
    fn extremes_are_clamped() {
        for resolution in 0..=255 {
            for offset in [i64::MIN, -1, 0, 1, i64::MAX] {
                let time = |units| time(resolution, offset, units);
                assert!(time(0) <= time(1) && time(1) <= time(u64::MAX));
            }
        }
        assert_eq!(time(6, 0, u64::MAX), u64::MAX);
        assert_eq!(time(9, i64::MIN, 5), 0);
        assert_eq!(time(9, i64::MAX, 5), u64::MAX);
        assert_eq!(time(127, 0, u64::MAX), 0);
        assert_eq!(time(255, 0, u64::MAX), 0);
    }
}
