//! The kernel's routing tables as Linux keeps them (fib_trie.c, ip6_fib.c): several routes in a slot, in their order. In IPv6 these
//! are siblings, which are replaced together and listed as one; there is no TOS, and nothing is put before the first.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::routes::affected::AffectedRoutes;
use crate::routes::kernel_route::{
    KernelRoute, Occupant, Presence, Result, RouteError, Slot, SystemError, unspecified,
};
use crate::routes::object_request::{NextHop, ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::object_sweep::{ListedObject, ObjectKind};

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
pub struct SimTables(BTreeMap<Key, Vec<KernelRoute>>, BTreeMap<u32, NextHop>);

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
        let leads_nowhere = self.1.get(&route.object).is_none_or(|hop| hop.interface == 0);
        if route.object != 0 && leads_nowhere {
            return Err(RouteError::System(SystemError::INVALID));
        }
        // It leads where its object does, whatever the request says.
        let hop = self.object(route.object);
        let led = hop.map(|NextHop { address, interface, .. }| KernelRoute { next_hop: address, interface, ..*route });
        let route = &led.unwrap_or(*route);
        let tos = if route.is_ipv6() { 0 } else { tos };
        let held = self.0.entry(key(&route.slot(), tos)).or_default();
        let excludes = |held: &KernelRoute| KernelRoute { protocol: route.protocol, ..*held }.excludes(route);
        let is_there = held.iter().any(|held| held == route || excludes(held));
        match how {
            Put::Exclusive if !held.is_empty() => return Err(RouteError::System(SystemError::EXISTS)),
            Put::Replace if route.is_ipv6() => *held = vec![*route],
            // Replacing a route by itself changes nothing.
            Put::Replace if held.first() == Some(route) => {}
            _ if is_there => return Err(RouteError::System(SystemError::EXISTS)),
            Put::Replace if !held.is_empty() => held[0] = *route,
            Put::Exclusive | Put::Append | Put::Replace => held.push(*route),
            Put::Prepend if route.is_ipv6() => held.push(*route),
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
                && (route.is_ipv6() || route.source.is_unspecified() || route.source == held.source)
                && (route.protocol, route.object) == (held.protocol, held.object)
                && (route.object != 0 || route.interface == 0 || route.interface == held.interface)
                && (route.object != 0 || route.next_hop == held.next_hop)
        };
        for held in self.0.range_mut(from..=to).map(|(_, held)| held) {
            if let Some(at) = held.iter().position(fits) {
                return Ok(held.remove(at));
            }
        }
        Err(RouteError::System(SystemError::NO_SUCH_ROUTE))
    }

    /// Drops every affected route without a notice, as the kernel does when a link goes down. Of the IPv6 routes with a source
    /// that is affected only the source goes.
    ///
    /// Next-hop objects go with their interfaces; gives their numbers.
    pub fn flush(&mut self, affected: &AffectedRoutes) -> Vec<u32> {
        let is_gone = |hop: &NextHop| affected.all || affected.interfaces.contains(&hop.interface);
        let gone: Vec<u32> = self.1.iter().filter(|(_, hop)| is_gone(hop)).map(|(id, _)| *id).collect();
        for id in &gone {
            self.delete_object(*id);
        }
        for held in self.0.values_mut() {
            held.retain(|route| {
                let loses_source = route.is_ipv6() && !affected.all && !affected.interfaces.contains(&route.interface);
                loses_source || !affected.includes(route)
            });
            for route in held.iter_mut().filter(|route| route.is_ipv6() && affected.sources.contains(&route.source)) {
                route.source = unspecified(route.source);
            }
        }
        gone
    }

    /// The numbers of the next-hop objects.
    pub fn objects(&self) -> impl Iterator<Item = u32> {
        self.1.keys().copied()
    }

    /// What the next-hop object of a number leads over.
    #[must_use]
    pub fn object(&self, id: u32) -> Option<NextHop> {
        self.1.get(&id).copied()
    }

    /// A route of this kind, as it is in its slot, on a next-hop object that leads so or on none.
    #[must_use]
    pub fn leading_as(&self, route: &KernelRoute) -> Option<KernelRoute> {
        self.slot(&route.slot()).iter().find(|held| self.resolved(held) == *route).copied()
    }

    /// Deletes an object with all routes on it. Gives whether there was one.
    pub fn delete_object(&mut self, id: u32) -> bool {
        for held in self.0.values_mut() {
            held.retain(|route| route.object != id);
        }
        self.1.remove(&id).is_some()
    }

    /// Makes an object, or has the one of that number lead over another next hop, with all routes on it.
    pub fn set_object(&mut self, id: u32, hop: NextHop) {
        self.1.insert(id, hop);
        for route in self.0.values_mut().flatten().filter(|route| route.object == id) {
            (route.next_hop, route.interface) = (hop.address, hop.interface);
        }
    }

    /// Has an object lead nowhere: it has no interface from then on, and no route can be added over it.
    ///
    /// # Errors
    /// `EINVAL` where a route hangs on it, `ENOENT` where there is none.
    pub fn retire_object(&mut self, id: u32, gateway: IpAddr, protocol: u8) -> Result<()> {
        let is_in_use = self.routes().any(|route| route.object == id);
        let hop = self.1.get_mut(&id).ok_or(RouteError::System(SystemError::NO_ENTRY))?;
        if is_in_use {
            return Err(RouteError::System(SystemError::INVALID));
        }
        *hop = NextHop { address: gateway, interface: 0, protocol };
        Ok(())
    }

    /// All next-hop objects, as a listing shows them.
    #[must_use]
    pub fn list_objects(&self) -> Vec<ListedObject> {
        let listed = |(id, hop): (&u32, &NextHop)| {
            let kind = if hop.interface == 0 { ObjectKind::Retired(hop.address) } else { ObjectKind::Plain(*hop) };
            ListedObject { id: *id, protocol: hop.protocol, kind }
        };
        self.1.iter().map(listed).collect()
    }

    /// As the kernel answers.
    pub fn change_object(&mut self, request: &ObjectRequest) -> ObjectAnswer {
        match (request.op, self.1.get(&request.id).copied()) {
            (ObjectOp::Add, Some(hop)) if hop == request.hop => return ObjectAnswer::WasThere,
            (ObjectOp::Add, Some(_)) => return ObjectAnswer::Taken,
            (ObjectOp::Move, None) => return ObjectAnswer::Failed(RouteError::System(SystemError::NO_ENTRY)),
            (ObjectOp::Delete, _) => {
                self.delete_object(request.id);
            }
            (ObjectOp::Add | ObjectOp::Move, _) => self.set_object(request.id, request.hop),
        }
        ObjectAnswer::Done
    }

    /// A route as it leads now, without its object.
    #[must_use]
    pub fn resolved(&self, route: &KernelRoute) -> KernelRoute {
        match self.1.get(&route.object) {
            Some(hop) => KernelRoute { next_hop: hop.address, interface: hop.interface, object: 0, ..*route },
            None => *route,
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

    /// Whether the tables hold exactly this route. Of IPv6 siblings, a listing shows more than gateway and interface only of the
    /// first.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        let held = self.slot(&route.slot());
        let shows =
            |held: &KernelRoute| KernelRoute { source: route.source, protocol: route.protocol, ..*held } == *route;
        let is_sibling = route.is_ipv6() && held.iter().skip(1).any(shows);
        if route.is_ipv6() { held.first() == Some(route) || is_sibling } else { held.contains(route) }
    }

    /// The answer to a look at a route.
    #[must_use]
    pub fn look(&self, route: &KernelRoute) -> Presence {
        match self.holds(route) {
            true => Presence::Present,
            false if route.is_ipv6() => Presence::Unknown,
            false => Presence::Absent,
        }
    }

    /// The routes with TOS 0 in a slot, in their order.
    #[must_use]
    pub fn slot(&self, slot: &Slot) -> &[KernelRoute] {
        self.0.get(&key(slot, 0)).map_or(&[], Vec::as_slice)
    }

    /// A route as it is in its slot on another next-hop object, or on none.
    #[must_use]
    pub fn elsewhere(&self, route: &KernelRoute) -> Option<KernelRoute> {
        let mut held = self.slot(&route.slot()).iter().filter(|_| route.object != 0);
        held.find(|held| held.is_elsewhere(route)).copied()
    }

    /// The first route in the slot of a route.
    #[must_use]
    pub fn occupant(&self, route: &KernelRoute) -> Occupant {
        let slot = self.slot(&route.slot());
        match slot.first() {
            None => Occupant::Nobody,
            Some(held) if held.is_ipv6() && slot.len() > 1 && !held.excludes(route) => Occupant::Foreign(held.protocol),
            Some(held) if held.protocol == route.protocol => Occupant::Ours(*held),
            Some(held) => Occupant::Foreign(held.protocol),
        }
    }
}

fn key(slot: &Slot, tos: u8) -> Key {
    (slot.table, slot.destination, slot.prefix_length, tos, slot.priority)
}
