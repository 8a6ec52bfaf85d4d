//! The receiving side of a socket: datagrams with their context, a batch at a time.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use nix::errno::Errno;

use crate::net::batch_calls::recvmmsg;
use crate::net::cells::{BATCH, Cells, from_in_addr};
use crate::net::socket_options::{SK_MEMINFO_DROPS, local_addr, memory, set_option};
use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// Room for IP_PKTINFO, SCM_TIMESTAMPNS and IP_TTL, each with its header, in words for their alignment.
const RX_CONTROL_WORDS: usize = 11;

/// A datagram as the kernel handed it over.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its first 40 bytes: nothing that follows them counts.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// The destination address of the datagram.
    pub local: IpAddr,
    /// The index of the interface that it came in by.
    pub ifindex: u32,
    /// When it arrived, in microseconds of the wall clock.
    pub stamp_wall_us: Option<i64>,
    /// Its TTL, where `tell_ttl` has asked for it.
    pub ttl: Option<u8>,
}

/// The receiving side of a socket.
pub struct RxSocket {
    fd: Arc<OwnedFd>,
    batch: RxBatch,
}

impl RxSocket {
    pub(super) fn new(fd: Arc<OwnedFd>) -> Self {
        Self { fd, batch: RxBatch::new() }
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
        set_option(&self.fd, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// None that a bound socket is known to give.
    pub fn local_addr(&self) -> nix::Result<SocketAddrV4> {
        local_addr(&self.fd)
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
    pub fn filter(&self, program: &mut [libc::sock_filter]) -> nix::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
        // The kernel copies the program in the call.
        let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        set_option(&self.fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
    }

    /// Ends what `filter` began.
    ///
    /// # Errors
    /// `ENOENT` where there is nothing to end.
    pub fn filter_nothing(&self) -> nix::Result<()> {
        set_option(&self.fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0)
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
        Self::new(Arc::new(nix::sys::eventfd::EventFd::new().unwrap().into()))
    }
}

impl AsFd for RxSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the kernel reported of one datagram beside its bytes.
#[derive(Clone, Copy)]
struct ControlData {
    length: usize,
    packet_info: Option<libc::in_pktinfo>,
    stamp: Option<libc::timespec>,
    ttl: Option<u8>,
}

struct RxBatch {
    cells: Cells<RX_CONTROL_WORDS>,
    told: Vec<ControlData>,
}

impl RxBatch {
    fn new() -> Self {
        Self { cells: Cells::new(), told: Vec::with_capacity(BATCH) }
    }

    fn fill(&mut self, fd: BorrowedFd<'_>) -> nix::Result<usize> {
        self.told.clear();
        let Self { cells, told } = self;
        cells.with_headers(|headers| {
            let to = headers.as_mut_ptr();
            // SAFETY: every header points to the address, the bytes and the control memory of its cell, with their
            // true sizes; the cells outlive the call and nobody else looks at them meanwhile.
            let count = unsafe { recvmmsg(fd.as_raw_fd(), to, BATCH as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
            let count = Errno::result(count)?.unsigned_abs() as usize;
            told.extend(headers[..count].iter().map(read_header));
            Ok(count)
        })
    }

    /// The datagram at `index` of the last `fill`; `None` where the kernel reported too little to use it.
    fn datagram(&self, index: usize) -> Option<Received<'_>> {
        let ControlData { length, packet_info, stamp, ttl } = self.told[index];
        let cell = &self.cells.0[index];
        let info = packet_info?;
        Some(Received {
            bytes: &cell.bytes[..length],
            source: SocketAddr::new(from_in_addr(cell.address.sin_addr).into(), u16::from_be(cell.address.sin_port)),
            local: from_in_addr(info.ipi_addr).into(),
            ifindex: info.ipi_ifindex.unsigned_abs(),
            stamp_wall_us: stamp.map(|stamp| stamp.tv_sec * 1_000_000 + stamp.tv_nsec / 1_000),
            ttl,
        })
    }
}

/// Finds length, packet info and arrival stamp in what the kernel wrote.
fn read_header(header: &libc::mmsghdr) -> ControlData {
    let mut told = ControlData {
        length: (header.msg_len as usize).min(Liveness::PACKET_LEN),
        packet_info: None,
        stamp: None,
        ttl: None,
    };
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
                told.packet_info = Some(unsafe { ptr::read_unaligned(data.cast::<libc::in_pktinfo>()) });
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: a message of this kind carries one timespec, at no particular alignment.
                told.stamp = Some(unsafe { ptr::read_unaligned(data.cast::<libc::timespec>()) });
            }
            (libc::IPPROTO_IP, libc::IP_TTL) => {
                // SAFETY: a message of this kind carries one int, at no particular alignment.
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
