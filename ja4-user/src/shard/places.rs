//! Where the directions of fragmented flows are met.

use ja4_common::flow::{Direction, FlowKey};
use ja4_common::select::REBIND_AFTER;

use crate::event::Time;
use crate::flow::FlowTable;

/// Flows whose datagrams come in fragments and may be copies: those of the last second. One that is forgotten too early
/// is taken a second time, no more.
const FLOWS: usize = 1024;

/// Where the datagrams of a direction were put together last.
#[derive(Clone, Copy, Debug)]
struct Bound {
    place: u32,
    last: Time,
}

/// The directions that belong to a place.
///
/// The filter binds a direction where it first meets a packet of it (`Direction::place`). It does not know the flow of a
/// fragment, so what is put together is bound here.
#[derive(Debug)]
pub(super) struct Places {
    /// Both directions of a flow, that of its low end first.
    bound: FlowTable<(FlowKey, [Option<Bound>; 2])>,
}

impl Default for Places {
    fn default() -> Self {
        Self { bound: FlowTable::with_capacity(FLOWS) }
    }
}

impl Places {
    /// Whether a datagram of this direction (hash, key, and which end sent it) was met elsewhere. `filtered` is what the
    /// filter knows of the direction: whole packets of it may be met at one place, and the same in fragments at another.
    pub(super) fn is_copy(
        &mut self,
        (hash, key, from): (u64, FlowKey, u32),
        place: u32,
        now: Time,
        filtered: Option<Direction>,
    ) -> bool {
        let elsewhere = |at: u32, last: u64| at != place && now.0.saturating_sub(last) < REBIND_AFTER;
        if filtered.is_some_and(|known| known.packets > 0 && elsewhere(known.place, known.last_seen)) {
            return true;
        }
        let known = self.bound.find(hash, &key);
        let slot = known.unwrap_or_else(|| self.bound.insert(hash, (key, [None; 2])).id);
        let Some(mine) = self.bound.touch_at(slot).and_then(|(_, both)| both.get_mut(from as usize)) else {
            return false;
        };
        if mine.is_some_and(|bound| elsewhere(bound.place, bound.last.0)) {
            return true;
        }
        *mine = Some(Bound { place, last: now });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u32 = 4;
    const THERE: u32 = 7;
    const SECOND: u64 = 1_000_000_000;

    fn flow(number: u64, from: u32) -> (u64, FlowKey, u32) {
        let key = FlowKey { addr: [[0, number], [0, 9]], proto: 17, version: 4, ..FlowKey::default() };
        (number << 40, key, from)
    }

    #[test]
    fn a_direction_belongs_to_one_place_until_it_falls_silent() {
        let mut places = Places::default();
        let mut at = |place, time| places.is_copy(flow(1, 0), place, Time(time), None);
        assert!(!at(HERE, SECOND));
        assert!(at(THERE, SECOND));
        assert!(!at(HERE, 2 * SECOND - 1));
        // What came elsewhere meanwhile does not count as a packet at its place.
        assert!(at(THERE, 3 * SECOND - 2));
        assert!(!at(THERE, 3 * SECOND - 1));
        assert!(at(HERE, 3 * SECOND));
    }

    #[test]
    fn directions_and_flows_have_places_of_their_own() {
        let mut places = Places::default();
        for (flow, place) in [(flow(1, 0), HERE), (flow(1, 1), THERE), (flow(2, 0), THERE)] {
            assert!(!places.is_copy(flow, place, Time(5), None));
            assert!(!places.is_copy(flow, place, Time(6), None));
        }
    }

    #[test]
    fn whole_packets_of_the_direction_bind_it_too() {
        let mut places = Places::default();
        let known = |packets, last_seen| Some(Direction { packets, last_seen, place: HERE, ..Direction::default() });
        let now = Time(10 * SECOND);
        assert!(places.is_copy(flow(1, 0), THERE, now, known(1, 10 * SECOND)));
        assert!(!places.is_copy(flow(1, 0), HERE, now, known(1, 10 * SECOND)));
        assert!(!places.is_copy(flow(2, 0), THERE, now, known(0, 10 * SECOND)), "nothing of it was met yet");
        assert!(!places.is_copy(flow(3, 0), THERE, now, known(1, 9 * SECOND)), "long ago");
    }

    #[test]
    fn too_many_flows_cost_the_oldest_its_place() {
        let mut places = Places::default();
        for number in 0..=FLOWS as u64 {
            places.is_copy(flow(number, 0), HERE, Time(1), None);
        }
        assert_eq!(places.bound.len(), FLOWS);
        assert!(!places.is_copy(flow(0, 0), THERE, Time(1), None));
        assert!(places.is_copy(flow(FLOWS as u64, 0), THERE, Time(1), None));
    }
}
