//! All sessions, and how one of them is found: by its id, by its path, by its discriminator.

use rustc_hash::FxHashSet;

use crate::engine::io::{AddError, Path, SessionId};
use crate::engine::path_key::{PathKey, PathKeys};
use crate::engine::slot_index::SlotIndex;
use crate::engine::stats::EndpointId;
use crate::protocol::Protocol;
use crate::protocol::discriminators::{Discriminators, Key};
use crate::protocol::session::Session;
use crate::protocol::time::Time;

/// In the order of the declaration, the session last: what every packet looks at is in the first two of three cache lines.
#[repr(C, align(64))]
pub(crate) struct Slot<P: Protocol> {
    pub(crate) id: SessionId,
    pub(crate) path: PathKey,
    pub(crate) endpoint: EndpointId,
    pub(crate) peer_port: u16,
    /// The least TTL that a packet of the peer must have.
    pub(crate) min_ttl: u8,
    /// The detection time was extended since the last packet.
    pub(crate) extended: bool,
    /// The detect entry of the queue. It may be earlier than the session's deadline, never later: receiving a
    /// packet moves no entry, and one that surfaces early is put back.
    pub(crate) detect_scheduled: Option<Time>,
    pub(crate) session: Session<P>,
}

impl<P: Protocol> Slot<P> {
    /// Whether the detect entry of the queue fits the session's deadline: no later, and none without a deadline.
    #[inline]
    pub(crate) fn detection_is_scheduled(&self) -> bool {
        match (self.session.detect_deadline(), self.detect_scheduled) {
            (Some(deadline), Some(scheduled)) => scheduled <= deadline,
            (deadline, scheduled) => deadline.is_none() && scheduled.is_none(),
        }
    }
}

/// The slots of all sessions, with their indices. An index of a slot is valid until its session is removed.
pub(crate) struct SessionTable<P: Protocol> {
    slots: Vec<Option<Slot<P>>>,
    free: Vec<u32>,
    by_id: SlotIndex,
    by_path: SlotIndex,
    names: Discriminators,
    discriminators: FxHashSet<u32>,
    keys: PathKeys,
    most: usize,
}

impl<P: Protocol> SessionTable<P> {
    /// An empty one, with room for `most` sessions.
    pub(crate) fn new(key: Key, most: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: SlotIndex::default(),
            by_path: SlotIndex::default(),
            names: Discriminators::new(key, most),
            discriminators: FxHashSet::default(),
            keys: PathKeys::default(),
            most,
        }
    }

    /// As this one, which is empty, with another key for discriminators.
    pub(crate) fn with_key(self, key: Key) -> Self {
        Self { names: Discriminators::new(key, self.most), ..self }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many sessions there may be.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A discriminator for the session that is added next.
    pub(crate) fn draw_discriminator(&mut self) -> u32 {
        let slot = self.free.last().map_or(self.slots.len(), |slot| *slot as usize);
        // A slot that does not fit is not found by its discriminator.
        self.names.draw(slot as u32)
    }

    /// Whether a session may be added; takes its discriminator where it may.
    pub(crate) fn reserve(&mut self, id: SessionId, path: Path, local_discr: u32) -> Result<(), AddError> {
        if self.len() >= self.most {
            return Err(AddError::Full(self.most));
        }
        if self.of_id(id).is_some() || self.key(path).is_some_and(|key| self.of_path(key).is_some()) {
            return Err(AddError::Exists);
        }
        if !self.discriminators.insert(local_discr) {
            return Err(AddError::DiscriminatorTaken);
        }
        Ok(())
    }

    /// The key of a path; `None` where no session can have it.
    #[inline]
    pub(crate) fn key(&self, path: Path) -> Option<PathKey> {
        self.keys.get(path)
    }

    /// The key of a path, made where it is new.
    pub(crate) fn make_key(&mut self, path: Path) -> PathKey {
        self.keys.make(path)
    }

    /// The path of a key.
    #[inline]
    pub(crate) fn path(&self, key: PathKey) -> Path {
        self.keys.path(key)
    }

    /// Puts in a session that was reserved; gives its slot.
    pub(crate) fn insert(&mut self, slot: Slot<P>) -> u32 {
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // A sixteenth more, not twice as much: there may be a million.
                    self.slots.reserve_exact(self.slots.len() / 16 + 16);
                }
                self.slots.push(Some(slot));
                u32::try_from(self.slots.len() - 1).expect("session ids are 32 bits wide")
            }
        };
        self.by_id.insert(index, |index| occupied(&self.slots, index).id);
        self.by_path.insert(index, |index| occupied(&self.slots, index).path);
        index
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, index: u32) -> Slot<P> {
        let slot = self.slots[index as usize].take().expect("indices name occupied slots");
        self.by_id.remove(index, &slot.id);
        self.by_path.remove(index, &slot.path);
        self.discriminators.remove(&slot.session.local_discr());
        self.free.push(index);
        slot
    }

    /// Gives a session another id, which none has.
    pub(crate) fn rename(&mut self, index: u32, id: SessionId) {
        let previous = self.get(index).id;
        self.by_id.remove(index, &previous);
        self.get_mut(index).id = id;
        self.by_id.insert(index, |index| occupied(&self.slots, index).id);
    }

    /// The slot of an index, where it is occupied.
    pub(crate) fn try_get(&self, index: u32) -> Option<&Slot<P>> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(crate) fn get(&self, index: u32) -> &Slot<P> {
        occupied(&self.slots, index)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Slot<P> {
        self.slots[index as usize].as_mut().expect("indices name occupied slots")
    }

    pub(crate) fn of_id(&self, id: SessionId) -> Option<u32> {
        self.by_id.get(&id, |index| occupied(&self.slots, index).id)
    }

    pub(crate) fn of_path(&self, path: PathKey) -> Option<u32> {
        self.by_path.get(&path, |index| occupied(&self.slots, index).path)
    }

    /// The slot of a path, for a packet that names this discriminator: most packets are found by it without a search.
    pub(crate) fn of_path_and_discriminator(&self, path: PathKey, discr: u32) -> Option<u32> {
        let index = self.names.slot_of(discr);
        match self.slots.get(index as usize) {
            Some(Some(slot)) if slot.path == path => Some(index),
            _ => self.of_path(path),
        }
    }

    /// The slot of a discriminator that was drawn here.
    pub(crate) fn of_discriminator(&self, discr: u32) -> Option<u32> {
        let index = self.names.slot_of(discr);
        let slot = self.slots.get(index as usize)?.as_ref()?;
        (slot.session.local_discr() == discr).then_some(index)
    }

    /// All slots, each with its index, from an index on.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &Slot<P>)> + '_ {
        let rest = self.slots.iter().zip(0u32..).skip(first as usize);
        rest.filter_map(|(slot, index)| slot.as_ref().map(|slot| (index, slot)))
    }
}

fn occupied<P: Protocol>(slots: &[Option<Slot<P>>], index: u32) -> &Slot<P> {
    slots[index as usize].as_ref().expect("indices name occupied slots")
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::protocol::liveness::Liveness;

    #[test]
    fn a_session_takes_three_cache_lines_and_a_packet_looks_at_two() {
        assert_eq!(size_of::<Option<Slot<Liveness>>>(), 3 * 64);
        assert!(offset_of!(Slot<Liveness>, session) + Session::<Liveness>::OFTEN_USED <= 2 * 64);
    }
}
