//! Routes that were ours in the slot of an entry and may be there still: which of them gives way to the route, goes, or stays.

use crate::routes::armed::Doubt;
use crate::routes::entry::Entry;
use crate::routes::kernel_route::{KernelRoute, Presence};
use crate::routes::legs::Leg;

impl Entry {
    pub(crate) fn previous(&self) -> Option<KernelRoute> {
        self.rare.as_ref()?.previous.first().copied()
    }

    /// Routes that were ours in the slot and may be there still.
    pub(crate) fn previous_routes(&self) -> impl Iterator<Item = &KernelRoute> {
        self.rare.iter().flat_map(|rare| &rare.previous)
    }

    /// What an addition replaces: first of all a route beside which the kernel does not take the new one.
    pub(crate) fn replaced(&self) -> Option<KernelRoute> {
        let rare = self.rare.as_ref()?;
        let excludes = |previous: &&KernelRoute| !rare.takes_first && previous.excludes(&self.route.get());
        rare.previous.iter().find(excludes).copied().or_else(|| self.previous())
    }

    /// What is to be deleted when the route is there. What cannot be there with it is gone, and a deletion of it would delete
    /// the route.
    pub(super) fn previous_beside(&self) -> Option<KernelRoute> {
        let mut previous = self.rare.as_ref()?.previous.iter();
        previous.find(|previous| !previous.excludes(&self.route.get())).copied()
    }

    /// A route that leaves, and is never deleted, but was not installed yet: of what it was to replace one may stay, as it would have
    /// without it. What stands beside that was on its way, and as a sibling would keep anybody's next route from the slot.
    pub(super) fn previous_to_leave(&self) -> Option<KernelRoute> {
        let previous = &self.rare.as_ref().filter(|_| self.leaving.is_some())?.previous;
        previous.last().filter(|_| previous.len() > 1).copied()
    }

    /// The route on its backup, which has failed, where it was on its way back to the primary. That a peer has the primary kept as it is does
    /// not keep the backup.
    pub(super) fn previous_on_failed_backup(&self) -> Option<KernelRoute> {
        let legs = self.legs.as_ref().filter(|legs| legs.leg == Leg::Primary)?;
        let stays = self.no_uninstall || self.leaving.is_some() || self.maintained || self.held_until().is_some();
        if stays || legs.is_maintained || legs.is_backup_usable() {
            return None;
        }
        let backup = legs.route(Leg::Backup);
        self.previous_routes().find(|previous| **previous == backup || previous.is_elsewhere(&backup)).copied()
    }
}

/// Another route is desired in place of `previous`.
pub(crate) fn replace(entry: &mut Entry, previous: KernelRoute) {
    let may_be_there = entry.presence != Presence::Absent || entry.asked_for_route;
    entry.asked_for_route = false;
    let route = entry.route.get();
    let rare = entry.rare();
    // A deletion without an interface would fit any.
    if may_be_there && previous.interface != 0 && !rare.previous.contains(&previous) {
        rare.previous.push(previous);
    }
    (rare.pending, rare.listed) = (None, None);
    // A new number for our object changes nothing about the route that hangs elsewhere.
    rare.elsewhere = rare.elsewhere.filter(|left| left.is_elsewhere(&route));
    let may_be_there = rare.previous.contains(&route);
    rare.previous.retain(|previous| *previous != route);
    entry.presence = Presence::Absent;
    if may_be_there || entry.is_looked_for() {
        entry.forget_presence();
        // What happened to it meanwhile was not noted: an answer that is still to come proves nothing.
        if entry.asked {
            entry.doubt = entry.doubt.max(Some(Doubt::Host));
        }
    }
}
