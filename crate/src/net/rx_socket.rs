//! The receiving side of a socket: datagrams with their context, a batch at a time.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};

use crate::net::batch_calls::recvmmsg;
use crate::net::cells::{BATCH, Cells};
use crate::net::packet_info::ControlData;
use crate::net::socket_address::Family;
use crate::net::socket_options::{SK_MEMINFO_DROPS, local_addr, memory};
use crate::system::packet_program;
use crate::system::socket_option::set_option;

/// Room for packet info, SCM_TIMESTAMPNS and TTL, each with its header, in words for their alignment.
const RX_CONTROL_WORDS: usize = 12;

/// The most bytes of a datagram that are read: a length field of one byte says no more (RFC 5880 §4.1).
const RX_BYTES: usize = 256;

/// A datagram as the kernel handed it over.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its first bytes, as many as the socket was set up for: nothing that follows them counts.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// The destination address of the datagram.
    pub local: IpAddr,
    /// The index of the interface that it came in by.
    pub ifindex: u32,
    /// When it arrived, in microseconds of the wall clock.
    pub stamp_wall_us: Option<i64>,
    /// Its TTL or hop limit, where `tell_ttl` has asked for it.
    pub ttl: Option<u8>,
}

/// The receiving side of a socket.
pub struct RxSocket {
    fd: Arc<OwnedFd>,
    family: Family,
    batch: RxBatch,
}

impl RxSocket {
    /// Reads the first `payload_len` bytes of each datagram, at most `RX_BYTES`.
    pub(super) fn new(fd: Arc<OwnedFd>, family: Family, payload_len: usize) -> Self {
        Self { fd, family, batch: RxBatch::new(family, payload_len) }
    }

    /// The descriptor, for a caller that reads by other means.
    #[must_use]
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// Has the kernel report the TTL of each datagram from now on.
    ///
    /// # Errors
    /// None that a UDP socket is known to give.
    pub fn tell_ttl(&self) -> nix::Result<()> {
        match self.family {
            Family::V4 => set_option(&self.fd, libc::IPPROTO_IP, libc::IP_RECVTTL, 1),
            Family::V6 => set_option(&self.fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
        }
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// None that a bound socket is known to give.
    pub fn local_addr(&self) -> nix::Result<SocketAddr> {
        local_addr(&self.fd)
    }

    /// Sends a datagram to this socket itself.
    ///
    /// # Errors
    /// What the system says: `ENETUNREACH` where the loopback interface is down, `EPERM` where a firewall forbids it, …
    pub(crate) fn send_to_itself(&self, bytes: &[u8]) -> nix::Result<()> {
        let mut to = local_addr(&self.fd)?;
        if to.ip().is_unspecified() {
            to.set_ip(self.family.loopback());
        }
        sendto(self.fd.as_raw_fd(), bytes, &SockaddrStorage::from(to), MsgFlags::MSG_DONTWAIT).map(drop)
    }

    /// Waits until there is something to read, for so many milliseconds at most.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn wait(&self, at_most_ms: u8) -> nix::Result<()> {
        let mut wanted = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, at_most_ms) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Reads up to `BATCH` datagrams, and gives how many there were. Fewer than `BATCH` means that the socket was
    /// empty.
    ///
    /// # Errors
    /// What the system says, but for an empty socket, which is no error.
    pub fn receive(&mut self) -> nix::Result<usize> {
        match self.batch.fill(self.fd.as_fd()) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            result => result,
        }
    }

    /// The datagrams of the last `receive`, in the order of their arrival.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.batch.told.len()).filter_map(|index| self.batch.datagram(index))
    }

    /// Has the kernel drop, from now on, what a classic BPF program says, in place of an earlier one.
    ///
    /// # Errors
    /// What the system says: `EINVAL` or `ENOMEM` for a program that is too long for it.
    pub fn filter(&self, program: &[libc::sock_filter]) -> nix::Result<()> {
        packet_program::attach(&self.fd, program)
    }

    /// Ends what `filter` began.
    ///
    /// # Errors
    /// `ENOENT` where there is nothing to end.
    pub fn filter_nothing(&self) -> nix::Result<()> {
        packet_program::detach(&self.fd)
    }

    /// How many datagrams the kernel dropped so far because the buffer was full, or because a program said so. (SO_RXQ_OVFL tells only with the
    /// next datagram that is queued after the drop, which is too late to judge a silence by.)
    #[must_use]
    pub fn drops(&self) -> u32 {
        memory(self.fd.as_fd())[SK_MEMINFO_DROPS]
    }

    /// One that cannot be read: its descriptor is no socket.
    #[cfg(test)]
    pub(crate) fn broken() -> Self {
        Self::new(Arc::new(nix::sys::eventfd::EventFd::new().unwrap().into()), Family::V4, RX_BYTES)
    }
}

impl AsFd for RxSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct RxBatch {
    cells: Cells<RX_CONTROL_WORDS, RX_BYTES>,
    family: Family,
    payload_len: usize,
    /// The length of each datagram of the last `fill`, and what the kernel reported of it.
    told: Vec<(usize, ControlData)>,
}

impl RxBatch {
    fn new(family: Family, payload_len: usize) -> Self {
        Self { cells: Cells::new(BATCH), family, payload_len, told: Vec::with_capacity(BATCH) }
    }

    fn fill(&mut self, fd: BorrowedFd<'_>) -> nix::Result<usize> {
        self.told.clear();
        let Self { cells, told, .. } = self;
        let payload_len = self.payload_len.min(RX_BYTES);
        cells.with_headers(
            self.family.address_len(),
            |_| payload_len,
            |headers| {
                let to = headers.as_mut_ptr();
                // SAFETY: every header points to the address, the bytes and the control memory of its cell, with their
                // true sizes; the cells outlive the call and nobody else looks at them meanwhile.
                let count = unsafe { recvmmsg(fd.as_raw_fd(), to, BATCH as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
                let count = Errno::result(count)?.unsigned_abs() as usize;
                told.extend(
                    headers[..count]
                        .iter()
                        .map(|header| ((header.msg_len as usize).min(payload_len), ControlData::of(header))),
                );
                Ok(count)
            },
        )
    }

    /// The datagram at `index` of the last `fill`; `None` where the kernel reported too little to use it.
    fn datagram(&self, index: usize) -> Option<Received<'_>> {
        let (length, ControlData { packet_info, stamp, ttl }) = self.told[index];
        let cell = &self.cells.0[index];
        let (local, ifindex) = packet_info?;
        Some(Received {
            bytes: &cell.bytes[..length],
            source: cell.address.get(self.family),
            local,
            ifindex,
            stamp_wall_us: stamp.map(|stamp| stamp.tv_sec * 1_000_000 + stamp.tv_nsec / 1_000),
            ttl,
        })
    }
}
