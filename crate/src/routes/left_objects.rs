//! Routes that were let go and stay in the kernel, and the next-hop objects that nothing else needs. Pure, given the time.
//!
//! Nobody watches such a route: a registration of its slot replaces it, others delete it, and some of those that may have stayed had
//! gone before. An object that they alone need is *set aside*: no route gets its number. Whether any route leads over it still, the
//! kernel is asked (`object_sweep`): at once, and again whenever something changes in the slot of a route that was left on it, with the
//! object itself, or on the host.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::protocol::time::Time;
use crate::routes::kernel_route::{KernelRoute, Result, Slot};
use crate::routes::put_off::PutOff;

#[derive(Debug, Default)]
pub(crate) struct LeftObjects {
    /// The routes that were let go, by their slots.
    routes: FxHashMap<Slot, Vec<KernelRoute>>,
    /// How many of them each object has.
    counts: FxHashMap<u32, usize>,
    /// The objects that are set aside, with their protocol numbers.
    aside: BTreeMap<u32, u8>,
    /// Those of them that the kernel is to be asked about, …
    doubted: BTreeSet<u32>,
    /// … and those about which it did not answer.
    unanswered: PutOff<u32>,
}

impl LeftObjects {
    /// A route is forgotten that is in the kernel, or may be.
    pub(crate) fn leave(&mut self, route: &KernelRoute) {
        if route.object == 0 {
            return;
        }
        let in_slot = self.routes.entry(route.slot()).or_default();
        if !in_slot.contains(route) {
            in_slot.push(*route);
            *self.counts.entry(route.object).or_default() += 1;
        }
    }

    /// Whether a route may be on an object that was let go.
    pub(crate) fn has_routes(&self, object: u32) -> bool {
        self.counts.contains_key(&object)
    }

    /// A route is known to be gone, or to be somebody's again.
    pub(crate) fn settled(&mut self, route: &KernelRoute) {
        let Some(in_slot) = self.routes.get_mut(&route.slot()) else { return };
        let gone = in_slot.extract_if(.., |left| left == route).count();
        if in_slot.is_empty() {
            self.routes.remove(&route.slot());
        }
        if gone > 0 {
            self.discount(route.object, gone);
        }
    }

    fn discount(&mut self, object: u32, gone: usize) {
        let Some(count) = self.counts.get_mut(&object) else { return };
        *count -= gone;
        if *count == 0 {
            self.counts.remove(&object);
        }
    }

    /// The kernel does not have the object any more, or it is another's: no route of ours is on it.
    pub(crate) fn gone(&mut self, object: u32) {
        if self.counts.remove(&object).is_some() {
            self.routes.retain(|_, in_slot| {
                in_slot.retain(|left| left.object != object);
                !in_slot.is_empty()
            });
        }
        self.aside.remove(&object);
        self.doubted.remove(&object);
        self.unanswered.forget(&object);
    }

    /// Nobody needs the object but routes that were let go.
    pub(crate) fn set_aside(&mut self, object: u32, protocol: u8) {
        self.aside.insert(object, protocol);
        self.doubted.insert(object);
    }

    pub(crate) fn is_aside(&self, object: u32) -> bool {
        self.aside.contains_key(&object)
    }

    /// What was left in a slot may have gone.
    pub(crate) fn slot_changed(&mut self, slot: &Slot) {
        let objects = self.routes.get(slot).into_iter().flatten().map(|left| left.object);
        self.doubted.extend(objects.filter(|object| self.aside.contains_key(object)));
    }

    /// The object, or a route on it, may have gone.
    pub(crate) fn object_changed(&mut self, object: u32) {
        if self.is_aside(object) {
            self.doubted.insert(object);
        }
    }

    /// Routes may have gone without a notice.
    pub(crate) fn host_changed(&mut self) {
        self.doubted.extend(self.aside.keys());
    }

    pub(crate) fn has_doubted(&self) -> bool {
        !self.doubted.is_empty()
    }

    /// Takes the objects that the kernel is to be asked about, with their protocol numbers.
    pub(crate) fn take_doubted(&mut self) -> BTreeMap<u32, u8> {
        let doubted = std::mem::take(&mut self.doubted);
        doubted.into_iter().filter_map(|id| Some((id, *self.aside.get(&id)?))).collect()
    }

    /// Notes which of the objects that were taken stay, since they are in use.
    pub(crate) fn swept(&mut self, objects: &BTreeMap<u32, u8>, stay: Result<BTreeSet<u32>>, now: Time) {
        match stay {
            Ok(stay) => objects.keys().filter(|id| !stay.contains(id)).for_each(|id| self.gone(*id)),
            Err(_) => self.unanswered.put(objects.keys().copied(), now),
        }
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_deadline(&self) -> Option<Time> {
        self.unanswered.poll_deadline()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.doubted.extend(self.unanswered.take_due(now));
    }
}
