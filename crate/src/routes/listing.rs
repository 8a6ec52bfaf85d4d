//! What the kernel lists: routes as it writes them, and the tables that they make up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_DUMP_INTR, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RoutePreference, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rustc_hash::FxHashMap;

use crate::routes::answers::errno_of;
use crate::routes::kernel_route::{KernelRoute, Occupant, Result, RouteError, Slot, unspecified};
use crate::routes::next_hop::ObjectRange;
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

/// A route as the kernel lists it. The kernel joins IPv6 routes of one slot through several gateways (siblings) and lists them
/// as one. Of the first it then shows everything, of the others gateway and interface alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRoute {
    protocol: u8,
    /// The route, or the first of siblings, if it is of the kind that is made here.
    first: Option<KernelRoute>,
    /// Gateways and interfaces of the other siblings.
    siblings: Vec<(IpAddr, u32)>,
}

impl ListedRoute {
    /// Whether this is the given route of the same slot, or has it among its siblings. Of a sibling the source is not shown, nor
    /// the protocol number; but no second route has its slot, gateway and interface.
    #[must_use]
    pub fn includes(&self, route: &KernelRoute) -> bool {
        let is_sibling = |(gateway, interface): &(IpAddr, u32)| {
            *gateway == route.next_hop && (*interface == route.interface || route.interface == 0)
        };
        self.first.is_some_and(|first| route.is_held_as(&first)) || self.siblings.iter().any(is_sibling)
    }

    /// What it is to whoever wants to put the given route into its slot.
    #[must_use]
    pub fn as_occupant(&self, route: &KernelRoute) -> Occupant {
        match self.first {
            Some(first) if first.protocol == route.protocol && (self.siblings.is_empty() || first.excludes(route)) => {
                Occupant::Ours(first)
            }
            // Several gateways are not of our making.
            _ => Occupant::Foreign(self.protocol),
        }
    }
}

/// What a listing of tables holds.
#[derive(Debug, Default)]
pub struct ListedTables(FxHashMap<Slot, Vec<ListedRoute>>, ObjectRange);

impl ListedTables {
    /// Empty; with the numbers that our next-hop objects have.
    #[must_use]
    pub fn new(objects: ObjectRange) -> Self {
        Self(FxHashMap::default(), objects)
    }

    /// Adds a listed route.
    pub fn take_in(&mut self, message: &RouteMessage) {
        if let Some(slot) = slot_of(message) {
            self.0.entry(slot).or_default().push(listed_route(message, self.1));
        }
    }

    /// Whether exactly this route is there, its source included. One on its next-hop object is not, where that leads another way.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.has(route) && !self.beside(route).iter().any(|held| held.is_misled(route))
    }

    /// As `holds`, wherever its next-hop object leads.
    fn has(&self, route: &KernelRoute) -> bool {
        self.0.get(&route.slot()).is_some_and(|held| held.iter().any(|held| held.includes(route)))
    }

    /// The route in the slot of this one that leads the same way by a next-hop object of ours.
    #[must_use]
    pub fn on_object(&self, route: &KernelRoute) -> Option<KernelRoute> {
        let firsts = self.0.get(&route.slot())?.iter().filter_map(|held| held.first);
        let mut on_objects = firsts.filter(|held| held.object != 0);
        on_objects.find(|held| {
            let leads_so = held.next_hop == route.next_hop && [0, held.interface].contains(&route.interface);
            held.protocol == route.protocol && leads_so
        })
    }

    /// The routes in the slot of this one that are of its kind and have its protocol number.
    #[must_use]
    pub fn beside(&self, route: &KernelRoute) -> Vec<KernelRoute> {
        let held = self.0.get(&route.slot()).into_iter().flatten().filter_map(|held| held.first);
        held.filter(|held| held.protocol == route.protocol).collect()
    }

    /// The first route in the slot of this one.
    #[must_use]
    pub fn occupant(&self, route: &KernelRoute) -> Occupant {
        let first = self.0.get(&route.slot()).and_then(|held| held.first());
        first.map_or(Occupant::Nobody, |held| held.as_occupant(route))
    }

    /// As `occupant`, unless the slot holds a route that is known to be ours, or ours on another next-hop object. One beside which
    /// the kernel does not take the route comes first.
    #[must_use]
    pub fn occupant_or(&self, route: &KernelRoute, ours: Option<KernelRoute>) -> Occupant {
        let held = ours.filter(|ours| self.has(ours));
        let known = self.excluding(route).or(held).or_else(|| self.elsewhere(route));
        let known = known.or_else(|| self.elsewhere(&ours?));
        known.map_or_else(|| self.occupant(route), Occupant::Ours)
    }

    fn excluding(&self, route: &KernelRoute) -> Option<KernelRoute> {
        let first = self.0.get(&route.slot())?.first()?.first;
        first.filter(|first| first.excludes(route))
    }

    fn elsewhere(&self, route: &KernelRoute) -> Option<KernelRoute> {
        let held = self.0.get(&route.slot()).filter(|_| route.object != 0)?;
        held.iter().filter_map(|held| held.first).find(|held| held.is_elsewhere(route))
    }
}

