//! Messages about next-hop objects (linux/nexthop.h), which `netlink-packet-route` does not have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST};

use crate::routes::object_request::{NextHop, ObjectOp, ObjectRequest};
use crate::routes::object_sweep::{ListedObject, ObjectKind};
use crate::system::netlink::NETLINK_HEADER_LEN;

/// linux/rtnetlink.h: RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP.
const NEW: u16 = 104;
const DELETE: u16 = 105;
const GET: u16 = 106;

/// linux/nexthop.h: `struct nhmsg`, and NHA_ID, NHA_GROUP, NHA_OIF, NHA_GATEWAY, NHA_FDB.
const HEADER_LEN: usize = 8;
const ID: u16 = 1;
const GROUP: u16 = 2;
const OUTPUT: u16 = 5;
const GATEWAY: u16 = 6;
const FDB: u16 = 11;

/// The length of `struct nexthop_grp`, which begins with the number of the member.
const MEMBER_LEN: usize = 8;

/// Above the type of an attribute stand two flags.
const TYPE_MASK: u16 = 0x3fff;

/// Appends a request to others of one message.
pub(super) fn append(request: &ObjectRequest, sequence: u32, buffer: &mut Vec<u8>) {
    let ObjectRequest { op, id, hop, .. } = request;
    let (kind, flags) = match op {
        ObjectOp::Add => (NEW, NLM_F_CREATE | NLM_F_EXCL),
        ObjectOp::Move => (NEW, NLM_F_REPLACE),
        ObjectOp::Delete => (DELETE, 0),
    };
    let mut body = Vec::with_capacity(44);
    if *op == ObjectOp::Delete {
        body.extend([0; HEADER_LEN]);
        attribute(&mut body, ID, &id.to_ne_bytes());
    } else {
        gateway_of(*id, hop.address, hop.protocol, &mut body);
        attribute(&mut body, OUTPUT, &hop.interface.to_ne_bytes());
    }
    message(kind, NLM_F_ACK | flags, sequence, &body, buffer);
}

/// Has an object lead nowhere: one for the entries of bridges has a gateway and no interface.
pub(super) fn append_retirement(id: u32, gateway: IpAddr, protocol: u8, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(40);
    gateway_of(id, gateway, protocol, &mut body);
    attribute(&mut body, FDB, &[]);
    message(NEW, NLM_F_ACK | NLM_F_REPLACE, sequence, &body, buffer);
}

/// Begins the message about an object with its number and its gateway.
fn gateway_of(id: u32, gateway: IpAddr, protocol: u8, body: &mut Vec<u8>) {
    let family = if gateway.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    body.extend([family as u8, 0, protocol, 0, 0, 0, 0, 0]);
    attribute(body, ID, &id.to_ne_bytes());
    match gateway {
        IpAddr::V4(address) => attribute(body, GATEWAY, &address.octets()),
        IpAddr::V6(address) => attribute(body, GATEWAY, &address.octets()),
    }
}

/// Asks for the object with a number.
pub(super) fn append_question(id: u32, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = vec![0; HEADER_LEN];
    attribute(&mut body, ID, &id.to_ne_bytes());
    message(GET, 0, sequence, &body, buffer);
}

/// Asks for all objects.
pub(super) fn append_dump(sequence: u32, buffer: &mut Vec<u8>) {
    message(GET, NLM_F_DUMP, sequence, &[0; HEADER_LEN], buffer);
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8], buffer: &mut Vec<u8>) {
    let length = (NETLINK_HEADER_LEN + body.len()) as u32;
    buffer.extend(length.to_ne_bytes());
    buffer.extend(kind.to_ne_bytes());
    buffer.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    buffer.extend(sequence.to_ne_bytes());
    // The kernel fills in the sender.
    buffer.extend(0u32.to_ne_bytes());
    buffer.extend(body);
    buffer.resize(buffer.len().next_multiple_of(4), 0);
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// What the kernel tells of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldObject {
    /// Its number.
    pub id: u32,
    /// What it leads over; `None` where it is of another kind than ours, such as a group.
    pub hop: Option<NextHop>,
    /// It was deleted.
    pub is_gone: bool,
}

/// Splits a datagram: messages about objects, each with the port of whoever asked for the change, are shown and left out of the rest.
pub(super) fn take_objects(datagram: &[u8], mut show: impl FnMut(ToldObject, u32)) -> Vec<u8> {
    split(datagram, |object, is_gone, port| {
        show(ToldObject { id: object.id, hop: object.way(), is_gone }, port);
    })
}

/// As `take_objects`, with all that is listed of an object.
pub(super) fn take_listed(datagram: &[u8], mut show: impl FnMut(ListedObject)) -> Vec<u8> {
    split(datagram, |object, _, _| show(object))
}

/// The sequence numbers and the flags of the messages in a datagram.
pub(super) fn headers(mut datagram: &[u8]) -> Vec<(u32, u16)> {
    let mut headers = Vec::new();
    while let Some((header, _)) = datagram.split_first_chunk::<NETLINK_HEADER_LEN>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        headers.push((u32::from_ne_bytes([header[8], header[9], header[10], header[11]]), flags));
        datagram = datagram.get(length.next_multiple_of(4).max(NETLINK_HEADER_LEN)..).unwrap_or_default();
    }
    headers
}

