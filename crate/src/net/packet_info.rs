//! Control messages of received and sent datagrams: address and interface, arrival, TTL.

use std::mem;
use std::net::IpAddr;
use std::ptr;

use crate::net::socket_address::{from_in_addr, from_in6_addr, to_in_addr, to_in6_addr};

/// What the kernel reported of one datagram beside its bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct ControlData {
    /// The destination address of the datagram, and the index of the interface that it came in by.
    pub(super) packet_info: Option<(IpAddr, u32)>,
    pub(super) stamp: Option<libc::timespec>,
    /// The TTL, or the hop limit.
    pub(super) ttl: Option<u8>,
}

impl ControlData {
    /// Reads the control messages of a header that recvmmsg has filled.
    #[inline]
    pub(super) fn of(header: &libc::mmsghdr) -> Self {
        let mut told = Self::default();
        let header = &raw const header.msg_hdr;
        // SAFETY: recvmmsg filled the header: msg_control points to msg_controllen bytes of control messages.
        let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !message.is_null() {
            // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a whole header inside the control memory.
            let libc::cmsghdr { cmsg_level: level, cmsg_type: kind, .. } = unsafe { *message };
            // SAFETY: `message` is such a header; this computes the address behind it.
            let data = unsafe { libc::CMSG_DATA(message) };
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // SAFETY: a message of this kind carries one in_pktinfo, at no particular alignment.
                    let info = unsafe { ptr::read_unaligned(data.cast::<libc::in_pktinfo>()) };
                    told.packet_info = Some((from_in_addr(info.ipi_addr).into(), info.ipi_ifindex.unsigned_abs()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // SAFETY: a message of this kind carries one in6_pktinfo, at no particular alignment.
                    let info = unsafe { ptr::read_unaligned(data.cast::<libc::in6_pktinfo>()) };
                    told.packet_info = Some((from_in6_addr(info.ipi6_addr).into(), info.ipi6_ifindex as u32));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: a message of this kind carries one timespec, at no particular alignment.
                    told.stamp = Some(unsafe { ptr::read_unaligned(data.cast::<libc::timespec>()) });
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    // SAFETY: a message of either kind carries one int, at no particular alignment.
                    let ttl = unsafe { ptr::read_unaligned(data.cast::<libc::c_int>()) };
                    told.ttl = u8::try_from(ttl).ok();
                }
                _ => {}
            }
            // SAFETY: `header` and `message` are as above.
            message = unsafe { libc::CMSG_NXTHDR(header, message) };
        }
        told
    }
}

/// Room for IP_PKTINFO or IPV6_PKTINFO, with its header, in words for its alignment.
pub(super) const TX_CONTROL_WORDS: usize = 5;

/// Writes the source address and the egress interface into the control memory of a message, which has `TX_CONTROL_WORDS`
/// words. Without an interface, which is 0, the routing table chooses.
#[inline]
pub(super) fn put_packet_info(header: &mut libc::msghdr, source: IpAddr, ifindex: u32) {
    match source {
        IpAddr::V4(source) => put(
            header,
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            libc::in_pktinfo {
                ipi_ifindex: ifindex.cast_signed(),
                ipi_spec_dst: to_in_addr(source),
                ipi_addr: libc::in_addr { s_addr: 0 },
            },
        ),
        IpAddr::V6(source) => put(
            header,
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            libc::in6_pktinfo { ipi6_addr: to_in6_addr(source), ipi6_ifindex: ifindex as _ },
        ),
    }
}

/// Makes `value` the one control message of a header.
#[inline]
fn put<T>(header: &mut libc::msghdr, level: libc::c_int, kind: libc::c_int, value: T) {
    const { assert!(size_of::<libc::cmsghdr>() + size_of::<T>() <= TX_CONTROL_WORDS * 8) };
    let length = mem::size_of_val(&value) as u32;
    // SAFETY: computes a length from a length.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
    // SAFETY: msg_control points to TX_CONTROL_WORDS words, room for one header and the value, so the address is not null.
    let message = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: `message` is that header, aligned since the control memory is made of words.
    let message = unsafe { &mut *message };
    message.cmsg_level = level;
    message.cmsg_type = kind;
    // SAFETY: computes a length from a length.
    message.cmsg_len = unsafe { libc::CMSG_LEN(length) } as _;
    // SAFETY: computes the address behind the header.
    let data = unsafe { libc::CMSG_DATA(message) };
    // SAFETY: there is room for the value behind the header, at no particular alignment.
    unsafe { ptr::write_unaligned(data.cast(), value) };
}
