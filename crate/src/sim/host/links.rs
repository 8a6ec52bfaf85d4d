//! What becomes of the routes and sessions of a simulated host when its links go and come.

use crate::engine::stats::LinkId;
use crate::protocol::time::Time;
use crate::sim::host::Host;
use crate::sim::simulated_protocol::SimulatedProtocol;

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
        self.links.remove(link);
        self.kernel.remove_interface(interface);
        self.collect_notices(now);
        self.link_changed(link, now);
    }

    /// A link that was removed comes back, with another interface.
    pub(in crate::sim) fn restore_link(&mut self, link: u32, now: Time) {
        if self.links.restore(link) {
            self.link_changed(link, now);
        }
    }

    /// All links come back.
    pub(in crate::sim) fn restore_links(&mut self, now: Time) {
        self.links.gone().into_iter().for_each(|link| self.restore_link(link, now));
    }

    fn link_changed(&mut self, link: u32, now: Time) {
        if self.alive {
            self.links.note_change(link);
            self.wake_at = Some(now);
        }
    }

    /// As the driver, in its turn: tells the planner which interfaces the links have.
    pub(super) fn tell_links(&mut self, local: Time) {
        for link in self.links.take_changes() {
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
