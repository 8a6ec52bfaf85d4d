//! What the kernel lists: routes as it writes them, and the tables that they make up.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{NLM_F_DUMP_INTR, NetlinkPayload};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rustc_hash::FxHashMap;

use crate::routes::answers::errno_of;
use crate::routes::kernel_route::{KernelRoute, NO_SOURCE, Occupant, Result, RouteError, Slot};
use crate::system::netlink::each_message;

/// One dump of the routing tables, as it comes in.
#[derive(Debug)]
pub struct Listing<'a> {
    sequence: u32,
    listed: &'a mut Vec<RouteMessage>,
    pub(super) done: bool,
    /// Nothing changed while the kernel was listing.
    consistent: bool,
    failure: Option<Errno>,
}

impl<'a> Listing<'a> {
    /// Of the request with this sequence number, into this list.
    pub fn new(sequence: u32, listed: &'a mut Vec<RouteMessage>) -> Self {
        Self { sequence, listed, done: false, consistent: true, failure: None }
    }

    /// Takes in what the kernel wrote. Answers to something that was given up on earlier are ignored.
    pub fn take_in(&mut self, buffer: &[u8]) {
        each_message(buffer, |message| {
            if message.header.sequence_number != self.sequence || self.done {
                return;
            }
            self.consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => self.listed.push(route),
                NetlinkPayload::Done(_) => self.done = true,
                NetlinkPayload::Error(error) => {
                    self.done = true;
                    self.failure = error.code.map(errno_of);
                }
                _ => {}
            }
        });
    }

    /// Takes in the answer to a question for one route: the route, or an error.
    pub(super) fn take_in_one(&mut self, buffer: &[u8]) {
        self.take_in(buffer);
        self.done |= !self.listed.is_empty();
    }

    /// Whether the list is of one moment.
    ///
    /// # Errors
    /// What the kernel said instead of a list.
    pub fn is_consistent(&self) -> Result<bool> {
        match self.failure {
            // The table that was asked for does not exist: it holds nothing.
            None | Some(Errno::ENOENT) => Ok(self.consistent),
            Some(errno) => Err(RouteError::System(errno.into())),
        }
    }
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What a listing of tables holds.
#[derive(Debug, Default)]
pub struct ListedTables(FxHashMap<Slot, Vec<(u8, Option<KernelRoute>)>>);

impl ListedTables {
    pub(super) fn take_in(&mut self, message: &RouteMessage) {
        if let Some(slot) = slot_of(message) {
            self.0.entry(slot).or_default().push((message.header.protocol.into(), from_message(message)));
        }
    }

    /// Whether exactly this route is there, its source included.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.0.get(&route.slot()).is_some_and(|held| held.iter().any(|(_, held)| *held == Some(*route)))
    }

    /// The first route in the slot of this one.
    #[must_use]
    pub fn occupant(&self, route: &KernelRoute) -> Occupant {
        match self.0.get(&route.slot()).and_then(|held| held.first()) {
            None => Occupant::Nobody,
            Some((_, Some(held))) if held.protocol == route.protocol => Occupant::Ours(*held),
            Some((protocol, _)) => Occupant::Foreign(*protocol),
        }
    }
}

/// The slot that a route of any kind occupies; `None` for a route of another TOS, which shares no slot with ours.
#[must_use]
pub fn slot_of(message: &RouteMessage) -> Option<Slot> {
    let header = &message.header;
    let mut slot = Slot {
        table: u32::from(header.table),
        destination: ANY,
        prefix_length: header.destination_prefix_length,
        priority: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => slot.table = *table,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => slot.destination = (*address).into(),
            RouteAttribute::Priority(priority) => slot.priority = *priority,
            _ => {}
        }
    }
    (header.address_family == AddressFamily::Inet && header.tos == 0).then_some(slot)
}

/// A listed route, if it is of the kind that is made here: it has what such a route has, and nothing else.
#[must_use]
pub fn from_message(message: &RouteMessage) -> Option<KernelRoute> {
    let Slot { table, destination, prefix_length, priority } = slot_of(message)?;
    let (mut source, mut next_hop, mut interface) = (NO_SOURCE, ANY, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = (*address).into(),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => next_hop = (*address).into(),
            RouteAttribute::Oif(index) => interface = *index,
            RouteAttribute::Table(_)
            | RouteAttribute::Destination(_)
            | RouteAttribute::Priority(_)
            | RouteAttribute::CacheInfo(_) => {}
            _ => return None,
        }
    }
    let header = &message.header;
    let plain = header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Onlink);
    let protocol = header.protocol.into();
    (plain && !next_hop.is_unspecified() && interface != 0).then_some(KernelRoute {
        table,
        destination,
        prefix_length,
        source,
        next_hop,
        interface,
        protocol,
        priority,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::netlink::captured;

    fn captured_routes(text: &str) -> (Vec<Option<KernelRoute>>, Result<bool>) {
        let mut listed = Vec::new();
        let datagram = captured::bytes(text);
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram);
        let is_consistent = listing.is_consistent();
        (listed.iter().map(from_message).collect(), is_consistent)
    }

    #[test]
    fn only_a_plain_route_through_one_gateway_is_of_our_kind() {
        let (routes, _) = captured_routes(captured::ROUTE_ADDED);
        let [Some(route)] = routes[..] else { panic!("{routes:?}") };
        assert_eq!((route.destination, route.prefix_length), (IpAddr::from([10, 9, 0, 7]), 32));
        assert_eq!((route.next_hop, route.source), (IpAddr::from([10, 1, 0, 2]), IpAddr::from([10, 1, 0, 1])));
        assert_eq!((route.table, route.protocol, route.priority), (254, 186, 0));
        for other in [captured::ROUTE_OTHER_TOS, captured::ROUTE_WITH_METRICS, captured::ROUTE_MULTIPATH] {
            assert_eq!(captured_routes(other).0, [None]);
        }
    }

    fn last_byte(address: IpAddr) -> u8 {
        let IpAddr::V4(address) = address else { panic!("{address} is not of IPv4") };
        address.octets()[3]
    }

    #[test]
    fn a_list_is_read_to_its_end_with_the_routes_of_a_slot_in_their_order() {
        let (routes, is_consistent) = captured_routes(captured::ROUTE_LIST);
        assert_eq!(is_consistent, Ok(true));
        let slot = Slot { table: 254, destination: IpAddr::from([10, 9, 0, 7]), prefix_length: 32, priority: 0 };
        let hops: Vec<u8> = routes
            .iter()
            .flatten()
            .filter(|route| route.slot() == slot)
            .map(|route| last_byte(route.next_hop))
            .collect();
        // The prepended one was replaced by that of next hop 5, and ours was deleted.
        assert_eq!(hops, [5, 3]);
    }

    #[test]
    fn a_list_that_the_kernel_interrupted_is_not_of_one_moment_and_one_that_is_cut_off_has_no_end() {
        let mut datagram = captured::bytes(captured::ROUTE_LIST);
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        datagram[6] |= NLM_F_DUMP_INTR as u8;
        let mut listed = Vec::new();
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram);
        assert_eq!(listing.is_consistent(), Ok(false));
        let mut listed = Vec::new();
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram[..datagram.len() - 8]);
        assert!(!listing.done);
        let mut listing = Listing::new(sequence + 1, &mut listed);
        listing.take_in(&datagram);
        assert!(!listing.done, "the answer to another question");
    }
}
