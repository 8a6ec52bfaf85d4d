//! Messages of netlink, as they come in datagrams.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;
use nix::sys::socket::{setsockopt, sockopt};

/// linux/netlink.h: the header of every message.
pub(crate) const NETLINK_HEADER_LEN: usize = 16;

/// Shows every message of a datagram that can be read: the kernel may tell of things of kinds that are not known here. Gives
/// whether that was all of them: false where one was unreadable, cut off, or says that others were lost.
pub(crate) fn each_message(mut datagram: &[u8], mut show: impl FnMut(NetlinkMessage<RouteNetlinkMessage>)) -> bool {
    let mut is_complete = true;
    while !datagram.is_empty() {
        let length = datagram.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes) as usize);
        if length < NETLINK_HEADER_LEN || length > datagram.len() {
            return false;
        }
        match NetlinkMessage::deserialize(&datagram[..length]) {
            Ok(message) => {
                is_complete &= !matches!(message.payload, NetlinkPayload::Overrun(_));
                show(message);
            }
            Err(_) => is_complete = false,
        }
        // Messages are padded to four bytes.
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
    }
    is_complete
}

/// How much room notices and answers have to wait in, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Makes the buffer that notices and answers wait in as large as is allowed.
///
/// # Errors
/// None that a socket is known to give.
pub(crate) fn enlarge_receive_buffer(socket: &Socket) -> std::io::Result<()> {
    // Beyond net.core.rmem_max with CAP_NET_ADMIN only.
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    Ok(())
}

/// What a kernel has written: `crate/tests/netlink/README.md` says when.
#[cfg(test)]
pub(crate) mod captured {
    pub(crate) const LINK_ADDED: &str = include_str!("../../tests/netlink/link-added.hex");
    pub(crate) const LINK_RENAMED: &str = include_str!("../../tests/netlink/link-renamed.hex");
    pub(crate) const LINK_REMOVED: &str = include_str!("../../tests/netlink/link-removed.hex");
    pub(crate) const ROUTE_ADDED: &str = include_str!("../../tests/netlink/route-added.hex");
    pub(crate) const ROUTE_APPENDED: &str = include_str!("../../tests/netlink/route-appended.hex");
    pub(crate) const ROUTE_PREPENDED: &str = include_str!("../../tests/netlink/route-prepended.hex");
    pub(crate) const ROUTE_OTHER_TOS: &str = include_str!("../../tests/netlink/route-other-tos.hex");
    pub(crate) const ROUTE_REPLACED: &str = include_str!("../../tests/netlink/route-replaced.hex");
    pub(crate) const ROUTE_DELETED: &str = include_str!("../../tests/netlink/route-deleted.hex");
    pub(crate) const ROUTE_WITH_METRICS: &str = include_str!("../../tests/netlink/route-with-metrics.hex");
    pub(crate) const ROUTE_MULTIPATH: &str = include_str!("../../tests/netlink/route-multipath.hex");
    pub(crate) const ROUTE_LIST: &str = include_str!("../../tests/netlink/route-list.hex");
    pub(crate) const ROUTE_IPV6_ADDED: &str = include_str!("../../tests/netlink/route-ipv6-added.hex");
    pub(crate) const ROUTE_IPV6_APPENDED: &str = include_str!("../../tests/netlink/route-ipv6-appended.hex");
    pub(crate) const ROUTE_IPV6_DELETED: &str = include_str!("../../tests/netlink/route-ipv6-deleted.hex");
    pub(crate) const ROUTE_IPV6_DROPPED: &str = include_str!("../../tests/netlink/route-ipv6-dropped.hex");
    pub(crate) const ROUTE_IPV6_SIBLINGS_DELETED: &str =
        include_str!("../../tests/netlink/route-ipv6-siblings-deleted.hex");
    pub(crate) const ROUTE_IPV6_LIST: &str = include_str!("../../tests/netlink/route-ipv6-list.hex");
    pub(crate) const ADDRESS_IPV6_REMOVED: &str = include_str!("../../tests/netlink/address-ipv6-removed.hex");
    pub(crate) const ADDRESS_REMOVED: &str = include_str!("../../tests/netlink/address-removed.hex");
    pub(crate) const LINK_LIST: &str = include_str!("../../tests/netlink/link-list.hex");

    pub(crate) fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks_exact(2).map(octet).collect()
    }

    /// A message of this type and these flags, with a body.
    pub(crate) fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let length = (super::NETLINK_HEADER_LEN + body.len()) as u32;
        let mut bytes = [length.to_ne_bytes(), [0; 4], [7, 0, 0, 0], [0; 4]].concat();
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_OVERRUN};

    use super::captured::{LINK_ADDED, LINK_LIST, bytes, message};
    use super::*;

    /// Types and flags of the messages, and whether they were all.
    fn read(datagram: &[u8]) -> (Vec<(u16, u16)>, bool) {
        let mut seen = Vec::new();
        let is_complete =
            each_message(datagram, |message| seen.push((message.header.message_type, message.header.flags)));
        (seen, is_complete)
    }

    #[test]
    fn a_list_of_several_messages_is_read_to_its_end() {
        let (seen, is_complete) = read(&bytes(LINK_LIST));
        assert_eq!(
            seen,
            [(16, NLM_F_MULTIPART), (16, NLM_F_MULTIPART), (16, NLM_F_MULTIPART), (NLMSG_DONE, NLM_F_MULTIPART)]
        );
        assert!(is_complete);
    }

    #[test]
    fn a_list_that_the_kernel_calls_interrupted_says_so_in_its_flags() {
        let mut list = bytes(LINK_LIST);
        list[6] |= NLM_F_DUMP_INTR as u8;
        assert_eq!(read(&list).0[0], (16, NLM_F_MULTIPART | NLM_F_DUMP_INTR));
    }

    #[test]
    fn a_message_that_says_that_others_were_lost_makes_the_datagram_incomplete() {
        let datagram = [bytes(LINK_ADDED), message(NLMSG_OVERRUN, 0, &[0; 4])].concat();
        assert_eq!(read(&datagram), (vec![(16, 0), (NLMSG_OVERRUN, 0)], false));
    }

    #[test]
    fn an_unreadable_message_is_passed_over_and_noticed() {
        // RTM_NEWLINK with a body that is too short for its header.
        let datagram = [message(16, 0, &[0; 3]), bytes(LINK_ADDED)].concat();
        assert_eq!(read(&datagram), (vec![(16, 0)], false));
    }

    #[test]
    fn what_is_cut_off_is_noticed_wherever_it_is_cut() {
        let whole = bytes(LINK_ADDED);
        for length in 1..whole.len() {
            assert_eq!(read(&whole[..length]), (Vec::new(), false), "cut off at {length}");
        }
        let longer = [whole.as_slice(), &[9, 0]].concat();
        assert_eq!(read(&longer), (vec![(16, 0)], false));
        assert_eq!(read(&[]), (Vec::new(), true));
    }
}
