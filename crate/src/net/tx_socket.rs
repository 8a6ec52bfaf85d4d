//! The sending side of a socket: packets with their source and their way, a batch at a time.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use crate::net::batch_calls::sendmmsg;
use crate::net::cells::{BATCH, Cells};
use crate::net::packet_info::{TX_CONTROL_WORDS, put_packet_info};
use crate::net::socket_address::{Family, SocketAddress};
use crate::net::socket_options::{SK_MEMINFO_WMEM_ALLOC, memory};
use crate::net::udp_header::{UDP_HEADER_LEN, put_datagram};
use crate::protocol::bfd::packet::LONGEST;

/// What one datagram of this size takes of the send buffer until it has left, rounded up (measured: 832 bytes).
pub const TX_CHARGE: usize = 1024;

/// For each session the send buffer has room for so many datagrams. A session that is Down sends about one a second, and
/// one that waits for its neighbour's address is given up by the kernel after three seconds.
const TX_BUFFER_DATAGRAMS: usize = 8;
const TX_BUFFER_MIN: usize = 4 << 20;
const TX_BUFFER_MAX: usize = 256 << 20;

/// The most bytes of a message: the longest packet of any protocol, with its UDP header where that is ours.
const TX_BYTES: usize = UDP_HEADER_LEN + LONGEST;

/// A datagram to send, and the way that it goes.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<Bytes> {
    /// The payload: a packet.
    pub bytes: Bytes,
    /// Who is to receive it.
    pub destination: SocketAddr,
    /// The source address, of the same family.
    pub source: IpAddr,
    /// The source port, where the wire has several.
    pub source_port: u16,
    /// The index of the egress interface; 0 lets the routing table choose.
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
pub trait Wire<Bytes> {
    /// Sends what it can of `packets`, in order, and gives how many are dealt with: the rest has to wait until there is
    /// room. A packet that is refused is reported by its index and skipped.
    fn send(&mut self, packets: &[Outgoing<Bytes>], refused: impl FnMut(usize, Errno)) -> usize;

    /// The send buffer as it is now; where each session has one, that of any of them, as if it were empty.
    fn send_buffer(&self) -> SendBuffer;

    /// How many packets of sessions that are Down may be sent now. They fill half of a send buffer that all sessions share.
    fn room_for_probes(&self) -> usize;
}

/// The sending side of a socket.
pub struct TxSocket {
    fd: Arc<OwnedFd>,
    /// The size of the send buffer.
    buffer: usize,
    batch: TxBatch,
}

impl TxSocket {
    pub(super) fn new(fd: Arc<OwnedFd>, family: Family) -> nix::Result<Self> {
        let buffer = getsockopt(&fd, sockopt::SndBuf)?;
        Ok(Self { fd, buffer, batch: TxBatch::new(family, BATCH) })
    }

    /// Of a raw socket, which sends from any port.
    pub(super) fn of_all_ports(fd: OwnedFd, family: Family) -> nix::Result<Self> {
        let socket = Self::new(Arc::new(fd), family)?;
        Ok(Self { batch: TxBatch { writes_header: true, ..socket.batch }, ..socket })
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        self.batch.family
    }

    /// How large the send buffer has to be for so many sessions, in bytes.
    #[must_use]
    pub fn send_buffer_for(sessions: usize) -> usize {
        (sessions * TX_BUFFER_DATAGRAMS * TX_CHARGE).min(TX_BUFFER_MAX)
    }

    /// As `fit_send_buffer`: the size that is needed, and the size that there is.
    pub(super) fn fit(&mut self, sessions: usize) -> (usize, usize) {
        (Self::send_buffer_for(sessions), self.fit_send_buffer(sessions).unwrap_or(self.buffer))
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

impl<Bytes: AsRef<[u8]>> Wire<Bytes> for TxSocket {
    fn send(&mut self, packets: &[Outgoing<Bytes>], mut refused: impl FnMut(usize, Errno)) -> usize {
        let mut done = 0;
        while done < packets.len() {
            match self.batch.send(self.fd.as_fd(), &packets[done..]) {
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

    fn room_for_probes(&self) -> usize {
        let SendBuffer { size, used } = Wire::<Bytes>::send_buffer(self);
        (size / 2).saturating_sub(used) / TX_CHARGE
    }
}

/// The memory of messages to send.
pub(super) struct TxBatch {
    cells: Cells<TX_CONTROL_WORDS, TX_BYTES>,
    family: Family,
    /// The UDP header is ours.
    writes_header: bool,
}

impl TxBatch {
    /// For sockets of one family, and so many messages in a call, at most `BATCH`.
    pub(super) fn new(family: Family, count: usize) -> Self {
        Self { cells: Cells::new(count), family, writes_header: false }
    }

    /// Sends the first packets in one system call, and gives how many.
    ///
    /// # Errors
    /// What the system says of the first packet; `EAFNOSUPPORT` where it is not of the family.
    pub(super) fn send<Bytes: AsRef<[u8]>>(
        &mut self,
        fd: BorrowedFd<'_>,
        packets: &[Outgoing<Bytes>],
    ) -> nix::Result<usize> {
        let Self { cells, family, writes_header } = self;
        let mut lengths = [0; BATCH];
        let mut count = 0;
        for (cell, packet) in cells.0.iter_mut().zip(packets) {
            let ends = [packet.source, packet.destination.ip()];
            if ends.map(Family::of) != [*family; 2] {
                break;
            }
            let mut destination = packet.destination;
            let bytes = packet.bytes.as_ref();
            if *writes_header {
                let source = SocketAddr::new(packet.source, packet.source_port);
                lengths[count] = put_datagram(&mut cell.bytes, source, destination, bytes);
                // A raw socket takes the port for the number of a protocol.
                destination.set_port(0);
            } else {
                cell.bytes[..bytes.len()].copy_from_slice(bytes);
                lengths[count] = bytes.len();
            }
            cell.address = SocketAddress::new(destination, packet.ifindex);
            count += 1;
        }
        if count == 0 {
            return Err(Errno::EAFNOSUPPORT);
        }
        cells.with_headers(
            family.address_len(),
            |index| lengths[index],
            |headers| {
                for (header, packet) in headers[..count].iter_mut().zip(packets) {
                    put_packet_info(&mut header.msg_hdr, packet.source, packet.ifindex);
                }
                let from = headers.as_mut_ptr();
                // SAFETY: the first `count` headers point to the address, the bytes and the control memory of their
                // cells, with their true sizes; the cells outlive the call and nobody else looks at them meanwhile.
                let sent = unsafe { sendmmsg(fd.as_raw_fd(), from, count as u32, libc::MSG_DONTWAIT) };
                Errno::result(sent).map(|sent| sent.unsigned_abs() as usize)
            },
        )
    }
}