/// The slot that a route of any kind occupies; `None` for a route of another TOS or, in IPv6, for packets of some sources only:
/// it shares no slot with ours.
#[must_use]
pub fn slot_of(message: &RouteMessage) -> Option<Slot> {
    let header = &message.header;
    let (destination, has_plain_key) = match header.address_family {
        AddressFamily::Inet => (Ipv4Addr::UNSPECIFIED.into(), header.tos == 0),
        AddressFamily::Inet6 => (Ipv6Addr::UNSPECIFIED.into(), header.source_prefix_length == 0),
        _ => return None,
    };
    let mut slot = Slot {
        table: u32::from(header.table),
        destination,
        prefix_length: header.destination_prefix_length,
        priority: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => slot.table = *table,
            RouteAttribute::Destination(address) => slot.destination = ip(address)?,
            RouteAttribute::Priority(priority) => slot.priority = *priority,
            _ => {}
        }
    }
    has_plain_key.then_some(slot)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The object of a route that the kernel lists with it alone, without a gateway: so it does where `net.ipv4.nexthop_compat_mode`
/// is 0.
pub(super) fn bare_object_of(message: &RouteMessage) -> Option<u32> {
    let leads = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Oif(_) | RouteAttribute::MultiPath(_))
    };
    if message.attributes.iter().any(leads) {
        return None;
    }
    message
        .attributes
        .iter()
        .find_map(|attribute| if let RouteAttribute::NhId(id) = attribute { Some(*id) } else { None })
}

/// A listed route of any kind. One on an object that has none of these numbers is another program's, whatever its protocol number.
#[must_use]
pub fn listed_route(message: &RouteMessage, objects: ObjectRange) -> ListedRoute {
    let siblings = siblings_of(message).iter().skip(1).filter_map(gateway_of).collect();
    let first = from_message(message).filter(|route| route.object == 0 || objects.contains(route.object));
    ListedRoute { protocol: message.header.protocol.into(), first, siblings }
}

/// The siblings that are listed as one route of IPv6, the first one included. In IPv4 a route of several next hops is one route.
fn siblings_of(message: &RouteMessage) -> &[RouteNextHop] {
    let next_hops = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(next_hops) => Some(next_hops.as_slice()),
        _ => None,
    });
    next_hops.filter(|_| message.header.address_family == AddressFamily::Inet6).unwrap_or_default()
}

/// Gateway and interface of a sibling of the kind that is made here.
fn gateway_of(sibling: &RouteNextHop) -> Option<(IpAddr, u32)> {
    let is_plain = sibling.hops == 0 && !sibling.flags.contains(RouteNextHopFlags::Onlink);
    match sibling.attributes.as_slice() {
        [RouteAttribute::Gateway(gateway)] if is_plain => Some((ip(gateway)?, sibling.interface_index)),
        _ => None,
    }
}

/// Whether several routes are listed as one.
#[must_use]
pub fn has_siblings(message: &RouteMessage) -> bool {
    siblings_of(message).len() > 1
}

