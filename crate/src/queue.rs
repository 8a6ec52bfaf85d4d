//! The deadlines: for each session at most one of each kind, moved in place.

use std::collections::BTreeMap;

use crate::time::Time;

/// What is due for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Due {
    Transmit = 0,
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
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.iter().map(|calendar| calendar.len).sum()
    }

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
            (Some(transmit), Some(detection)) if detection.is_before(transmit) => Some((Due::Detect, detection)),
            (Some(transmit), _) => Some((Due::Transmit, transmit)),
            (None, detection) => detection.map(|entry| (Due::Detect, entry)),
        }
        .map(|(due, entry)| (entry.slot, due, entry.at))
    }

    /// When something is due for a slot, if it is in the queue.
    #[must_use]
    pub fn deadline(&self, slot: u32, due: Due) -> Option<Time> {
        self.kinds[due as usize].records.get(slot as usize)?.at
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Time,
    /// Counts the settings, round and round: compared by distance. Two entries of one time are never half a round, two
    /// thousand million settings, apart.
    order: u32,
    slot: u32,
}

impl Entry {
    fn is_before(&self, other: &Self) -> bool {
        self.at < other.at || (self.at == other.at && self.order.wrapping_sub(other.order).cast_signed() < 0)
    }
}

/// A bucket of the calendar spans 2^12 µs, four milliseconds.
const BUCKET_BITS: u32 = 12;

/// Emptied buckets whose memory is kept for the next.
const MOST_SPARE: usize = 64;

/// Children per entry of the heap: four of them are one cache line.
const ARITY: usize = 4;

/// What is known of one slot.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// `None` where the slot has no entry.
    at: Option<Time>,
    order: u32,
    /// Where its entry stands: in the heap, or in its bucket.
    place: u32,
}

/// Deadlines by time. What is near stands in a heap, in order; what is far in buckets of four milliseconds, in none. A
/// bucket is put into the heap when all that came before it is gone. So a deadline costs the same with a thousand and with
/// a million others: the heap holds those of four milliseconds, and that much fits into the processor's cache.
#[derive(Debug, Default)]
struct Calendar {
    near: Vec<Entry>,
    far: BTreeMap<u64, Vec<u32>>,
    /// The first bucket that is not near.
    horizon: u64,
    /// By slot: small dense numbers.
    records: Vec<Record>,
    len: usize,
    spare: Vec<Vec<u32>>,
}

impl Calendar {
    /// The earliest entry. Something is near unless there is nothing at all.
    fn first(&self) -> Option<&Entry> {
        self.near.first()
    }

    fn set(&mut self, entry: Entry) -> bool {
        let slot = entry.slot as usize;
        if self.records.len() <= slot {
            if slot >= self.records.capacity() {
                self.records.reserve_exact(slot + 1 - self.records.len() + slot / 8);
            }
            self.records.resize(slot + 1, Record::default());
        }
        let record = self.records[slot];
        let is_near = bucket_of(entry.at) < self.horizon;
        if let Some(before) = record.at
            && is_near
            && bucket_of(before) < self.horizon
        {
            self.move_near(record.place as usize, entry);
            return false;
        }
        if record.at.is_some() {
            self.detach(entry.slot);
        }
        self.len += usize::from(record.at.is_none());
        if is_near {
            self.push_near(entry);
        } else {
            let spare = &mut self.spare;
            let bucket = self.far.entry(bucket_of(entry.at)).or_insert_with(|| spare.pop().unwrap_or_default());
            self.records[slot] = Record { at: Some(entry.at), order: entry.order, place: narrow(bucket.len()) };
            bucket.push(entry.slot);
        }
        self.refill();
        record.at.is_none()
    }

    fn remove(&mut self, slot: u32) -> bool {
        let is_there = self.records.get(slot as usize).is_some_and(|record| record.at.is_some());
        if is_there {
            self.detach(slot);
            self.records[slot as usize].at = None;
            self.len -= 1;
            self.refill();
        }
        is_there
    }

    /// Takes the entry of a slot from where it stands; its record is the caller's to set.
    fn detach(&mut self, slot: u32) {
        let Record { at, place, .. } = self.records[slot as usize];
        let Some(bucket) = at.map(bucket_of) else { return };
        if bucket < self.horizon {
            self.take_near(place as usize);
            return;
        }
        let slots = self.far.get_mut(&bucket).expect("a far entry stands in its bucket");
        slots.swap_remove(place as usize);
        if let Some(moved) = slots.get(place as usize) {
            self.records[*moved as usize].place = place;
        } else if slots.is_empty() {
            let emptied = self.far.remove(&bucket);
            self.keep(emptied.unwrap_or_default());
        }
    }

    /// Sees to it that something is near, if there is anything.
    fn refill(&mut self) {
        if !self.near.is_empty() {
            return;
        }
        let Some((bucket, mut slots)) = self.far.pop_first() else { return };
        self.horizon = bucket + 1;
        for slot in slots.drain(..) {
            let Record { at, order, .. } = self.records[slot as usize];
            if let Some(at) = at {
                self.push_near(Entry { at, order, slot });
            }
        }
        self.keep(slots);
    }

    fn keep(&mut self, emptied: Vec<u32>) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(emptied);
        }
    }

    fn push_near(&mut self, entry: Entry) {
        self.near.push(entry);
        self.sift_up(self.near.len() - 1, entry);
    }

    fn take_near(&mut self, place: usize) {
        let Some(last) = self.near.pop() else { return };
        if place < self.near.len() {
            self.move_near(place, last);
        }
    }

    /// Puts an entry in place of another.
    fn move_near(&mut self, place: usize, entry: Entry) {
        if entry.is_before(&self.near[place]) {
            self.sift_up(place, entry);
        } else {
            self.sift_down(place, entry);
        }
    }

    fn sift_up(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.near[parent].is_before(&entry) {
                break;
            }
            self.put(place, self.near[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sift_down(&mut self, mut place: usize, entry: Entry) {
        loop {
            let first = ARITY * place + 1;
            let Some(mut least) = self.near.get(first) else { break };
            let mut child = first;
            for other in first + 1..(first + ARITY).min(self.near.len()) {
                if self.near[other].is_before(least) {
                    (child, least) = (other, &self.near[other]);
                }
            }
            if entry.is_before(least) {
                break;
            }
            self.put(place, *least);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.near[place] = entry;
        self.records[entry.slot as usize] = Record { at: Some(entry.at), order: entry.order, place: narrow(place) };
    }
}

const fn bucket_of(at: Time) -> u64 {
    at.micros() >> BUCKET_BITS
}

/// Slots are u32, and so is any place.
const fn narrow(place: usize) -> u32 {
    place as u32
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
    fn an_entry_and_a_record_are_sixteen_bytes() {
        assert_eq!((size_of::<Entry>(), size_of::<Record>()), (16, 16));
    }

    proptest! {
        #[test]
        fn the_queue_agrees_with_a_sorted_list(
            steps in proptest::collection::vec((0u32..20, any::<bool>(), prop_oneof![3 => (1u64..50, prop_oneof![Just(1u64), Just(1_000), Just(1_000_000)]).prop_map(|(at, unit)| Some(at * unit)), 1 => Just(None)]), 1..300),
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
