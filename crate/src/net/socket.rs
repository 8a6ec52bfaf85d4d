//! A UDP socket as this crate sets it up: packet info both ways, arrival stamps, TTL and TOS, large buffers.

use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind as bind_to, getsockname, setsockopt, socket, sockopt,
};

use crate::net::rx_socket::RxSocket;
use crate::net::socket_options::set_option;
use crate::net::tx_socket::TxSocket;
use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// What one queued datagram of this size costs of the kernel's receive buffer, rounded up.
const RX_BUFFER_PER_DATAGRAM: usize = 1024;
const RX_BUFFER_MIN: usize = 1 << 20;
const RX_BUFFER_MAX: usize = 64 << 20;

/// Binds a non-blocking IPv4 UDP socket to `address`, ready for about `sessions` peers. It receives and it sends: the liveness
/// protocol sends from the port that it listens on.
///
/// # Errors
/// What the system says: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, …
pub fn bind(address: SocketAddrV4, sessions: usize) -> nix::Result<(RxSocket, TxSocket)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    mark(&fd)?;
    set_option(&fd, libc::IPPROTO_IP, libc::IP_TTL, i32::from(Liveness::TTL))?;
    let buffer = (2 * sessions * RX_BUFFER_PER_DATAGRAM).clamp(RX_BUFFER_MIN, RX_BUFFER_MAX);
    // Beyond the host's limit only with CAP_NET_ADMIN; up to it otherwise.
    if setsockopt(&fd, sockopt::RcvBufForce, &buffer).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &buffer)?;
    }
    bind_to(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    let fd = Arc::new(fd);
    Ok((RxSocket::new(Arc::clone(&fd)), TxSocket::new(fd)?))
}

/// Gives what a socket sends the mark of network control.
fn mark(socket: &impl AsFd) -> nix::Result<()> {
    setsockopt(socket, sockopt::Ipv4Tos, &i32::from(Liveness::TOS))
}

/// Marks what the socket of this process sends that is bound to an address; false where there is none. It is somebody
/// else's, Node's for example, which can set no TOS and does not tell its descriptor.
///
/// # Errors
/// What the system says about listing the descriptors of this process, or about the mark.
pub fn mark_bound(address: SocketAddrV4) -> std::io::Result<bool> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if getsockname::<SockaddrIn>(fd).is_ok_and(|bound| SocketAddrV4::from(bound) == address) {
            // SAFETY: it was open a moment ago. Where it was closed since, the call fails, or marks what took its number.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            mark(&socket)?;
            return Ok(true);
        }
    }
    Ok(false)
}
