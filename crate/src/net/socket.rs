//! The UDP socket: packet info both ways, arrival stamps, batches.

use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, getsockopt, setsockopt, socket, sockopt,
};

use crate::protocol::liveness::packet::PACKET_LEN;

/// Datagrams per system call, either way.
pub const BATCH: usize = 64;

/// Class selector 6, network control: liveness packets go before the traffic that they speak for.
const TOS_NETWORK_CONTROL: i32 = 0xC0;

/// The highest there is: a receiver may ask for it, to hear neighbours only (RFC 5082 §3).
const TTL: i32 = 255;

/// What one queued datagram of this size costs of the kernel's receive buffer, rounded up.
const RX_BUFFER_PER_DATAGRAM: usize = 1024;
const RX_BUFFER_MIN: usize = 1 << 20;
const RX_BUFFER_MAX: usize = 64 << 20;

/// What one datagram of this size takes of the send buffer until it has left, rounded up (measured: 832 bytes).
pub const TX_CHARGE: usize = 1024;

/// For each session the send buffer has room for so many datagrams. A session that is Down sends about one a second, and
/// one that waits for its neighbour's address is given up by the kernel after three seconds.
const TX_BUFFER_DATAGRAMS: usize = 8;
const TX_BUFFER_MIN: usize = 4 << 20;
const TX_BUFFER_MAX: usize = 256 << 20;

/// linux/sock_diag.h: what SO_MEMINFO tells, of which these are the third and the ninth.
const SK_MEMINFO_VARS: usize = 9;
const SK_MEMINFO_WMEM_ALLOC: usize = 2;
const SK_MEMINFO_DROPS: usize = 8;

/// Room for IP_PKTINFO, SCM_TIMESTAMPNS and IP_TTL, each with its header, in words for their alignment.
const RX_CONTROL_WORDS: usize = 11;
/// Room for IP_PKTINFO.
const TX_CONTROL_WORDS: usize = 4;

/// Gives what a socket sends the mark of network control.
fn mark(socket: &impl AsFd) -> nix::Result<()> {
    setsockopt(socket, sockopt::Ipv4Tos, &TOS_NETWORK_CONTROL)
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

/// A datagram as the kernel handed it over.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its first 40 bytes: nothing that follows them counts.
    pub bytes: &'a [u8],
    pub source: SocketAddrV4,
    /// The destination address of the datagram.
    pub local: Ipv4Addr,
    pub ifindex: u32,
    /// When it arrived, in microseconds of the wall clock.
    pub stamp_wall_us: Option<i64>,
    /// Its TTL, where `tell_ttl` has asked for it.
    pub ttl: Option<u8>,
}

/// A datagram to send, and the way that it goes.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub bytes: [u8; PACKET_LEN],
    pub destination: SocketAddrV4,
    pub source: Ipv4Addr,
    pub ifindex: u32,
}

/// How much room the send buffer has, and how much of it is taken, in bytes: by datagrams that wait for their neighbours'
/// addresses, in the queue of a device, or for the device to be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendBuffer {
    pub size: usize,
    pub used: usize,
}

/// What datagrams leave by.
pub trait Wire {
    /// Sends what it can of `packets`, in order, and gives how many are dealt with: the rest has to wait until there is
    /// room. A packet that is refused is reported by its index and skipped.
    fn send(&mut self, packets: &[Outgoing], refused: impl FnMut(usize, Errno)) -> usize;

    fn send_buffer(&self) -> SendBuffer;
}

/// A bound, non-blocking IPv4 UDP socket.
pub struct UdpSocket {
    fd: OwnedFd,
    tx_buffer: usize,
    rx: RxBatch,
    tx: TxBatch,
}

