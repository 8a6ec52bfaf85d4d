//! Deadlines by time, at most one per slot: what is near stands in order, what is far in buckets.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::protocol::time::Time;

/// A slot's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When it is due.
    pub at: Time,
    /// Counts the settings, round and round: compared by distance. Two entries of one time are never half a round, two
    /// thousand million settings, apart.
    pub order: u32,
    /// The slot of the session.
    pub slot: u32,
}

impl Ord for Entry {
    /// By time; of equal times the one that was set first is the lesser.
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then(self.order.wrapping_sub(other.order).cast_signed().cmp(&0))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A bucket spans 2^12 µs, four milliseconds.
const BUCKET_BITS: u32 = 12;

/// Buckets of a round, four seconds: most deadlines are nearer. What is due in a later round waits in the bucket in which
/// it will be due.
const ROUND: usize = 1 << 10;

/// What is set so many buckets before the bucket at hand begins anew from there, a quarter of a second; what is nearer is late.
const REWIND_BUCKETS: u64 = 64;

/// With more entries at hand they stay there: they would have to be sorted again and again.
const MOST_REWOUND: usize = 32;

/// Emptied buckets whose memory is kept for the next.
const MOST_SPARE: usize = 64;

/// A new bucket has room for so many slots: most need no more, and growing costs more than the room.
const FIRST_ROOM: usize = 8;

/// What is known of one slot.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// `None` where the slot has no entry.
    at: Option<Time>,
    order: u32,
    /// Where a far entry stands in its bucket.
    place: u32,
}

/// A calendar queue. The next bucket is sorted when all that came before it is gone, and taken from its end. So a deadline
/// costs the same with a thousand and with a million others: what is moved at a time are those of four milliseconds, and
/// that much fits into the processor's cache.
#[derive(Debug)]
pub(crate) struct Calendar {
    /// The bucket at hand, the earliest last.
    near: Vec<Entry>,
    /// Set before the horizon after the bucket at hand was sorted: few, or many at once when much happens.
    late: BTreeSet<Entry>,
    /// From the horizon on, in a ring: the slots of each bucket, in no order.
    far: Box<[Vec<u32>]>,
    far_len: usize,
    /// The first bucket that is not near.
    horizon: u64,
    /// By slot: small dense numbers.
    records: Vec<Record>,
    spare: Vec<Vec<u32>>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            near: Vec::new(),
            late: BTreeSet::new(),
            far: vec![Vec::new(); ROUND].into(),
            far_len: 0,
            horizon: 0,
            records: Vec::new(),
            spare: Vec::new(),
        }
    }
}

impl Calendar {
    /// How many entries there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.near.len() + self.late.len() + self.far_len
    }

    /// The earliest entry. Something is near unless there is nothing at all.
    #[must_use]
    pub(crate) fn first(&self) -> Option<&Entry> {
        match (self.near.last(), self.late.first()) {
            (Some(near), Some(late)) => Some(near.min(late)),
            (near, late) => near.or(late),
        }
    }

    /// When a slot's deadline is, if it has one.
    #[must_use]
    pub(crate) fn deadline(&self, slot: u32) -> Option<Time> {
        self.records.get(slot as usize)?.at
    }

    /// Puts an entry in, in place of the slot's other. True where it had none.
    pub(crate) fn set(&mut self, entry: Entry) -> bool {
        let slot = entry.slot as usize;
        if slot >= self.records.len() {
            if slot >= self.records.capacity() {
                self.records.reserve_exact(slot + 1 - self.records.len() + slot / 16);
            }
            self.records.resize(slot + 1, Record::default());
        }
        let is_new = !self.detach(entry.slot);
        if bucket_of(entry.at) < self.horizon {
            self.set_early(entry);
        } else {
            self.push_far(entry);
        }
        self.refill();
        is_new
    }

    /// Takes the entry of a slot out. True where there was one.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        let was_there = self.detach(slot);
        if was_there {
            self.records[slot as usize].at = None;
            self.refill();
        }
        was_there
    }

    /// Puts in what is due before the horizon.
    fn set_early(&mut self, entry: Entry) {
        if bucket_of(entry.at) + REWIND_BUCKETS < self.horizon && self.near.len() + self.late.len() <= MOST_REWOUND {
            self.rewind(bucket_of(entry.at));
            self.push_far(entry);
        } else {
            self.records[entry.slot as usize] = Record { at: Some(entry.at), order: entry.order, place: 0 };
            self.late.insert(entry);
        }
    }

    /// Puts back what is at hand, and begins at an earlier bucket: else everything that is set from now
    /// on would be late until the bucket at hand has come. What is late already, since more was at hand then, may be earlier yet.
    fn rewind(&mut self, bucket: u64) {
        self.horizon = self.first().map_or(bucket, |first| bucket.min(bucket_of(first.at)));
        let mut near = std::mem::take(&mut self.near);
        for entry in near.drain(..).chain(std::mem::take(&mut self.late)) {
            self.push_far(entry);
        }
        self.near = near;
    }

    fn push_far(&mut self, entry: Entry) {
        let bucket = &mut self.far[place_of(bucket_of(entry.at))];
        if bucket.capacity() == 0 {
            *bucket = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(FIRST_ROOM));
        }
        // Slots are u32, and so is any place.
        let place = bucket.len() as u32;
        self.records[entry.slot as usize] = Record { at: Some(entry.at), order: entry.order, place };
        bucket.push(entry.slot);
        self.far_len += 1;
    }

    /// Takes the entry of a slot from where it stands; its record is the caller's to set. True where there was one.
    fn detach(&mut self, slot: u32) -> bool {
        let Some(&Record { at: Some(at), order, place }) = self.records.get(slot as usize) else { return false };
        if bucket_of(at) < self.horizon {
            self.take_near(&Entry { at, order, slot });
            return true;
        }
        let bucket = &mut self.far[place_of(bucket_of(at))];
        bucket.swap_remove(place as usize);
        if let Some(moved) = bucket.get(place as usize) {
            self.records[*moved as usize].place = place;
        }
        self.far_len -= 1;
        true
    }

    fn take_near(&mut self, entry: &Entry) {
        if self.near.last() == Some(entry) {
            self.near.pop();
        } else if let Ok(place) = self.near.binary_search_by(|other| entry.cmp(other)) {
            self.near.remove(place);
        } else {
            self.late.remove(entry);
        }
    }

    /// Sees to it that something is near, if there is anything.
    fn refill(&mut self) {
        if self.far_len == 0 || !self.near.is_empty() || !self.late.is_empty() {
            return;
        }
        let next = self.next_bucket();
        self.horizon = next + 1;
        let mut slots = std::mem::take(&mut self.far[place_of(next)]);
        self.far_len -= slots.len();
        for slot in slots.drain(..) {
            let entry = self.far_entry(slot);
            if bucket_of(entry.at) == next {
                self.near.push(entry);
            } else {
                self.push_far(entry);
            }
        }
        self.near.sort_unstable_by(|a, b| b.cmp(a));
        if self.spare.len() < MOST_SPARE {
            self.spare.push(slots);
        }
    }

    /// The first bucket that has an entry of its own, not only of later rounds.
    fn next_bucket(&self) -> u64 {
        let bucket_of = |slot: &u32| bucket_of(self.far_entry(*slot).at);
        (self.horizon..self.horizon + ROUND as u64)
            .find(|bucket| self.far[place_of(*bucket)].iter().any(|slot| bucket_of(slot) == *bucket))
            .or_else(|| self.far.iter().flatten().map(bucket_of).min())
            .expect("something is far")
    }

    fn far_entry(&self, slot: u32) -> Entry {
        let Record { at, order, .. } = self.records[slot as usize];
        Entry { at: at.expect("whoever stands in a bucket has a time"), order, slot }
    }
}

