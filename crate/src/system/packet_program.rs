//! Classic BPF programs on sockets (linux/filter.h): the kernel asks them which packets to hand over.

use std::os::fd::AsFd;

use libc::sock_filter;
use nix::errno::Errno;

use crate::system::socket_option::set_option;

/// Has the kernel drop, from now on, what a program says, in place of an earlier one.
///
/// # Errors
/// What the system says: `EINVAL` or `ENOMEM` for a program that is too long for it.
pub(crate) fn attach(socket: &impl AsFd, program: &[sock_filter]) -> nix::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel copies the program in the call, and does not write to it.
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Ends what `attach` began.
///
/// # Errors
/// `ENOENT` where there is nothing to end.
pub(crate) fn detach(socket: &impl AsFd) -> nix::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0)
}

/// Goes on where the comparison holds, and drops the packet elsewhere.
pub(crate) fn only_if(comparison: u32, value: u32) -> [sock_filter; 2] {
    [jump(comparison, value, 1, 0), drop_it()]
}

/// Drops the packet where the comparison holds, and goes on elsewhere.
pub(crate) fn unless(comparison: u32, value: u32) -> [sock_filter; 2] {
    [jump(comparison, value, 0, 1), drop_it()]
}

/// Hands the packet over.
pub(crate) fn keep() -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, u32::MAX)
}

/// Drops the packet.
pub(crate) fn drop_it() -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, 0)
}

/// Compares the accumulator with a constant, and skips `jt` instructions where it holds, `jf` elsewhere.
pub(crate) fn jump(comparison: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | comparison | libc::BPF_K) as u16, jt, jf, k }
}

/// An instruction that does not branch.
pub(crate) fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}
