//! The memory that the kernel reads packets from and writes them to, a batch at a time.

use std::mem::{self, MaybeUninit};
use std::net::Ipv4Addr;

use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// Datagrams per system call, either way.
pub const BATCH: usize = 64;

/// One message's worth of memory that the kernel writes to or reads from.
pub(super) struct Cell<const CONTROL: usize> {
    pub(super) address: libc::sockaddr_in,
    control: [u64; CONTROL],
    pub(super) bytes: [u8; Liveness::PACKET_LEN],
}

/// The memory of a batch, reused for every call. The headers that point into it are made anew each time: that
/// costs little beside the call, and no pointer outlives the borrow that it comes from.
pub(super) struct Cells<const CONTROL: usize>(pub(super) Box<[Cell<CONTROL>]>);

impl<const CONTROL: usize> Cells<CONTROL> {
    pub(super) fn new() -> Self {
        let blank = || Cell {
            address: libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: 0 },
                sin_zero: [0; 8],
            },
            control: [0; CONTROL],
            bytes: [0; Liveness::PACKET_LEN],
        };
        Self((0..BATCH).map(|_| blank()).collect())
    }

    /// Shows headers that point into the cells, one each.
    pub(super) fn with_headers<T>(&mut self, call: impl FnOnce(&mut [libc::mmsghdr; BATCH]) -> T) -> T {
        // SAFETY: all-zero bytes are valid vectors: null pointers and lengths of zero.
        let mut vectors: [libc::iovec; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: all-zero bytes are valid headers, for the same reason.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        for ((header, vector), cell) in headers.iter_mut().zip(&mut vectors).zip(&mut self.0) {
            *vector = libc::iovec { iov_base: cell.bytes.as_mut_ptr().cast(), iov_len: Liveness::PACKET_LEN };
            header.msg_hdr.msg_name = (&raw mut cell.address).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = cell.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = mem::size_of_val(&cell.control) as _;
        }
        call(&mut headers)
    }
}

pub(super) fn from_in_addr(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

pub(super) fn to_in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}
