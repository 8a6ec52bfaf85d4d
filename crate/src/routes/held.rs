//! The routes that a backend has installed: they are monitored, and lost ones are reported to the backend.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::kernel_route::{KernelRoute, Presence, Slot};
use crate::routes::monitor::MonitorHandler;
use crate::routes::socket::RouteSocket;
use crate::routes::tables::Tables;
use crate::system::sync::Mutex;

/// So many routes are looked at in one message.
const LOOKS_AT_ONCE: usize = 128;

/// What became of routes that were held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldRouteEvent {
    /// Somebody deleted or replaced them.
    Taken(Vec<KernelRoute>),
    /// They went with a link or an address.
    Dropped(Vec<KernelRoute>),
    /// Nobody watches any more, for this reason.
    Unwatched(String),
}

/// The routes by their slots: the newest addition to a slot counts.
#[derive(Clone, Default)]
pub struct HeldRoutes(Arc<Mutex<BTreeMap<Slot, KernelRoute>>>);

impl HeldRoutes {
    /// To be called before the route is asked for, so that no notice of its loss comes too early.
    pub fn hold(&self, route: KernelRoute) {
        self.change(|held| held.insert(route.slot(), route));
    }

    /// To be called before the route is deleted, so that its loss is not reported.
    pub fn release(&self, route: &KernelRoute) {
        self.change(|held| {
            if held.get(&route.slot()).is_some_and(|known| known.next_hop == route.next_hop) {
                held.remove(&route.slot());
            }
        });
    }

    /// The held routes that the kernel may have deleted in place of a route without a priority: it takes such a deletion for
    /// one of any priority.
    #[must_use]
    pub fn namesakes(&self, deleted: &KernelRoute) -> Vec<KernelRoute> {
        let slots = Slot { priority: 1, ..deleted.slot() }..=Slot { priority: u32::MAX, ..deleted.slot() };
        let equals = |held: &KernelRoute| {
            let (source, priority) = (deleted.source, deleted.priority);
            KernelRoute { source, priority, ..*held } == *deleted
        };
        self.change(|held| held.range(slots).map(|(_, route)| *route).filter(equals).collect())
    }

    fn release_exactly(&self, route: &KernelRoute) -> bool {
        self.change(|held| held.get(&route.slot()) == Some(route) && held.remove(&route.slot()).is_some())
    }

    fn find(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<KernelRoute> {
        self.change(|held| slots.into_iter().filter_map(|slot| held.get(&slot).copied()).collect())
    }

    fn concerned(&self, affected: &AffectedRoutes) -> Vec<KernelRoute> {
        self.change(|held| held.values().filter(|route| affected.includes(route)).copied().collect())
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Slot, KernelRoute>) -> T) -> T {
        change(&mut self.0.lock().expect("no holder of this lock panics"))
    }
}

/// Watches over held routes.
pub struct HeldRouteMonitor {
    held: HeldRoutes,
    socket: RouteSocket,
    report_event: Box<dyn Fn(HeldRouteEvent) + Send>,
}

impl HeldRouteMonitor {
    /// # Errors
    /// What the system says about a netlink socket.
    pub fn new(held: HeldRoutes, report_event: Box<dyn Fn(HeldRouteEvent) + Send>) -> std::io::Result<Self> {
        Ok(Self { held, socket: RouteSocket::new()?, report_event })
    }

    /// Looks at routes; gives those that are gone.
    fn lost(&mut self, routes: &[KernelRoute]) -> Vec<KernelRoute> {
        let mut lost = Vec::new();
        let mut unknown = Vec::new();
        for some in routes.chunks(LOOKS_AT_ONCE) {
            for (route, presence) in some.iter().zip(self.socket.look(some)) {
                match presence {
                    Presence::Present => {}
                    Presence::Absent => lost.push(*route),
                    Presence::Unknown => unknown.push(*route),
                }
            }
        }
        if !unknown.is_empty()
            && let Ok(listed) = self.socket.tables(&unknown)
        {
            // A listing that cannot be had proves nothing; the next change asks again.
            lost.extend(unknown.into_iter().filter(|route| !listed.holds(route)));
        }
        // What was deleted or replaced meanwhile is no loss.
        lost.retain(|route| self.held.release_exactly(route));
        lost
    }

    fn report(&self, lost: Vec<KernelRoute>, news: fn(Vec<KernelRoute>) -> HeldRouteEvent) {
        if !lost.is_empty() {
            (self.report_event)(news(lost));
        }
    }
}

impl MonitorHandler for HeldRouteMonitor {
    fn routes_changed(&mut self, gone: &[KernelRoute], taken: &[Slot]) {
        let slots = gone.iter().map(KernelRoute::slot).chain(taken.iter().copied());
        let routes = self.held.find(slots);
        let lost = self.lost(&routes);
        self.report(lost, HeldRouteEvent::Taken);
    }

    /// Held routes hang on none.
    fn objects_lost(&mut self, _: &[(u32, bool)]) {}

    fn recheck(&mut self, affected: &AffectedRoutes) {
        let routes = self.held.concerned(affected);
        let lost = self.lost(&routes);
        self.report(lost, HeldRouteEvent::Dropped);
    }

    fn work(&mut self) -> Option<Time> {
        None
    }

    fn failed(&mut self, reason: String) {
        (self.report_event)(HeldRouteEvent::Unwatched(reason));
    }
}
