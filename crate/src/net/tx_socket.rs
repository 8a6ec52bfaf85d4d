//! The sending side of a socket: packets with their source and their way, a batch at a time.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::net::batch_calls::sendmmsg;
use crate::net::cells::{Cells, to_in_addr};
use crate::net::socket_options::{SK_MEMINFO_WMEM_ALLOC, memory};
use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// What one datagram of this size takes of the send buffer until it has left, rounded up (measured: 832 bytes).
pub const TX_CHARGE: usize = 1024;

/// For each session the send buffer has room for so many datagrams. A session that is Down sends about one a second, and
/// one that waits for its neighbour's address is given up by the kernel after three seconds.
const TX_BUFFER_DATAGRAMS: usize = 8;
const TX_BUFFER_MIN: usize = 4 << 20;
const TX_BUFFER_MAX: usize = 256 << 20;

/// Room for IP_PKTINFO, with its header, in words for its alignment.
const TX_CONTROL_WORDS: usize = 4;

/// A datagram to send, and the way that it goes.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// The payload.
    pub bytes: [u8; Liveness::PACKET_LEN],
    /// Who is to receive it.
    pub destination: SocketAddr,
    /// The source address.
    pub source: IpAddr,
    /// The index of the egress interface.
    pub ifindex: u32,
}

/// How much room the send buffer has, and how much of it is taken, in bytes: by datagrams that wait for their neighbours'
/// addresses, in the queue of a device, or for the device to be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendBuffer {
    /// How many bytes there may be.
    pub size: usize,
    /// How many bytes wait.
    pub used: usize,
}

/// What datagrams leave by.
pub trait Wire {
    /// Sends what it can of `packets`, in order, and gives how many are dealt with: the rest has to wait until there is
    /// room. A packet that is refused is reported by its index and skipped.
    fn send(&mut self, packets: &[Outgoing], refused: impl FnMut(usize, Errno)) -> usize;

    /// The send buffer as it is now.
    fn send_buffer(&self) -> SendBuffer;
}

/// The sending side of a socket.
pub struct TxSocket {
    fd: Arc<OwnedFd>,
    /// The size of the send buffer.
    buffer: usize,
    batch: TxBatch,
}

impl TxSocket {
    pub(super) fn new(fd: Arc<OwnedFd>) -> nix::Result<Self> {
        let buffer = getsockopt(&fd, sockopt::SndBuf)?;
        Ok(Self { fd, buffer, batch: TxBatch::new() })
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
        if wanted > self.buffer {
            // The kernel doubles what is asked for: socket(7).
            if setsockopt(&self.fd, sockopt::SndBufForce, &(wanted / 2)).is_err() {
                setsockopt(&self.fd, sockopt::SndBuf, &(wanted / 2))?;
            }
            self.buffer = getsockopt(&self.fd, sockopt::SndBuf)?;
        }
        Ok(self.buffer)
    }
}

impl Wire for TxSocket {
    fn send(&mut self, packets: &[Outgoing], mut refused: impl FnMut(usize, Errno)) -> usize {
        let mut done = 0;
        while done < packets.len() {
            match self.batch.flush(self.fd.as_fd(), &packets[done..]) {
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
        SendBuffer { size: self.buffer, used: memory(self.fd.as_fd())[SK_MEMINFO_WMEM_ALLOC] as usize }
    }
}

struct TxBatch(Cells<TX_CONTROL_WORDS>);

impl TxBatch {
    fn new() -> Self {
        Self(Cells::new())
    }

    fn flush(&mut self, fd: BorrowedFd<'_>, packets: &[Outgoing]) -> nix::Result<usize> {
        let mut count = 0;
        for (cell, packet) in self.0.0.iter_mut().zip(packets) {
            let Some((_, peer)) = ipv4_ends(packet) else { break };
            cell.bytes = packet.bytes;
            cell.address.sin_port = packet.destination.port().to_be();
            cell.address.sin_addr = to_in_addr(peer);
            count += 1;
        }
        if count == 0 {
            return Err(Errno::EAFNOSUPPORT);
        }
        self.0.with_headers(|headers| {
            for (header, packet) in headers[..count].iter_mut().zip(packets) {
                if let Some((source, _)) = ipv4_ends(packet) {
                    put_packet_info(&mut header.msg_hdr, source, packet.ifindex);
                }
            }
            let from = headers.as_mut_ptr();
            // SAFETY: the first `count` headers point to the address, the bytes and the control memory of their
            // cells, with their true sizes; the cells outlive the call and nobody else looks at them meanwhile.
            let sent = unsafe { sendmmsg(fd.as_raw_fd(), from, count as u32, libc::MSG_DONTWAIT) };
            Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
        })
    }
}

/// Source and destination of a packet; `None` where they are not of IPv4, which is all that this socket speaks.
fn ipv4_ends(packet: &Outgoing) -> Option<(Ipv4Addr, Ipv4Addr)> {
    match (packet.source, packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(peer)) => Some((source, peer)),
        _ => None,
    }
}

/// Writes source address and egress interface into the control memory of a message.
fn put_packet_info(header: &mut libc::msghdr, source: Ipv4Addr, ifindex: u32) {
    let info = libc::in_pktinfo {
        ipi_ifindex: ifindex.cast_signed(),
        ipi_spec_dst: to_in_addr(source),
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