const fn bucket_of(at: Time) -> u64 {
    at.micros() >> BUCKET_BITS
}

const fn place_of(bucket: u64) -> usize {
    bucket as usize % ROUND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(slot: u32, us: u64) -> Entry {
        Entry { at: Time::from_micros(us), order: slot, slot }
    }

    fn drain(calendar: &mut Calendar) -> Vec<u32> {
        let mut slots = Vec::new();
        while let Some(slot) = calendar.first().map(|first| first.slot) {
            calendar.remove(slot);
            slots.push(slot);
        }
        slots
    }

    #[test]
    fn an_entry_that_is_due_rounds_later_waits_for_its_round() {
        let round_us = (ROUND as u64) << BUCKET_BITS;
        let mut calendar = Calendar::default();
        for (slot, rounds) in [(0, 3), (1, 0), (2, 1), (3, 1_000_000), (4, 0)] {
            calendar.set(entry(slot, 10_000 + rounds * round_us + u64::from(slot)));
        }
        assert_eq!(drain(&mut calendar), [1, 4, 2, 0, 3]);
    }

    #[test]
    fn an_entry_before_the_current_bucket_comes_out_before_it() {
        let mut calendar = Calendar::default();
        for (slot, us) in [(0, 100_000), (1, 100_001), (2, 50), (3, 100_000), (4, 99_000)] {
            calendar.set(entry(slot, us));
        }
        assert_eq!(drain(&mut calendar), [2, 4, 0, 3, 1]);
    }

    #[test]
    fn what_is_late_while_much_is_at_hand_keeps_its_place_when_less_is() {
        const SPAN: u64 = 1 << BUCKET_BITS;
        let mut calendar = Calendar::default();
        let many = 2..3 + MOST_REWOUND as u32;
        for slot in many.clone() {
            calendar.set(entry(slot, 1_000 * SPAN + u64::from(slot)));
        }
        calendar.set(entry(0, 700 * SPAN));
        for slot in many.clone().skip(2) {
            calendar.remove(slot);
        }
        // Little is at hand now, and this is early: but not as early as what is late already.
        calendar.set(entry(1, 800 * SPAN));
        assert!(calendar.remove(0), "it has a deadline");
        assert_eq!(calendar.len(), 3);
        assert_eq!(drain(&mut calendar), [1, 2, 3]);
    }

    #[test]
    fn a_first_deadline_far_ahead_sends_no_later_one_to_the_slow_path() {
        for far_us in [60_000_000, 600_000_000, 1 << 50] {
            let mut calendar = Calendar::default();
            calendar.set(entry(0, far_us));
            for slot in 1..1_000 {
                calendar.set(entry(slot, 10_000 + u64::from(slot) * 4_000));
                assert!(calendar.late.len() <= 1, "{slot} before {far_us}");
            }
            assert_eq!(drain(&mut calendar), (1..1_000).chain([0]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_entry_and_a_record_are_sixteen_bytes() {
        assert_eq!((size_of::<Entry>(), size_of::<Record>()), (16, 16));
    }
}
