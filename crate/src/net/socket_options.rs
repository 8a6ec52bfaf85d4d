//! What a socket tells of itself, where no library wraps it as needed.

use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getsockname};

/// linux/sock_diag.h: what SO_MEMINFO tells, of which these are the third and the ninth.
const SK_MEMINFO_VARS: usize = 9;
pub(super) const SK_MEMINFO_WMEM_ALLOC: usize = 2;
pub(super) const SK_MEMINFO_DROPS: usize = 8;

/// The address that the socket is bound to.
///
/// # Errors
/// None that a bound socket is known to give.
pub(super) fn local_addr(fd: &impl AsRawFd) -> nix::Result<SocketAddr> {
    let bound = getsockname::<SockaddrStorage>(fd.as_raw_fd())?;
    let v4 = bound.as_sockaddr_in().map(|address| SocketAddrV4::from(*address).into());
    let v6 = bound.as_sockaddr_in6().map(|address| SocketAddrV6::from(*address).into());
    v4.or(v6).ok_or(Errno::EAFNOSUPPORT)
}

/// What the kernel says of the socket's memory; zeros where it says nothing.
pub(super) fn memory(fd: BorrowedFd<'_>) -> [u32; SK_MEMINFO_VARS] {
    let mut info = [0u32; SK_MEMINFO_VARS];
    let mut length = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` is writable for `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    if result == 0 { info } else { [0; SK_MEMINFO_VARS] }
}
