//! The memory that the kernel reads packets from and writes them to, a batch at a time.

use std::mem::{self, MaybeUninit};

use crate::net::socket_address::SocketAddress;

/// Datagrams per system call, either way.
pub const BATCH: usize = 64;

/// One message's worth of memory that the kernel writes to or reads from.
pub(super) struct Cell<const CONTROL: usize, const BYTES: usize> {
    pub(super) address: SocketAddress,
    control: [u64; CONTROL],
    pub(super) bytes: [u8; BYTES],
}

impl<const CONTROL: usize, const BYTES: usize> Cell<CONTROL, BYTES> {
    fn blank() -> Self {
        Self { address: SocketAddress::NONE, control: [0; CONTROL], bytes: [0; BYTES] }
    }
}

/// The memory of a batch, reused for every call. The headers that point into it are made anew each time: that
/// costs little beside the call, and no pointer outlives the borrow that it comes from.
pub(super) struct Cells<const CONTROL: usize, const BYTES: usize>(pub(super) Box<[Cell<CONTROL, BYTES>]>);

impl<const CONTROL: usize, const BYTES: usize> Cells<CONTROL, BYTES> {
    /// Memory for so many messages, at most `BATCH`.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.min(BATCH)).map(|_| Cell::blank()).collect())
    }

    /// Shows headers that point into the cells, one each. The kernel takes addresses of `address_len` bytes, and of each message
    /// as many bytes as `payload_len` says of its index; at most as many as there is room for.
    pub(super) fn with_headers<T>(
        &mut self,
        address_len: usize,
        payload_len: impl Fn(usize) -> usize,
        call: impl FnOnce(&mut [libc::mmsghdr]) -> T,
    ) -> T {
        // To clear a batch of headers for one message would cost a tenth of a microsecond.
        match self.0.len() {
            1 => self.with_headers_of::<T, 1>(address_len, payload_len, call),
            _ => self.with_headers_of::<T, BATCH>(address_len, payload_len, call),
        }
    }

    fn with_headers_of<T, const COUNT: usize>(
        &mut self,
        address_len: usize,
        payload_len: impl Fn(usize) -> usize,
        call: impl FnOnce(&mut [libc::mmsghdr]) -> T,
    ) -> T {
        // SAFETY: all-zero bytes are valid vectors: null pointers and lengths of zero.
        let mut vectors: [libc::iovec; COUNT] = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: all-zero bytes are valid headers, for the same reason.
        let mut headers: [libc::mmsghdr; COUNT] = unsafe { MaybeUninit::zeroed().assume_init() };
        let count = self.0.len().min(COUNT);
        for (index, ((header, vector), cell)) in headers.iter_mut().zip(&mut vectors).zip(&mut self.0).enumerate() {
            *vector = libc::iovec { iov_base: cell.bytes.as_mut_ptr().cast(), iov_len: payload_len(index).min(BYTES) };
            header.msg_hdr.msg_name = (&raw mut cell.address).cast();
            header.msg_hdr.msg_namelen = address_len.min(size_of::<SocketAddress>()) as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = cell.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = mem::size_of_val(&cell.control) as _;
        }
        call(&mut headers[..count])
    }
}
