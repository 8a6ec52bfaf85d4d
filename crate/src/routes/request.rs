//! What is asked of the kernel about routes: the messages of requests.

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::IpAddr;

use crate::routes::kernel_route::KernelRoute;

/// One request.
pub(super) struct Request {
    flags: u16,
    message: RouteNetlinkMessage,
}

impl Request {
    /// Adds a route. `flags` say what is to be done where the slot is occupied, or, without NLM_F_CREATE, where it is not.
    pub(super) fn add(route: &KernelRoute, flags: u16) -> Self {
        let message = message(route, RouteScope::Universe);
        Self { flags: NLM_F_ACK | flags, message: RouteNetlinkMessage::NewRoute(message) }
    }

    /// Deletes exactly this route.
    pub(super) fn delete(route: &KernelRoute) -> Self {
        // The kernel takes "nowhere" for any scope.
        let message = message(route, RouteScope::NoWhere);
        Self { flags: NLM_F_ACK, message: RouteNetlinkMessage::DelRoute(message) }
    }

    /// Lists routes.
    pub(super) fn dump(header: &RouteHeader, attributes: &[RouteAttribute]) -> Self {
        let mut message = RouteMessage::default();
        message.header = header.clone();
        message.attributes = attributes.to_vec();
        Self { flags: NLM_F_DUMP, message: RouteNetlinkMessage::GetRoute(message) }
    }

    /// Asks for the route that a packet to an address would take (RTM_F_FIB_MATCH).
    pub(super) fn best_match(destination: IpAddr) -> Self {
        let mut message = RouteMessage::default();
        let (destination_prefix_length, flags) = match destination {
            IpAddr::V4(_) => (32, RouteFlags::LookupTable | RouteFlags::FibMatch),
            // The kernel refuses any other flag.
            IpAddr::V6(_) => (128, RouteFlags::FibMatch),
        };
        let family = family_of(destination);
        message.header = RouteHeader { destination_prefix_length, flags, ..list_header(family) };
        message.attributes = vec![RouteAttribute::Destination(destination.into())];
        Self { flags: 0, message: RouteNetlinkMessage::GetRoute(message) }
    }

    /// Appends the request to others of one message.
    pub(super) fn append_to(self, buffer: &mut Vec<u8>, sequence: u32) {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | self.flags;
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(self.message));
        message.finalize();
        let start = buffer.len();
        buffer.resize((start + message.buffer_len()).next_multiple_of(4), 0);
        message.serialize(&mut buffer[start..]);
    }
}

fn message(route: &KernelRoute, scope: RouteScope) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        destination_prefix_length: route.prefix_length,
        // A table beyond one byte stands in the attribute alone.
        table: u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        protocol: route.protocol.into(),
        scope,
        kind: RouteType::Unicast,
        ..list_header(family_of(route.destination))
    };
    message.attributes =
        vec![RouteAttribute::Table(route.table), RouteAttribute::Destination(route.destination.into())];
    if route.object != 0 {
        message.attributes.push(RouteAttribute::NhId(route.object));
    } else {
        message.attributes.push(RouteAttribute::Gateway(route.next_hop.into()));
    }
    if route.object == 0 && route.interface != 0 {
        message.attributes.push(RouteAttribute::Oif(route.interface));
    }
    if !route.source.is_unspecified() {
        message.attributes.push(RouteAttribute::PrefSource(route.source.into()));
    }
    if route.priority != 0 {
        message.attributes.push(RouteAttribute::Priority(route.priority));
    }
    message
}

pub(super) fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// The header of a listing of all routes of a family.
pub(super) fn list_header(address_family: AddressFamily) -> RouteHeader {
    RouteHeader { address_family, protocol: RouteProtocol::Unspec, ..RouteHeader::default() }
}
