//! A route as it is kept for each armed route: in 32 bytes where it is of IPv4. There may be tens of thousands.

use std::net::{IpAddr, Ipv4Addr};

use crate::routes::kernel_route::KernelRoute;

/// The fields stand in the variant itself, where its tag fits beside the smallest of them.
#[derive(Clone, Debug)]
pub(crate) enum StoredRoute {
    V4 {
        table: u32,
        destination: Ipv4Addr,
        source: Ipv4Addr,
        next_hop: Ipv4Addr,
        interface: u32,
        priority: u32,
        object: u32,
        prefix_length: u8,
        protocol: u8,
    },
    V6(Box<KernelRoute>),
}

impl From<KernelRoute> for StoredRoute {
    fn from(route: KernelRoute) -> Self {
        let KernelRoute { table, prefix_length, interface, protocol, priority, object, .. } = route;
        match (route.destination, route.source, route.next_hop) {
            (IpAddr::V4(destination), IpAddr::V4(source), IpAddr::V4(next_hop)) => StoredRoute::V4 {
                table,
                destination,
                source,
                next_hop,
                interface,
                priority,
                object,
                prefix_length,
                protocol,
            },
            _ => StoredRoute::V6(Box::new(route)),
        }
    }
}

impl StoredRoute {
    pub(crate) fn get(&self) -> KernelRoute {
        match *self {
            StoredRoute::V4 {
                table,
                destination,
                source,
                next_hop,
                interface,
                priority,
                object,
                prefix_length,
                protocol,
            } => KernelRoute {
                table,
                destination: destination.into(),
                prefix_length,
                source: source.into(),
                next_hop: next_hop.into(),
                interface,
                protocol,
                priority,
                object,
            },
            StoredRoute::V6(ref route) => **route,
        }
    }

    pub(crate) fn object(&self) -> u32 {
        match self {
            StoredRoute::V4 { object, .. } => *object,
            StoredRoute::V6(route) => route.object,
        }
    }

    pub(crate) fn interface(&self) -> u32 {
        match self {
            StoredRoute::V4 { interface, .. } => *interface,
            StoredRoute::V6(route) => route.interface,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_stored_route_of_either_family_is_the_route_that_it_was_made_of() {
        let route = KernelRoute {
            table: 254,
            destination: Ipv4Addr::new(10, 9, 0, 7).into(),
            prefix_length: 32,
            source: Ipv4Addr::new(10, 0, 0, 1).into(),
            next_hop: Ipv4Addr::new(10, 0, 0, 2).into(),
            interface: 7,
            protocol: 186,
            priority: 20,
            object: 9,
        };
        let address = |last: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let ipv6 = KernelRoute { destination: address(7), source: address(1), next_hop: address(2), ..route };
        for route in [route, ipv6] {
            let stored = StoredRoute::from(route);
            assert_eq!((stored.get(), stored.interface()), (route, 7));
        }
        assert_eq!(size_of::<StoredRoute>(), 32);
    }
}