impl UdpSocket {
    /// Binds to `address` and gets ready for about `sessions` peers.
    ///
    /// # Errors
    /// What the system says: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, …
    pub fn bind(address: SocketAddrV4, sessions: usize) -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
        mark(&fd)?;
        set_option(&fd, libc::IPPROTO_IP, libc::IP_TTL, TTL)?;
        let buffer = (2 * sessions * RX_BUFFER_PER_DATAGRAM).clamp(RX_BUFFER_MIN, RX_BUFFER_MAX);
        // Beyond the host's limit only with CAP_NET_ADMIN; up to it otherwise.
        if setsockopt(&fd, sockopt::RcvBufForce, &buffer).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &buffer)?;
        }
        bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
        let tx_buffer = getsockopt(&fd, sockopt::SndBuf)?;
        Ok(Self { fd, tx_buffer, rx: RxBatch::new(), tx: TxBatch::new() })
    }

    /// How large the send buffer has to be for so many sessions, in bytes.
    #[must_use]
    pub fn send_buffer_for(sessions: usize) -> usize {
        (sessions * TX_BUFFER_DATAGRAMS * TX_CHARGE).min(TX_BUFFER_MAX)
    }

    /// Makes the send buffer large enough for so many sessions, and gives the size that the system grants: beyond the
    /// host's limit only with CAP_NET_ADMIN. It never becomes smaller.
    ///
    /// # Errors
    /// None that a UDP socket is known to give.
    pub fn fit_send_buffer(&mut self, sessions: usize) -> nix::Result<usize> {
        // By doubling, so that sessions which are added one by one cost few calls.
        let wanted = Self::send_buffer_for(sessions).next_power_of_two().max(TX_BUFFER_MIN);
        if wanted > self.tx_buffer {
            // The kernel doubles what is asked for: socket(7).
            if setsockopt(&self.fd, sockopt::SndBufForce, &(wanted / 2)).is_err() {
                setsockopt(&self.fd, sockopt::SndBuf, &(wanted / 2))?;
            }
            self.tx_buffer = getsockopt(&self.fd, sockopt::SndBuf)?;
        }
        Ok(self.tx_buffer)
    }

    /// Has the kernel tell the TTL of each datagram that comes from now on.
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
        getsockname::<SockaddrIn>(self.fd.as_raw_fd()).map(SocketAddrV4::from)
    }

    /// Reads up to `BATCH` datagrams, and gives how many there were. Fewer than `BATCH` means that the socket was
    /// empty.
    ///
    /// # Errors
    /// What the system says, but for an empty socket, which is no error.
    pub fn receive(&mut self) -> nix::Result<usize> {
        match self.rx.fill(self.fd.as_fd()) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            result => result,
        }
    }

    /// The datagrams of the last `receive`, in the order of their arrival.
    pub fn received(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.rx.told.len()).filter_map(|index| self.rx.datagram(index))
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
        self.memory()[SK_MEMINFO_DROPS]
    }

    /// What the kernel says of the socket's memory; zeros where it says nothing.
    fn memory(&self) -> [u32; SK_MEMINFO_VARS] {
        let mut info = [0u32; SK_MEMINFO_VARS];
        let mut length = mem::size_of_val(&info) as libc::socklen_t;
        // SAFETY: `info` is writable for `length` bytes, and both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 { info } else { [0; SK_MEMINFO_VARS] }
    }

    /// One that cannot be read: its descriptor is no socket.
    #[cfg(test)]
    pub fn broken() -> Self {
        let fd = nix::sys::eventfd::EventFd::new().unwrap().into();
        Self { fd, tx_buffer: 0, rx: RxBatch::new(), tx: TxBatch::new() }
    }
}

impl Wire for UdpSocket {
    fn send(&mut self, packets: &[Outgoing], mut refused: impl FnMut(usize, Errno)) -> usize {
        let mut done = 0;
        while done < packets.len() {
            match self.tx.flush(self.fd.as_fd(), &packets[done..]) {
                Ok(sent) => done += sent,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                Err(errno) => {
                    // sendmmsg stops at the first message that fails, and that is the first of this call.
                    refused(done, errno);
                    done += 1;
                }
            }
        }
        done
    }

    fn send_buffer(&self) -> SendBuffer {
        SendBuffer { size: self.tx_buffer, used: self.memory()[SK_MEMINFO_WMEM_ALLOC] as usize }
    }
}

impl From<UdpSocket> for OwnedFd {
    fn from(socket: UdpSocket) -> Self {
        socket.fd
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets an option that no wrapper knows; `T` is the C type that it takes.
fn set_option<T: Copy>(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: T) -> nix::Result<()> {
    let length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `length` bytes, and outlives the call, which keeps nothing of it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    Errno::result(result).map(drop)
}

/// One message's worth of memory that the kernel writes to or reads from.
struct Cell<const CONTROL: usize> {
    address: libc::sockaddr_in,
    control: [u64; CONTROL],
    bytes: [u8; PACKET_LEN],
}

/// The memory of a batch, reused for every call. The headers that point into it are made anew each time: that
/// costs little beside the call, and no pointer outlives the borrow that it comes from.
struct Cells<const CONTROL: usize>(Box<[Cell<CONTROL>]>);

impl<const CONTROL: usize> Cells<CONTROL> {
    fn new() -> Self {
        let blank = || Cell {
            address: libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: 0 },
                sin_zero: [0; 8],
            },
            control: [0; CONTROL],
            bytes: [0; PACKET_LEN],
        };
        Self((0..BATCH).map(|_| blank()).collect())
    }