fn split(datagram: &[u8], mut show: impl FnMut(ListedObject, bool, u32)) -> Vec<u8> {
    let mut rest = Vec::with_capacity(datagram.len());
    let mut left = datagram;
    while let Some((header, _)) = left.split_first_chunk::<NETLINK_HEADER_LEN>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let port = u32::from_ne_bytes([header[12], header[13], header[14], header[15]]);
        if length < NETLINK_HEADER_LEN || length > left.len() {
            break;
        }
        if kind == NEW || kind == DELETE {
            if let Some(object) = read(&left[NETLINK_HEADER_LEN..length]) {
                show(object, kind == DELETE, port);
            }
        } else {
            rest.extend(&left[..length]);
            rest.resize(rest.len().next_multiple_of(4), 0);
        }
        left = &left[length.next_multiple_of(4).min(left.len())..];
    }
    // Whatever could not be split is left to whoever reads the rest.
    rest.extend(left);
    rest
}

fn read(body: &[u8]) -> Option<ListedObject> {
    let (header, mut rest) = body.split_first_chunk::<HEADER_LEN>()?;
    let protocol = header[2];
    let (mut id, mut interface, mut address, mut is_plain) = (None, None, None, true);
    let (mut members, mut is_for_bridges) = (None, false);
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK {
            ID => id = Some(u32::from_ne_bytes(value.try_into().ok()?)),
            OUTPUT => interface = Some(u32::from_ne_bytes(value.try_into().ok()?)),
            GATEWAY => address = gateway(value),
            GROUP => members = Some(members_of(value)),
            FDB => is_for_bridges = true,
            _ => is_plain = false,
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let kind = match (members, address, interface) {
        (Some(members), ..) => ObjectKind::Group(members),
        (None, Some(address), None) if is_plain && is_for_bridges => ObjectKind::Retired(address),
        (None, Some(address), Some(interface)) if is_plain && !is_for_bridges => {
            ObjectKind::Plain(NextHop { address, interface, protocol })
        }
        _ => ObjectKind::Other,
    };
    Some(ListedObject { id: id?, protocol, kind })
}

fn members_of(value: &[u8]) -> Vec<u32> {
    value
        .chunks_exact(MEMBER_LEN)
        .map(|member| u32::from_ne_bytes([member[0], member[1], member[2], member[3]]))
        .collect()
}

fn gateway(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: ObjectOp, address: IpAddr) -> ObjectRequest {
        ObjectRequest { op, id: 7, hop: NextHop { address, interface: 3, protocol: 186 }, routes: Vec::new() }
    }

    #[test]
    fn what_is_asked_for_an_object_is_read_as_it_was_written() {
        for address in [IpAddr::from([10, 0, 0, 2]), "2001:db8::2".parse().unwrap()] {
            let request = request(ObjectOp::Add, address);
            let mut bytes = Vec::new();
            append(&request, 5, &mut bytes);
            assert_eq!(bytes.len() % 4, 0);
            let mut told = Vec::new();
            let rest = take_objects(&bytes, |object, port| told.push((object, port)));
            assert_eq!(rest, []);
            assert_eq!(told, [(ToldObject { id: 7, hop: Some(request.hop), is_gone: false }, 0)]);
        }
    }

    #[test]
    fn a_retired_object_is_read_as_one_and_a_group_by_its_members() {
        let mut bytes = Vec::new();
        append_retirement(7, IpAddr::from([10, 0, 0, 2]), 186, 5, &mut bytes);
        let mut body = vec![0, 0, 42, 0, 0, 0, 0, 0];
        attribute(&mut body, ID, &9u32.to_ne_bytes());
        let members = [7u32.to_ne_bytes(), [0; 4], 8u32.to_ne_bytes(), [0; 4]].concat();
        attribute(&mut body, GROUP, &members);
        message(NEW, 0, 5, &body, &mut bytes);
        let mut listed = Vec::new();
        assert_eq!(take_listed(&bytes, |object| listed.push(object)), []);
        let retired = ObjectKind::Retired(IpAddr::from([10, 0, 0, 2]));
        let group = ObjectKind::Group(vec![7, 8]);
        let expected = [(7, 186, retired), (9, 42, group)];
        assert_eq!(listed, expected.map(|(id, protocol, kind)| ListedObject { id, protocol, kind }));
    }

    #[test]
    fn a_deletion_names_the_number_alone_and_what_is_about_routes_stays_for_others() {
        let mut bytes = Vec::new();
        append(&request(ObjectOp::Delete, IpAddr::from([10, 0, 0, 2])), 5, &mut bytes);
        let other = crate::system::netlink::captured::bytes(crate::system::netlink::captured::ROUTE_ADDED);
        let mut told = Vec::new();
        let rest = take_objects(&[&bytes[..], &other].concat(), |object, _| told.push(object));
        assert_eq!((told, rest), (vec![ToldObject { id: 7, hop: None, is_gone: true }], other));
    }

    #[test]
    fn what_is_cut_off_is_left_in_the_rest_and_what_is_damaged_is_not_shown() {
        let mut bytes = Vec::new();
        append(&request(ObjectOp::Add, IpAddr::from([10, 0, 0, 2])), 5, &mut bytes);
        for length in 0..bytes.len() {
            let rest = take_objects(&bytes[..length], |_, _| panic!("{length} bytes are no message"));
            assert_eq!(rest.len(), length);
        }
        // An attribute that is longer than the message.
        bytes[NETLINK_HEADER_LEN + HEADER_LEN] = 200;
        take_objects(&bytes, |_, _| panic!("it cannot be read"));
    }
}
