//! The kernel's routing tables as Linux keeps them (fib_trie.c): several routes in a slot, in their order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::routes::armed::AffectedRoutes;
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, Slot, SystemError};

/// Table, destination, prefix length, TOS, priority: the kernel sorts routes to one destination by TOS and priority.
type Key = (u32, IpAddr, u8, u8, u32);

/// Where a new route goes in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Into an empty slot only.
    Exclusive,
    /// In place of the first.
    Replace,
    /// Behind the last.
    Append,
    /// Before the first.
    Prepend,
}

/// The routing tables of one host.
#[derive(Clone, Debug, Default)]
pub struct SimTables(BTreeMap<Key, Vec<KernelRoute>>);

impl SimTables {
    /// Adds a route with TOS 0.
    ///
    /// # Errors
    /// `EEXIST`, in the cases in which the kernel answers so.
    pub fn put(&mut self, route: &KernelRoute, how: Put) -> Result<()> {
        self.put_tos(route, 0, how)
    }

    /// Adds a route with any TOS.
    ///
    /// # Errors
    /// As `put`.
    pub fn put_tos(&mut self, route: &KernelRoute, tos: u8, how: Put) -> Result<()> {
        let held = self.0.entry(key(&route.slot(), tos)).or_default();
        let is_there = held.contains(route);
        match how {
            Put::Exclusive if !held.is_empty() => return Err(RouteError::System(SystemError::EXISTS)),
            // Replacing a route by itself changes nothing.
            Put::Replace if held.first() == Some(route) => {}
            _ if is_there => return Err(RouteError::System(SystemError::EXISTS)),
            Put::Replace if !held.is_empty() => held[0] = *route,
            Put::Exclusive | Put::Append | Put::Replace => held.push(*route),
            Put::Prepend => held.insert(0, *route),
        }
        Ok(())
    }

    /// Deletes the first route with TOS 0 that matches. A request without source, interface or priority matches any.
    ///
    /// # Errors
    /// `ESRCH` if no route matches.
    pub fn delete(&mut self, route: &KernelRoute) -> Result<KernelRoute> {
        let from = (route.table, route.destination, route.prefix_length, 0, 0);
        let to = (route.table, route.destination, route.prefix_length, 0, u32::MAX);
        let fits = |held: &KernelRoute| {
            (route.priority == 0 || route.priority == held.priority)
                && (route.source.is_unspecified() || route.source == held.source)
                && (route.interface == 0 || route.interface == held.interface)
                && (route.protocol, route.next_hop) == (held.protocol, held.next_hop)
        };
        for held in self.0.range_mut(from..=to).map(|(_, held)| held) {
            if let Some(at) = held.iter().position(fits) {
                return Ok(held.remove(at));
            }
        }
        Err(RouteError::System(SystemError::NO_SUCH_ROUTE))
    }

    /// Drops every affected route without a notice, as the kernel does when a link goes down.
    pub fn flush(&mut self, affected: &AffectedRoutes) {
        for held in self.0.values_mut() {
            held.retain(|route| !affected.includes(route));
        }
    }

    /// Deletes the routes of a protocol number.
    pub fn sweep(&mut self, protocol: u8) {
        for held in self.0.values_mut() {
            held.retain(|route| route.protocol != protocol);
        }
    }

    /// Deletes the routes that `which` accepts, and returns them.
    pub fn take(&mut self, which: impl Fn(&KernelRoute) -> bool) -> Vec<KernelRoute> {
        self.0.values_mut().flat_map(|held| held.extract_if(.., |route| which(route))).collect()
    }

    /// All routes, with any TOS.
    pub fn routes(&self) -> impl Iterator<Item = &KernelRoute> {
        self.0.values().flatten()
    }

    /// How many routes of a protocol number there are.
    #[must_use]
    pub fn count(&self, protocol: u8) -> usize {
        self.routes().filter(|route| route.protocol == protocol).count()
    }

    /// Whether the tables hold exactly this route.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.slot(&route.slot()).contains(route)
    }

    /// The answer to a look at a route.
    #[must_use]
    pub fn look(&self, route: &KernelRoute) -> Presence {
        if self.holds(route) { Presence::Present } else { Presence::Absent }
    }

    /// The routes with TOS 0 in a slot, in their order.
    #[must_use]
    pub fn slot(&self, slot: &Slot) -> &[KernelRoute] {
        self.0.get(&key(slot, 0)).map_or(&[], Vec::as_slice)
    }

    /// The first route in the slot of a route.
    #[must_use]
    pub fn occupant(&self, route: &KernelRoute) -> Occupant {
        match self.slot(&route.slot()).first() {
            None => Occupant::Nobody,
            Some(held) if held.protocol == route.protocol => Occupant::Ours(*held),
            Some(held) => Occupant::Foreign(held.protocol),
        }
    }
}

fn key(slot: &Slot, tos: u8) -> Key {
    (slot.table, slot.destination, slot.prefix_length, tos, slot.priority)
}
