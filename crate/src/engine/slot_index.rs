//! Which slot has a key: a hash table of slot numbers. The keys are in the slots, which the caller reads next anyway.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Slots by their keys.
#[derive(Debug, Default)]
pub(crate) struct SlotIndex(HashTable<u32>);

impl SlotIndex {
    /// How many slots are in the index.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The slot that has the key. `key_of` gives the key of a slot that is in the index.
    pub(crate) fn get<K: Hash + Eq>(&self, key: &K, key_of: impl Fn(u32) -> K) -> Option<u32> {
        self.0.find(hash(key), |slot| key_of(*slot) == *key).copied()
    }

    /// All slots that have the key.
    pub(crate) fn all<K: Hash + Eq>(&self, key: K, key_of: impl Fn(u32) -> K) -> impl Iterator<Item = u32> {
        self.0.iter_hash(hash(&key)).copied().filter(move |slot| key_of(*slot) == key)
    }

    /// Puts a slot in. Where `get` is to find it, no other has its key.
    pub(crate) fn insert<K: Hash + Eq>(&mut self, slot: u32, key_of: impl Fn(u32) -> K) {
        self.0.insert_unique(hash(&key_of(slot)), slot, |slot| hash(&key_of(*slot)));
    }

    /// Takes out a slot that has this key.
    pub(crate) fn remove<K: Hash + Eq>(&mut self, slot: u32, key: &K) {
        if let Ok(entry) = self.0.find_entry(hash(key), |other| *other == slot) {
            entry.remove();
        }
    }
}

fn hash<K: Hash>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_found_by_its_key_until_it_is_removed() {
        let keys: Vec<u64> = (0..1_000).map(|slot| slot * slot).collect();
        let key_of = |slot: u32| keys[slot as usize];
        let mut index = SlotIndex::default();
        for slot in 0..1_000 {
            index.insert(slot, key_of);
        }
        index.remove(7, &49);
        assert_eq!((index.get(&49, key_of), index.get(&64, key_of), index.get(&50, key_of)), (None, Some(8), None));
        assert_eq!(index.len(), 999);
        let mut shared = SlotIndex::default();
        (0..9).for_each(|slot| shared.insert(slot, |slot| slot % 3));
        shared.remove(4, &1);
        let mut all: Vec<u32> = shared.all(1, |slot| slot % 3).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 7]);
    }
}
