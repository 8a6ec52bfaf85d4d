//! Another process that changes the tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::routes::kernel_route::KernelRoute;

/// The next hop of routes that another instance of our agent adds in place of one of ours.
#[must_use]
pub const fn rival_hop(ours: &KernelRoute) -> IpAddr {
    match ours.destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 250)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 250)),
    }
}

/// What a rival does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RivalAct {
    /// Deletes our route.
    Take,
    /// Replaces the first route by one of its own.
    Occupy,
    /// Adds a route of its own before the first.
    Prepend,
    /// Adds a route of its own behind the last.
    Append,
    /// Adds a route of its own with another TOS, and so in another slot.
    Tos,
    /// Replaces the first route by one with our protocol number and another next hop, as another instance of our agent would.
    Claim,
    /// Deletes its own routes.
    Vacate,
}

impl RivalAct {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Take, Self::Occupy, Self::Prepend, Self::Append, Self::Tos, Self::Claim, Self::Vacate];
}

/// What a rival does with the number of a next-hop object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectAct {
    /// Deletes the object, and the kernel all routes on it.
    Delete,
    /// Replaces the object by one of its own: the routes on it lead elsewhere by that.
    Replace,
    /// Makes an object of its own, with a route on it, if the number is free.
    Occupy,
    /// Deletes the object if it is its own.
    Vacate,
}
