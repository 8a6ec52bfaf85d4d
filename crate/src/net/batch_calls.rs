//! recvmmsg and sendmmsg: one system call for all messages of a batch. musl's functions of these names make one call for
//! each message, so on musl the system calls are made directly.

#[cfg(not(target_env = "musl"))]
pub(super) use libc::{recvmmsg, sendmmsg};

#[cfg(target_env = "musl")]
pub(super) use direct::{recvmmsg, sendmmsg};

#[cfg(target_env = "musl")]
mod direct {
    use std::mem::offset_of;

    use libc::{c_int, c_uint, mmsghdr, msghdr, timespec};

    // The kernel's `msghdr` has 64-bit lengths. musl's has 32-bit lengths, and beside each a padding field that has to be
    // zero: on a little-endian machine the two together are the kernel's field.
    const _: () = assert!(cfg!(target_endian = "little") && size_of::<usize>() == 8);
    const _: () = assert!(offset_of!(msghdr, msg_iovlen) == 24 && offset_of!(msghdr, msg_control) == 32);
    const _: () = assert!(offset_of!(msghdr, msg_controllen) == 40 && offset_of!(msghdr, msg_flags) == 48);
    const _: () = assert!(offset_of!(mmsghdr, msg_len) == 56 && size_of::<mmsghdr>() == 64);

    /// # Safety
    /// As recvmmsg(2), and the padding of every header is zero.
    pub(in crate::net) unsafe fn recvmmsg(
        fd: c_int,
        headers: *mut mmsghdr,
        count: c_uint,
        flags: c_int,
        timeout: *mut timespec,
    ) -> c_int {
        // SAFETY: the caller keeps to recvmmsg(2), and the layout is the kernel's: see above.
        let result = unsafe { libc::syscall(libc::SYS_recvmmsg, fd, headers, count, flags, timeout) };
        result as c_int
    }

    /// # Safety
    /// As sendmmsg(2), and the padding of every header is zero.
    pub(in crate::net) unsafe fn sendmmsg(fd: c_int, headers: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        // SAFETY: the caller keeps to sendmmsg(2), and the layout is the kernel's: see above.
        let result = unsafe { libc::syscall(libc::SYS_sendmmsg, fd, headers, count, flags) };
        result as c_int
    }
}
