//! The deadlines: for each session at most one of each kind, moved in place.

use crate::engine::calendar::{Calendar, Entry};
use crate::protocol::time::Time;

/// What is due for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Due {
    /// The next packet.
    Transmit = 0,
    /// The end of the detection time.
    Detect = 1,
}

/// Transmits and detections apart, so that one kind can be looked at without the other. Together they are one queue: the
/// earliest comes first, and of equal times the one that was set first.
#[derive(Debug, Default)]
pub struct DeadlineQueue {
    kinds: [Calendar; 2],
    next_order: u32,
}

impl DeadlineQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many deadlines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.iter().map(Calendar::len).sum()
    }

    /// Whether there is no deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The earliest deadline of a kind, and whose it is.
    #[must_use]
    pub fn first_of(&self, due: Due) -> Option<(u32, Time)> {
        self.kinds[due as usize].first().map(|entry| (entry.slot, entry.at))
    }

    /// The earliest deadline.
    #[must_use]
    pub fn peek(&self) -> Option<Time> {
        self.kinds.iter().filter_map(Calendar::first).map(|entry| entry.at).min()
    }

    /// The first entry of all that is due: a transmit at `transmits_until`, or a detection at `detections_until`. It stays
    /// until it is set to another time or removed.
    #[must_use]
    pub fn first_due(&self, transmits_until: Time, detections_until: Time) -> Option<(u32, Due, Time)> {
        let [transmits, detections] = &self.kinds;
        let transmit = transmits.first().filter(|entry| entry.at <= transmits_until);
        let detection = detections.first().filter(|entry| entry.at <= detections_until);
        match (transmit, detection) {
            (Some(transmit), Some(detection)) if detection < transmit => Some((Due::Detect, detection)),
            (Some(transmit), _) => Some((Due::Transmit, transmit)),
            (None, detection) => detection.map(|entry| (Due::Detect, entry)),
        }
        .map(|(due, entry)| (entry.slot, due, entry.at))
    }

    /// When something is due for a slot, if it is in the queue.
    #[must_use]
    pub fn deadline(&self, slot: u32, due: Due) -> Option<Time> {
        self.kinds[due as usize].deadline(slot)
    }

    /// Puts a deadline in, or moves the one that is there. True where there was none.
    pub fn set(&mut self, slot: u32, due: Due, at: Time) -> bool {
        let order = self.next_order;
        self.next_order = self.next_order.wrapping_add(1);
        self.kinds[due as usize].set(Entry { at, order, slot })
    }

    /// Takes a deadline out. True where there was one.
    pub fn remove(&mut self, slot: u32, due: Due) -> bool {
        self.kinds[due as usize].remove(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    fn pop(queue: &mut DeadlineQueue, now: Time) -> Option<(u32, Due, Time)> {
        let first = queue.first_due(now, now);
        if let Some((slot, due, _)) = first {
            queue.remove(slot, due);
        }
        first
    }

    #[test]
    fn equal_times_come_out_in_the_order_they_were_set() {
        let mut queue = DeadlineQueue::new();
        for slot in [5, 3, 9, 1] {
            queue.set(slot, Due::Transmit, at(100));
        }
        let out: Vec<u32> = std::iter::from_fn(|| pop(&mut queue, at(100)).map(|(slot, ..)| slot)).collect();
        assert_eq!(out, [5, 3, 9, 1]);
    }

    #[test]
    fn nothing_comes_out_before_its_time_and_a_moved_entry_counts_once() {
        let mut queue = DeadlineQueue::new();
        queue.set(0, Due::Detect, at(200));
        queue.set(0, Due::Detect, at(150));
        assert_eq!(queue.len(), 1);
        assert_eq!(pop(&mut queue, at(149)), None);
        assert_eq!(pop(&mut queue, at(150)), Some((0, Due::Detect, at(150))));
        assert!(queue.is_empty());
    }

    #[test]
    fn each_kind_is_due_by_a_time_of_its_own() {
        let mut queue = DeadlineQueue::new();
        queue.set(0, Due::Detect, at(100));
        queue.set(1, Due::Transmit, at(200));
        assert_eq!(queue.first_due(at(200), at(99)), Some((1, Due::Transmit, at(200))));
        assert_eq!(queue.first_due(at(200), at(100)), Some((0, Due::Detect, at(100))));
        assert_eq!(queue.first_due(at(199), at(99)), None);
    }

    #[test]
    fn equal_times_keep_their_order_when_the_count_of_settings_wraps() {
        let mut queue = DeadlineQueue { next_order: u32::MAX - 1, ..DeadlineQueue::new() };
        for slot in [4, 2, 8, 6] {
            queue.set(slot, Due::Detect, at(100));
        }
        let out: Vec<u32> = std::iter::from_fn(|| pop(&mut queue, at(100)).map(|(slot, ..)| slot)).collect();
        assert_eq!(out, [4, 2, 8, 6]);
    }

    /// Of many at one time some are removed, and others come before them: soon, or long before.
    fn deadlines() -> impl Strategy<Value = Option<u64>> {
        let unit = prop_oneof![Just(1u64), Just(1_000), Just(100_000), Just(1_000_000)];
        prop_oneof![
            12 => (1u64..50).prop_map(|us| Some(5_000_000 + us)),
            1 => (1u64..50, unit).prop_map(|(at, unit)| Some(at * unit)),
            7 => Just(None),
        ]
    }

    proptest! {
        #[test]
        fn the_queue_agrees_with_a_sorted_list(
            steps in proptest::collection::vec((0u32..50, any::<bool>(), deadlines()), 1..600),
        ) {
            let mut queue = DeadlineQueue::new();
            let mut model: HashMap<(u32, Due), (Time, u64)> = HashMap::new();
            for (order, (slot, detect, deadline)) in (0u64..).zip(steps) {
                let due = if detect { Due::Detect } else { Due::Transmit };
                match deadline {
                    Some(us) => {
                        queue.set(slot, due, at(us));
                        model.insert((slot, due), (at(us), order));
                    }
                    None => {
                        queue.remove(slot, due);
                        model.remove(&(slot, due));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.peek(), model.values().map(|(at, _)| *at).min());
                for due in [Due::Transmit, Due::Detect] {
                    let of_kind = model.iter().filter(|((_, kind), _)| *kind == due);
                    let first = of_kind.map(|((slot, _), (at, order))| (*at, *order, *slot)).min();
                    prop_assert_eq!(queue.first_of(due), first.map(|(at, _, slot)| (slot, at)));
                }
                prop_assert_eq!(queue.deadline(slot, due), model.get(&(slot, due)).map(|(at, _)| *at));
            }
            let mut expected: Vec<_> = model.into_iter().map(|((slot, due), (at, order))| (at, order, slot, due)).collect();
            expected.sort_unstable();
            for (at_, _, slot, due) in expected {
                prop_assert_eq!(pop(&mut queue, at(u64::MAX)), Some((slot, due, at_)));
            }
            prop_assert!(queue.is_empty());
        }
    }
}
