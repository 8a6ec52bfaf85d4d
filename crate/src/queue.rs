//! The deadlines: for each session at most one of each kind, moved in place.

use std::cmp::Ordering;

use crate::time::Time;

/// What is due for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Due {
    Transmit = 0,
    Detect = 1,
}

/// Transmits and detections in a heap each, so that one kind can be looked at without the other. Together they are one
/// queue: the earliest comes first, and of equal times the one that was set first.
#[derive(Debug, Default)]
pub struct DeadlineQueue {
    heaps: [Heap; 2],
    next_order: u32,
}

impl DeadlineQueue {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.heaps.iter().map(|heap| heap.entries.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The earliest deadline of a kind, and whose it is.
    #[must_use]
    pub fn first_of(&self, due: Due) -> Option<(u32, Time)> {
        self.heaps[due as usize].entries.first().map(|entry| (entry.slot, entry.at))
    }

    /// The earliest deadline.
    #[must_use]
    pub fn peek(&self) -> Option<Time> {
        self.heaps.iter().filter_map(|heap| heap.entries.first()).map(|entry| entry.at).min()
    }

    /// The first entry of all that is due: a transmit at `transmits_until`, or a detection at `detections_until`. It stays
    /// until it is set to another time or removed.
    #[must_use]
    pub fn first_due(&self, transmits_until: Time, detections_until: Time) -> Option<(u32, Due, Time)> {
        let [transmits, detections] = &self.heaps;
        let transmit = transmits.entries.first().filter(|entry| entry.at <= transmits_until);
        let detection = detections.entries.first().filter(|entry| entry.at <= detections_until);
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
        let heap = &self.heaps[due as usize];
        let place = *heap.places.get(slot as usize)?;
        heap.entries.get(place as usize).map(|entry| entry.at)
    }

    /// Puts a deadline in, or moves the one that is there. True where there was none.
    pub fn set(&mut self, slot: u32, due: Due, at: Time) -> bool {
        let order = self.next_order;
        self.next_order = self.next_order.wrapping_add(1);
        self.heaps[due as usize].set(Entry { at, order, slot })
    }

    /// Takes a deadline out. True where there was one.
    pub fn remove(&mut self, slot: u32, due: Due) -> bool {
        let heap = &mut self.heaps[due as usize];
        let place = heap.places.get(slot as usize).copied().filter(|place| *place != ABSENT);
        if let Some(place) = place {
            heap.take(place as usize);
        }
        place.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Time,
    /// Counts the settings, round and round: compared by distance. Two entries of one time are never half a round, two
    /// thousand million settings, apart.
    order: u32,
    slot: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.order.wrapping_sub(other.order).cast_signed().cmp(&0))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Children per entry: four of them are one cache line.
const ARITY: usize = 4;

const ABSENT: u32 = u32::MAX;

/// A heap that knows where each entry is. Slots are small dense numbers.
#[derive(Debug, Default)]
struct Heap {
    entries: Vec<Entry>,
    /// Where the entry of a slot stands, or `ABSENT`.
    places: Vec<u32>,
}

impl Heap {
    fn set(&mut self, entry: Entry) -> bool {
        let slot = entry.slot as usize;
        if self.places.len() <= slot {
            self.places.resize(slot + 1, ABSENT);
        }
        let place = self.places[slot];
        if place == ABSENT {
            self.entries.push(entry);
            self.sift_up(self.entries.len() - 1, entry);
        } else {
            self.replace(place as usize, entry);
        }
        place == ABSENT
    }

    fn take(&mut self, place: usize) {
        let removed = self.entries[place];
        self.places[removed.slot as usize] = ABSENT;
        let Some(last) = self.entries.pop() else { return };
        if place < self.entries.len() {
            self.replace(place, last);
        }
    }

    fn replace(&mut self, place: usize, entry: Entry) {
        if entry < self.entries[place] {
            self.sift_up(place, entry);
        } else {
            self.sift_down(place, entry);
        }
    }

    fn sift_up(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.entries[parent] <= entry {
                break;
            }
            self.put(place, self.entries[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sift_down(&mut self, mut place: usize, entry: Entry) {
        loop {
            let first = ARITY * place + 1;
            let children = self.entries.get(first..).unwrap_or_default();
            let Some((at, least)) = children.iter().take(ARITY).enumerate().min_by_key(|(_, child)| **child) else {
                break;
            };
            if entry <= *least {
                break;
            }
            let (child, least) = (first + at, *least);
            self.put(place, least);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.entries[place] = entry;
        // A heap of u32 slots has fewer than u32::MAX places.
        self.places[entry.slot as usize] = place as u32;
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

    #[test]
    fn an_entry_is_sixteen_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    proptest! {
        #[test]
        fn the_queue_agrees_with_a_sorted_list(
            steps in proptest::collection::vec((0u32..20, any::<bool>(), prop_oneof![3 => (1u64..50).prop_map(Some), 1 => Just(None)]), 1..300),
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
                prop_assert_eq!(pop(&mut queue, at(1_000)), Some((slot, due, at_)));
            }
            prop_assert!(queue.is_empty());
        }
    }
}
