//! What a predecessor has left on next-hop objects that are taken over: a listing tells. Pure, given the time.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use crate::protocol::time::Time;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::put_off::PutOff;

#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The objects of which a listing is wanted, with their protocol numbers, …
    wanted: BTreeMap<u32, u8>,
    /// … and those of which there was none to be had.
    unlisted: PutOff<(u32, u8)>,
    /// While a listing is under way: the routes that have gone meanwhile, or have an owner by now.
    settled: Option<FxHashSet<KernelRoute>>,
}

impl Survey {
    /// What is on an object is not known.
    pub(crate) fn want(&mut self, object: u32, protocol: u8) {
        self.wanted.insert(object, protocol);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// A listing of the routes on these objects begins.
    pub(crate) fn begin(&mut self) -> BTreeMap<u32, u8> {
        self.settled = (!self.wanted.is_empty()).then(FxHashSet::default);
        std::mem::take(&mut self.wanted)
    }

    /// A route has gone, or has an owner.
    pub(crate) fn settled(&mut self, route: &KernelRoute) {
        if let Some(settled) = &mut self.settled {
            settled.insert(*route);
        }
    }

    /// Whether a route that the listing shows has gone meanwhile, or has an owner.
    pub(crate) fn is_settled(&self, route: &KernelRoute) -> bool {
        self.settled.as_ref().is_some_and(|settled| settled.contains(route))
    }

    /// The listing has ended.
    pub(crate) fn end(&mut self) {
        self.settled = None;
    }

    /// The listing is not to be had.
    pub(crate) fn put_off(&mut self, objects: &BTreeMap<u32, u8>, now: Time) {
        self.unlisted.put(objects.iter().map(|(object, protocol)| (*object, *protocol)), now);
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_deadline(&self) -> Option<Time> {
        self.unlisted.poll_deadline()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.wanted.extend(self.unlisted.take_due(now));
    }
}