/// A listed route, or the first of siblings, if it is of the kind that is made here: it has what such a route has, and nothing
/// else.
#[must_use]
pub fn from_message(message: &RouteMessage) -> Option<KernelRoute> {
    let Slot { table, destination, prefix_length, priority } = slot_of(message)?;
    let none = unspecified(destination);
    let (mut source, mut next_hop, mut interface, mut object) = (none, none, 0, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::PrefSource(address) => source = ip(address)?,
            RouteAttribute::Gateway(address) => next_hop = ip(address)?,
            RouteAttribute::Oif(index) => interface = *index,
            RouteAttribute::NhId(id) => object = *id,
            RouteAttribute::MultiPath(_) => (next_hop, interface) = gateway_of(siblings_of(message).first()?)?,
            // A route that is about to expire is not of our making.
            RouteAttribute::CacheInfo(info) if info.expires == 0 => {}
            RouteAttribute::Table(_)
            | RouteAttribute::Destination(_)
            | RouteAttribute::Priority(_)
            | RouteAttribute::Preference(RoutePreference::Medium) => {}
            _ => return None,
        }
    }
    let header = &message.header;
    let is_plain = header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Onlink);
    let is_mapped = matches!(destination, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    let is_of_one_family = [source, next_hop].iter().all(|address| address.is_ipv4() == destination.is_ipv4());
    // Of an object that went in the meantime it is not known what it led over.
    let leads_somewhere = object != 0 || (!next_hop.is_unspecified() && interface != 0);
    (is_plain && !is_mapped && is_of_one_family && leads_somewhere).then_some(KernelRoute {
        table,
        destination,
        prefix_length,
        source,
        next_hop,
        interface,
        protocol: header.protocol.into(),
        priority,
        object,
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

    #[test]
    fn a_route_on_an_object_that_leads_another_way_is_not_there_and_one_to_be_replaced_is_found_by_its_number() {
        let mut listed = Vec::new();
        let datagram = captured::bytes(captured::ROUTE_ADDED);
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        Listing::new(sequence, &mut listed).take_in(&datagram);
        let [message] = &mut listed[..] else { panic!("{listed:?}") };
        message.attributes.push(RouteAttribute::NhId(7));
        let held = from_message(message).unwrap();
        let mut tables = ListedTables::new(ObjectRange { first: 7, last: 7 });
        tables.take_in(message);
        let misled = KernelRoute { next_hop: IpAddr::from([10, 1, 0, 9]), ..held };
        assert_eq!((tables.holds(&held), tables.holds(&misled)), (true, false));
        assert_eq!(tables.occupant_or(&held, Some(misled)), Occupant::Ours(misled));
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

    fn ipv6(last: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last).into()
    }

    #[test]
    fn an_ipv6_route_is_read_with_the_priority_that_the_kernel_gave_it() {
        let (routes, _) = captured_routes(captured::ROUTE_IPV6_ADDED);
        let [Some(route)] = routes[..] else { panic!("{routes:?}") };
        let destination = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 7).into();
        let expected = KernelRoute {
            table: 254,
            destination,
            prefix_length: 128,
            source: ipv6(0x11),
            next_hop: ipv6(2),
            interface: route.interface,
            protocol: 186,
            priority: 1024,
            object: 0,
        };
        assert_eq!(route, expected);
        assert_ne!(route.interface, 0);
    }

    #[test]
    fn of_ipv6_routes_that_are_listed_as_one_the_first_is_known_and_the_others_by_gateway_and_interface() {
        let mut listed = Vec::new();
        let datagram = captured::bytes(captured::ROUTE_IPV6_LIST);
        let mut listing = Listing::new(7, &mut listed);
        listing.take_in(&datagram);
        assert!(listing.done);
        let mut tables = ListedTables::default();
        listed.iter().for_each(|message| tables.take_in(message));
        let first = listed.iter().find_map(from_message).unwrap();
        let other = KernelRoute { next_hop: ipv6(3), ..first };
        assert_eq!((first.next_hop, first.source, first.protocol), (ipv6(2), ipv6(0x11), 186));
        assert!(tables.holds(&first) && tables.holds(&other));
        assert!(!tables.holds(&first.of_any_source()), "the source of the first is listed");
        assert!(!tables.holds(&KernelRoute { interface: first.interface + 1, ..other }));
        assert!(!tables.holds(&KernelRoute { next_hop: ipv6(4), ..first }));
        assert!(tables.holds(&KernelRoute { interface: 0, ..other }), "without an interface, it fits any");
        let expected = Occupant::Foreign(186);
        assert_eq!(tables.occupant(&KernelRoute { next_hop: ipv6(4), ..first }), expected, "two gateways are not ours");
        assert_eq!(
            tables.occupant(&first.of_any_source()),
            Occupant::Ours(first),
            "but one of them is where ours goes"
        );
        assert_eq!(tables.occupant_or(&other, Some(first)), Occupant::Ours(first));
        let with_other_source = KernelRoute { source: ipv6(0x12), ..first };
        assert_eq!(tables.occupant_or(&with_other_source, Some(other)), Occupant::Ours(first), "it has to go first");
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