    /// Shows headers that point into the cells, one each.
    fn with_headers<T>(&mut self, call: impl FnOnce(&mut [libc::mmsghdr; BATCH]) -> T) -> T {
        // SAFETY: all-zero bytes are valid vectors: null pointers and lengths of zero.
        let mut vectors: [libc::iovec; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: all-zero bytes are valid headers, for the same reason.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        for ((header, vector), cell) in headers.iter_mut().zip(&mut vectors).zip(&mut self.0) {
            *vector = libc::iovec { iov_base: cell.bytes.as_mut_ptr().cast(), iov_len: PACKET_LEN };
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

/// What the kernel told of one datagram beside its bytes.
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
            let count =
                unsafe { libc::recvmmsg(fd.as_raw_fd(), to, BATCH as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
            let count = Errno::result(count)?.unsigned_abs() as usize;
            told.extend(headers[..count].iter().map(read_header));
            Ok(count)
        })
    }

    /// The datagram at `index` of the last `fill`; `None` where the kernel told too little to use it.
    fn datagram(&self, index: usize) -> Option<Received<'_>> {
        let ControlData { length, packet_info, stamp, ttl } = self.told[index];
        let cell = &self.cells.0[index];
        let info = packet_info?;
        Some(Received {
            bytes: &cell.bytes[..length],
            source: SocketAddrV4::new(from_in_addr(cell.address.sin_addr), u16::from_be(cell.address.sin_port)),
            local: from_in_addr(info.ipi_addr),
            ifindex: info.ipi_ifindex.unsigned_abs(),
            stamp_wall_us: stamp.map(|stamp| stamp.tv_sec * 1_000_000 + stamp.tv_nsec / 1_000),
            ttl,
        })
    }
}

/// Finds length, packet info and arrival stamp in what the kernel wrote.
fn read_header(header: &libc::mmsghdr) -> ControlData {
    let mut told =
        ControlData { length: (header.msg_len as usize).min(PACKET_LEN), packet_info: None, stamp: None, ttl: None };
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

struct TxBatch(Cells<TX_CONTROL_WORDS>);

impl TxBatch {
    fn new() -> Self {
        Self(Cells::new())
    }

    fn flush(&mut self, fd: BorrowedFd<'_>, packets: &[Outgoing]) -> nix::Result<usize> {
        let count = packets.len().min(BATCH);
        for (cell, packet) in self.0.0.iter_mut().zip(packets) {
            cell.bytes = packet.bytes;
            cell.address.sin_port = packet.destination.port().to_be();
            cell.address.sin_addr = to_in_addr(*packet.destination.ip());
        }
        self.0.with_headers(|headers| {
            for (header, packet) in headers.iter_mut().zip(packets) {
                put_packet_info(&mut header.msg_hdr, packet);
            }
            let from = headers.as_mut_ptr();
            // SAFETY: the first `count` headers point to the address, the bytes and the control memory of their
            // cells, with their true sizes; the cells outlive the call and nobody else looks at them meanwhile.
            let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), from, count as u32, libc::MSG_DONTWAIT) };
            Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
        })
    }
}

/// Writes source address and egress interface into the control memory of a message.
fn put_packet_info(header: &mut libc::msghdr, packet: &Outgoing) {
    let info = libc::in_pktinfo {
        ipi_ifindex: packet.ifindex.cast_signed(),
        ipi_spec_dst: to_in_addr(packet.source),
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    // SAFETY: msg_control points to TX_CONTROL_WORDS words of the message's cell, room for one header and one
    // in_pktinfo, so the address is not null.
    let message = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: `message` is that header, aligned since the control memory is made of words.
    let message = unsafe { &mut *message };
    message.cmsg_level = libc::IPPROTO_IP;
    message.cmsg_type = libc::IP_PKTINFO;
    // SAFETY: computes a length from a length.
    message.cmsg_len = unsafe { libc::CMSG_LEN(mem::size_of_val(&info) as u32) } as _;
    // SAFETY: computes the address behind the header.
    let data = unsafe { libc::CMSG_DATA(message) };
    // SAFETY: there is room for one in_pktinfo behind the header, at no particular alignment.
    unsafe { ptr::write_unaligned(data.cast(), info) };
}

fn from_in_addr(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

fn to_in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}
