//! The armed routes, found by their numbers and by what they occupy in the kernel. In one table that grows by a little, since
//! allocators keep the room that a table left when it doubled.

use std::net::IpAddr;

use crate::engine::SessionId;
use crate::engine::slot_index::SlotIndex;
use crate::routes::entry::Entry;
use crate::routes::kernel_route::{KernelRoute, Slot};
use crate::routes::outcome::RouteId;

/// What the slots of routes that differ in their priorities alone have in common.
type Prefix = (u32, IpAddr, u8);

#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_id: SlotIndex,
    by_prefix: SlotIndex,
}

impl RouteTable {
    pub(crate) fn get(&self, id: RouteId) -> Option<&Entry> {
        self.entries[self.find(id)? as usize].as_ref()
    }

    /// The sessions of some routes, each once.
    pub(crate) fn sessions_of(&self, ids: &[RouteId]) -> Vec<SessionId> {
        let mut sessions: Vec<SessionId> =
            ids.iter().filter_map(|id| self.get(*id)).map(|entry| entry.session_id).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    pub(crate) fn get_mut(&mut self, id: RouteId) -> Option<&mut Entry> {
        let index = self.find(id)?;
        self.entries[index as usize].as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// Puts in an entry, whose number no other has.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let index = self.free.pop().unwrap_or_else(|| {
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact(self.entries.len() / 16 + 16);
            }
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("route ids are 32 bits wide")
        });
        self.entries[index as usize] = Some(entry);
        self.by_id.insert(index, |index| occupied(&self.entries, index).id);
        self.by_prefix.insert(index, |index| prefix_of(&self.entries, index));
    }

    pub(crate) fn remove(&mut self, id: RouteId) -> Option<Entry> {
        let index = self.find(id)?;
        self.by_prefix.remove(index, &prefix_of(&self.entries, index));
        self.by_id.remove(index, &id);
        self.free.push(index);
        self.entries[index as usize].take()
    }

    /// The route in a slot; where one is leaving and another has come, the one that has come.
    pub(crate) fn in_slot(&self, slot: &Slot) -> Option<RouteId> {
        let in_slot = self.with_prefix(slot).filter(|entry| entry.route.get().priority == slot.priority);
        in_slot.map(|entry| entry.id).max()
    }

    /// The routes of the slots with this table and destination.
    pub(crate) fn with_prefix(&self, slot: &Slot) -> impl Iterator<Item = &Entry> {
        let prefix = (slot.table, slot.destination, slot.prefix_length);
        self.by_prefix.all(prefix, |index| prefix_of(&self.entries, index)).map(|index| occupied(&self.entries, index))
    }

    fn find(&self, id: RouteId) -> Option<u32> {
        self.by_id.get(&id, |index| occupied(&self.entries, index).id)
    }
}

fn occupied(entries: &[Option<Entry>], index: u32) -> &Entry {
    entries[index as usize].as_ref().expect("indices name occupied entries")
}

fn prefix_of(entries: &[Option<Entry>], index: u32) -> Prefix {
    let KernelRoute { table, destination, prefix_length, .. } = occupied(entries, index).route.get();
    (table, destination, prefix_length)
}
