//! Options of sockets that no library wraps.

use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// Sets an option that no wrapper knows; `T` is the C type that it takes.
pub(crate) fn set_option<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> nix::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `length` bytes, and outlives the call, which keeps nothing of it.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    Errno::result(result).map(drop)
}
