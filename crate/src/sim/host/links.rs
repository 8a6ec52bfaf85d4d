//! The links of a simulated host: each has an interface while it is there, and another one whenever it comes back.

use rustc_hash::FxHashMap;

use crate::engine::stats::LinkId;
use crate::protocol::time::Time;
use crate::sim::host::Host;
use crate::sim::simulated_protocol::SimulatedProtocol;

/// The first interface that a link gets when it comes back. Before, it has the number of its link.
const FIRST_AGAIN: u32 = 1_000;

/// The links of a host.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of links that were removed: the interface since then; 0 for none.
    interfaces: FxHashMap<u32, u32>,
    returns: u32,
    /// What the thread has not heard of yet.
    changed: Vec<u32>,
}

impl Links {
    /// The interface of a link; 0 for none.
    pub(super) fn interface(&self, link: u32) -> u32 {
        self.interfaces.get(&link).copied().unwrap_or(link)
    }

    /// Whether a link has no interface.
    pub(super) fn is_gone(&self, link: u32) -> bool {
        self.interfaces.get(&link) == Some(&0)
    }

    /// A new process knows the links as they are.
    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }
}

impl<P: SimulatedProtocol> Host<P> {
    /// Whether a link of this host is not there.
    pub(in crate::sim) fn has_lost(&self, link: u32) -> bool {
        self.links.is_gone(link)
    }

    /// A link is removed, and with it the kernel drops its routes and next-hop objects.
    pub(in crate::sim) fn remove_link(&mut self, link: u32, now: Time) {
        let interface = self.links.interface(link);
        if interface == 0 {
            return;
        }
        self.links.interfaces.insert(link, 0);
        self.kernel.remove_interface(interface);
        self.collect_notices(now);
        self.link_changed(link, now);
    }

    /// A link that was removed comes back, with another interface.
    pub(in crate::sim) fn restore_link(&mut self, link: u32, now: Time) {
        if self.links.is_gone(link) {
            self.links.interfaces.insert(link, FIRST_AGAIN + self.links.returns);
            self.links.returns += 1;
            self.link_changed(link, now);
        }
    }

    /// All links come back.
    pub(in crate::sim) fn restore_links(&mut self, now: Time) {
        let mut links: Vec<u32> = self.links.interfaces.keys().copied().collect();
        links.sort_unstable();
        links.into_iter().for_each(|link| self.restore_link(link, now));
    }

    fn link_changed(&mut self, link: u32, now: Time) {
        if self.alive {
            self.links.changed.push(link);
            self.wake_at = Some(now);
        }
    }

    /// As the driver, in its turn: tells the planner which interfaces the links have.
    pub(super) fn tell_links(&mut self, local: Time) {
        for link in std::mem::take(&mut self.links.changed) {
            let interface = self.links.interface(link);
            for kept in &mut self.routes {
                if kept.link == link {
                    kept.armed.route.interface = interface;
                }
                if let Some(backup) = kept.armed.backup.as_mut().filter(|backup| backup.link == LinkId(link)) {
                    backup.interface = interface;
                }
            }
            self.planner.link_changed(LinkId(link), interface, local);
        }
    }
}
