//! UDP sockets as this crate sets them up: packet info both ways, arrival stamps, TTL and TOS, large buffers.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind as bind_to, setsockopt, socket, sockopt,
};

use crate::net::rx_socket::RxSocket;
use crate::net::socket_address::Family;
use crate::net::socket_options::local_addr;
use crate::net::tx_socket::TxSocket;
use crate::protocol::Protocol;
use crate::system::packet_program;
use crate::system::socket_option::set_option;

/// What one queued datagram of this size costs of the kernel's receive buffer, rounded up.
const RX_BUFFER_PER_DATAGRAM: usize = 1024;
const RX_BUFFER_MIN: usize = 1 << 20;
const RX_BUFFER_MAX: usize = 64 << 20;

/// Binds a non-blocking UDP socket to `address`, ready for about `sessions` peers. It receives, and it sends from the port that
/// it receives on.
///
/// # Errors
/// What the system says: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, …
pub fn bind<P: Protocol>(address: SocketAddr, sessions: usize) -> nix::Result<(RxSocket, TxSocket)> {
    let family = Family::of(address.ip());
    let fd = Arc::new(receiving(address, sessions, P::TTL, P::TOS)?);
    Ok((RxSocket::new(Arc::clone(&fd), family, P::PACKET_LEN), TxSocket::new(fd, family)?))
}

/// As `bind`, of a socket that only receives.
///
/// # Errors
/// As `bind`.
pub fn bind_receiver<P: Protocol>(address: SocketAddr, sessions: usize) -> nix::Result<RxSocket> {
    let fd = receiving(address, sessions, P::TTL, P::TOS)?;
    Ok(RxSocket::new(Arc::new(fd), Family::of(address.ip()), P::PACKET_LEN))
}

fn receiving(address: SocketAddr, sessions: usize, ttl: u8, tos: u8) -> nix::Result<OwnedFd> {
    let fd = open(Family::of(address.ip()), ttl, tos)?;
    match address {
        SocketAddr::V4(_) => setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    let buffer = (2 * sessions * RX_BUFFER_PER_DATAGRAM).clamp(RX_BUFFER_MIN, RX_BUFFER_MAX);
    // Beyond the host's limit only with CAP_NET_ADMIN; up to it otherwise.
    if setsockopt(&fd, sockopt::RcvBufForce, &buffer).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &buffer)?;
    }
    bind_to(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// Binds a non-blocking UDP socket to `address` that only sends: the kernel drops what comes to it.
///
/// # Errors
/// As `bind`.
pub(super) fn bind_sender(address: SocketAddr, send_buffer: usize, ttl: u8, tos: u8) -> nix::Result<OwnedFd> {
    let fd = open(Family::of(address.ip()), ttl, tos)?;
    packet_program::attach(&fd, &[packet_program::drop_it()])?;
    setsockopt(&fd, sockopt::SndBuf, &(send_buffer / 2))?;
    bind_to(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// Opens a non-blocking socket that sends from any UDP port, and receives nothing.
///
/// # Errors
/// What the system says: `EPERM` without CAP_NET_RAW.
pub(super) fn open_for_all_ports(family: Family, ttl: u8, tos: u8) -> nix::Result<TxSocket> {
    let fd = open_of(family, SockType::Raw, SockProtocol::Udp, ttl, tos)?;
    packet_program::attach(&fd, &[packet_program::drop_it()])?;
    // The kernel hands a copy of all datagrams that come to a raw socket's address, for the filter to drop: there shall be none.
    let (level, option) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_FREEBIND),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_FREEBIND),
    };
    set_option(&fd, level, option, 1)?;
    bind_to(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(family.documentation(), 0)))?;
    // While it is set, IPv6 takes a source address that the host does not have.
    set_option(&fd, level, option, 0)?;
    TxSocket::of_all_ports(fd, family)
}

/// A UDP socket that is not bound, and takes packets of its own family only.
fn open(family: Family, ttl: u8, tos: u8) -> nix::Result<OwnedFd> {
    open_of(family, SockType::Datagram, None, ttl, tos)
}

fn open_of(
    family: Family,
    kind: SockType,
    protocol: impl Into<Option<SockProtocol>>,
    ttl: u8,
    tos: u8,
) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = match family {
        Family::V4 => {
            let fd = socket(AddressFamily::Inet, kind, flags, protocol)?;
            set_option(&fd, libc::IPPROTO_IP, libc::IP_TTL, i32::from(ttl))?;
            // What is never fragmented needs no identification (RFC 6864 §4.1), and a forged "too big" cuts nothing up.
            set_option(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
            fd
        }
        Family::V6 => {
            let fd = socket(AddressFamily::Inet6, kind, flags, protocol)?;
            if kind == SockType::Datagram {
                setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
            }
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, i32::from(ttl))?;
            fd
        }
    };
    mark(&fd, family, tos)?;
    Ok(fd)
}

/// Sets the type of service, or the traffic class, of what a socket sends.
fn mark(socket: &impl AsFd, family: Family, tos: u8) -> nix::Result<()> {
    match family {
        Family::V4 => setsockopt(socket, sockopt::Ipv4Tos, &i32::from(tos)),
        Family::V6 => setsockopt(socket, sockopt::Ipv6TClass, &i32::from(tos)),
    }
}

/// Marks what the socket of this process sends that is bound to an address as network control; false where there is none. It
/// is somebody else's, Node's for example, which can set no TOS and does not tell its descriptor.
///
/// # Errors
/// What the system says about listing the descriptors of this process, or about the mark.
pub fn mark_bound<P: Protocol>(address: SocketAddr) -> std::io::Result<bool> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if local_addr(&fd).is_ok_and(|bound| (bound.ip(), bound.port()) == (address.ip(), address.port())) {
            // SAFETY: it was open a moment ago. Where it was closed since, the call fails, or marks what took its number.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            mark(&socket, Family::of(address.ip()), P::TOS)?;
            return Ok(true);
        }
    }
    Ok(false)
}
