//! The deadline heap: at most one entry per session and kind, moved in place.

use crate::time::Time;

/// What is due for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Due {
    Transmit = 0,
    Detect = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Time,
    /// Breaks ties: of equal times the one that was set first comes first.
    order: u64,
    key: u32,
}

const ABSENT: u32 = u32::MAX;

/// A binary heap that knows where each entry is. Slots are small dense numbers; two entries belong to each.
#[derive(Debug, Default)]
pub struct DeadlineQueue {
    heap: Vec<Entry>,
    /// Where in the heap the entry of a key stands, or `ABSENT`.
    places: Vec<u32>,
    next_order: u64,
}

impl DeadlineQueue {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn peek(&self) -> Option<Time> {
        self.heap.first().map(|entry| entry.at)
    }

    /// When something is due for a slot, if it is in the queue.
    #[must_use]
    pub fn deadline(&self, slot: u32, due: Due) -> Option<Time> {
        let place = *self.places.get(key(slot, due) as usize)?;
        self.heap.get(place as usize).map(|entry| entry.at)
    }

    /// Puts a deadline in, or moves the one that is there. True where there was none.
    pub fn set(&mut self, slot: u32, due: Due, at: Time) -> bool {
        let key = key(slot, due);
        let order = self.next_order;
        self.next_order += 1;
        let entry = Entry { at, order, key };
        if self.places.len() <= key as usize {
            // Both entries of the slot, so that the table grows as the slots do.
            self.places.resize((slot as usize + 1) * 2, ABSENT);
        }
        let place = self.places[key as usize];
        let is_new = place == ABSENT;
        if is_new {
            self.heap.push(entry);
            self.sift_up(self.heap.len() - 1);
        } else {
            self.replace(place as usize, entry);
        }
        is_new
    }

    /// Takes a deadline out. True where there was one.
    pub fn remove(&mut self, slot: u32, due: Due) -> bool {
        let key = key(slot, due);
        match self.places.get(key as usize) {
            Some(&place) if place != ABSENT => {
                self.take(place as usize);
                true
            }
            _ => false,
        }
    }

    /// Takes out the earliest deadline if it is not later than `now`.
    pub fn pop_if_due(&mut self, now: Time) -> Option<(u32, Due, Time)> {
        let entry = *self.heap.first().filter(|entry| entry.at <= now)?;
        self.take(0);
        Some((entry.key / 2, if entry.key.is_multiple_of(2) { Due::Transmit } else { Due::Detect }, entry.at))
    }

    fn take(&mut self, place: usize) {
        let removed = self.heap[place];
        self.places[removed.key as usize] = ABSENT;
        let Some(last) = self.heap.pop() else { return };
        if place < self.heap.len() {
            self.replace(place, last);
        }
    }

    fn replace(&mut self, place: usize, entry: Entry) {
        let before = self.heap[place];
        self.heap[place] = entry;
        if entry < before {
            self.sift_up(place);
        } else {
            self.sift_down(place);
        }
    }

    fn sift_up(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sift_down(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let left = 2 * place + 1;
            let Some(&first) = self.heap.get(left) else { break };
            let (child, least) = match self.heap.get(left + 1) {
                Some(&second) if second < first => (left + 1, second),
                _ => (left, first),
            };
            if entry <= least {
                break;
            }
            self.put(place, least);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        // A heap of u32 keys has fewer than u32::MAX places.
        self.places[entry.key as usize] = place as u32;
    }
}

const fn key(slot: u32, due: Due) -> u32 {
    slot * 2 + due as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    #[test]
    fn equal_times_come_out_in_the_order_they_were_set() {
        let mut queue = DeadlineQueue::new();
        for slot in [5, 3, 9, 1] {
            queue.set(slot, Due::Transmit, at(100));
        }
        let out: Vec<u32> = std::iter::from_fn(|| queue.pop_if_due(at(100)).map(|(slot, ..)| slot)).collect();
        assert_eq!(out, [5, 3, 9, 1]);
    }

    #[test]
    fn nothing_comes_out_before_its_time_and_a_moved_entry_counts_once() {
        let mut queue = DeadlineQueue::new();
        queue.set(0, Due::Detect, at(200));
        queue.set(0, Due::Detect, at(150));
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop_if_due(at(149)), None);
        assert_eq!(queue.pop_if_due(at(150)), Some((0, Due::Detect, at(150))));
        assert!(queue.is_empty());
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
                prop_assert_eq!(queue.deadline(slot, due), model.get(&(slot, due)).map(|(at, _)| *at));
            }
            let mut expected: Vec<_> = model.into_iter().map(|((slot, due), (at, order))| (at, order, slot, due)).collect();
            expected.sort_unstable();
            for (at_, _, slot, due) in expected {
                prop_assert_eq!(queue.pop_if_due(at(1_000)), Some((slot, due, at_)));
            }
            prop_assert!(queue.is_empty());
        }
    }
}
