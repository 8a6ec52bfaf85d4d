//! A socket to send from for each session, so that each session has a source port of its own (RFC 5881 §4).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use crate::net::socket::bind_sender;
use crate::net::socket_address::Family;
use crate::net::tx_socket::{Outgoing, SendBuffer, TX_CHARGE, TxBatch, Wire};

/// RFC 5881 §4: the range of source ports.
const FIRST_PORT: u16 = 49_152;
const LAST_PORT: u16 = 65_535;

/// A neighbour that does not answer holds back so many packets of its session, and no packet of others.
const TX_BUFFER: usize = 8 * TX_CHARGE;

/// One socket, and how many sessions use it: more than one where the ports or the descriptors did not suffice.
struct SessionSocket {
    fd: OwnedFd,
    sessions: u32,
}

/// The sockets of one family, by port from `LAST_PORT` down: another daemon may count up from the first.
struct Sockets {
    bound_to: IpAddr,
    by_port: Vec<Option<SessionSocket>>,
    open: usize,
    batch: TxBatch,
    /// Where the search for a port begins.
    next: usize,
}

/// A socket to send from for each session, of both families.
pub struct SessionSockets {
    families: [Option<Sockets>; 2],
    /// The most sockets that are open at once.
    most: usize,
    ttl: u8,
    tos: u8,
}

impl SessionSockets {
    /// No socket yet; each is bound to the one of these addresses that is of its family. At most half of the descriptors that
    /// the process may have are used: the process needs others.
    #[must_use]
    pub fn new(addresses: &[IpAddr], ttl: u8, tos: u8) -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
        let most = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        let mut families = [None, None];
        for address in addresses {
            let family = Family::of(*address);
            families[family as usize] = Some(Sockets {
                bound_to: *address,
                by_port: Vec::new(),
                open: 0,
                batch: TxBatch::new(family, 1),
                next: 0,
            });
        }
        Self { families, most, ttl, tos }
    }

    /// A port for a new session to a peer, with a socket of its own if there is one to be had; else of the socket with the
    /// fewest sessions.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for a family without an address; what the system says where not even one socket can be opened.
    pub fn claim(&mut self, family: Family) -> nix::Result<u16> {
        let may_open = self.open() < self.most;
        let (ttl, tos) = (self.ttl, self.tos);
        let sockets = self.families[family as usize].as_mut().ok_or(Errno::EAFNOSUPPORT)?;
        let opened = if may_open { sockets.open_next(ttl, tos) } else { Err(Errno::EMFILE) };
        let index = opened.or_else(|errno| sockets.least_used().ok_or(errno))?;
        Ok(sockets.take(index))
    }

    /// This port for a session that had it before, where nobody else has it: RFC 5881 §4 has it constant. Otherwise as `claim`.
    ///
    /// # Errors
    /// As `claim`.
    pub fn claim_again(&mut self, family: Family, port: u16) -> nix::Result<u16> {
        let may_open = self.open() < self.most;
        let (ttl, tos) = (self.ttl, self.tos);
        let sockets = self.families[family as usize].as_mut().ok_or(Errno::EAFNOSUPPORT)?;
        if port < FIRST_PORT {
            return self.claim(family);
        }
        let index = usize::from(LAST_PORT - port);
        let is_open = sockets.by_port.get(index).is_some_and(Option::is_some);
        if is_open || may_open && sockets.open(index, ttl, tos).is_ok() {
            return Ok(sockets.take(index));
        }
        self.claim(family)
    }

    /// Takes back the port of a session that has ended.
    pub fn release(&mut self, family: Family, port: u16) {
        let Some(sockets) = self.families[family as usize].as_mut() else { return };
        let Some(place) = sockets.by_port.get_mut(usize::from(LAST_PORT - port)) else { return };
        let Some(socket) = place else { return };
        socket.sessions -= 1;
        if socket.sessions == 0 {
            *place = None;
            sockets.open -= 1;
        }
    }

    /// Whether there is an address of this family to send from.
    #[must_use]
    pub fn has_family(&self, family: Family) -> bool {
        self.families[family as usize].is_some()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.families.iter().flatten().map(|sockets| sockets.open).sum()
    }
}

impl Sockets {
    /// Opens a socket on the next port that nobody uses, and gives its index.
    fn open_next(&mut self, ttl: u8, tos: u8) -> nix::Result<usize> {
        let ports = usize::from(LAST_PORT - FIRST_PORT) + 1;
        for _ in 0..ports {
            let index = self.next;
            self.next = (index + 1) % ports;
            if self.by_port.get(index).is_some_and(Option::is_some) {
                continue;
            }
            match self.open(index, ttl, tos) {
                Ok(()) => return Ok(index),
                Err(Errno::EADDRINUSE) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EADDRINUSE)
    }

    fn open(&mut self, index: usize, ttl: u8, tos: u8) -> nix::Result<()> {
        let fd = bind_sender(SocketAddr::new(self.bound_to, LAST_PORT - index as u16), TX_BUFFER, ttl, tos)?;
        if self.by_port.len() <= index {
            self.by_port.resize_with(index + 1, || None);
        }
        self.by_port[index] = Some(SessionSocket { fd, sessions: 0 });
        self.open += 1;
        Ok(())
    }

    /// Counts a session of an open socket, and gives its port.
    fn take(&mut self, index: usize) -> u16 {
        if let Some(socket) = &mut self.by_port[index] {
            socket.sessions += 1;
        }
        LAST_PORT - index as u16
    }

    fn least_used(&self) -> Option<usize> {
        let used = |(index, place): (usize, &Option<SessionSocket>)| Some((place.as_ref()?.sessions, index));
        self.by_port.iter().enumerate().filter_map(used).min().map(|(_, index)| index)
    }
}

impl<Bytes: AsRef<[u8]>> Wire<Bytes> for SessionSockets {
    fn send(&mut self, packets: &[Outgoing<Bytes>], mut refused: impl FnMut(usize, Errno)) -> usize {
        for (at, packet) in packets.iter().enumerate() {
            if let Err(errno) = self.send_one(packet) {
                refused(at, errno);
            }
        }
        packets.len()
    }

    fn send_buffer(&self) -> SendBuffer {
        SendBuffer { size: TX_BUFFER, used: 0 }
    }

    fn room_for_probes(&self) -> usize {
        usize::MAX
    }
}

impl SessionSockets {
    fn send_one<Bytes: AsRef<[u8]>>(&mut self, packet: &Outgoing<Bytes>) -> nix::Result<()> {
        let family = Family::of(packet.destination.ip());
        let sockets = self.families[family as usize].as_mut().ok_or(Errno::EAFNOSUPPORT)?;
        let index = usize::from(LAST_PORT - packet.source_port);
        let socket = sockets.by_port.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        loop {
            match sockets.batch.send(socket.fd.as_fd(), std::slice::from_ref(packet)) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket as StdSocket};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use nix::sys::socket::{MsgFlags, recv};

    use super::*;
    use crate::net::socket::bind_receiver;
    use crate::protocol::bfd::Bfd;

    fn sockets(most: usize) -> SessionSockets {
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        SessionSockets { most, ..SessionSockets::new(&addresses, 255, 0xC0) }
    }

    fn packet(to: SocketAddr, source_port: u16) -> Outgoing<[u8; 24]> {
        Outgoing { bytes: [7; 24], destination: to, source: to.ip(), source_port, ifindex: 0 }
    }

    #[test]
    fn each_session_of_either_family_sends_from_a_port_of_its_own_in_the_range_of_rfc_5881() {
        let mut sockets = sockets(100);
        for (family, local) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
            let peer = StdSocket::bind((local, 0)).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let ports: Vec<u16> = (0..5).map(|_| sockets.claim(family).unwrap()).collect();
            assert!(ports.windows(2).all(|pair| pair[1] < pair[0]), "from the top down: {ports:?}");
            assert!(ports.iter().all(|port| *port >= FIRST_PORT));
            for port in [ports[0], ports[4], ports[0]] {
                let mut refused = Vec::new();
                sockets.send(&[packet(peer.local_addr().unwrap(), port)], |_, errno| refused.push(errno));
                assert_eq!(refused, []);
                let (length, from) = peer.recv_from(&mut [0; 64]).unwrap();
                assert_eq!((length, from.port()), (24, port));
            }
        }
    }

    #[test]
    fn a_port_that_another_program_holds_is_left_alone() {
        let first = sockets(100).claim(Family::V4).unwrap();
        let _holder = StdSocket::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert!(sockets(100).claim(Family::V4).unwrap() < first);
    }

    #[test]
    fn sessions_share_ports_evenly_where_no_more_sockets_may_be_opened() {
        let mut sockets = sockets(2);
        let ports: Vec<u16> = (0..4).map(|_| sockets.claim(Family::V4).unwrap()).collect();
        assert_eq!(sockets.open(), 2);
        let uses = |port: u16| ports.iter().filter(|other| **other == port).count();
        assert_eq!((uses(ports[0]), uses(ports[1])), (2, 2));
        // A port stays while any of its sessions uses it.
        sockets.release(Family::V4, ports[0]);
        assert_eq!(sockets.open(), 2);
        sockets.release(Family::V4, ports[0]);
        assert_eq!(sockets.open(), 1);
        assert!(!ports.contains(&sockets.claim(Family::V4).unwrap()), "a port rests before it is used again");
        assert_eq!(
            SessionSockets::new(&[Ipv4Addr::LOCALHOST.into()], 1, 0).claim(Family::V6),
            Err(Errno::EAFNOSUPPORT)
        );
    }

    #[test]
    fn packets_leave_with_ttl_255_and_what_comes_to_a_source_port_is_dropped() {
        let mut sockets = sockets(100);
        for (family, local) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            let mut receiver = bind_receiver::<Bfd>(local.parse().unwrap(), 1).unwrap();
            receiver.tell_ttl().unwrap();
            let to = receiver.local_addr().unwrap();
            let port = sockets.claim(family).unwrap();
            sockets.send(&[packet(to, port)], |_, errno| panic!("{errno}"));
            assert_eq!(receiver.receive().unwrap(), 1);
            let received = receiver.received().next().unwrap();
            assert_eq!((received.ttl, received.source.port(), received.local), (Some(255), port, to.ip()));
            StdSocket::bind((to.ip(), 0)).unwrap().send_to(&[1; 24], (to.ip(), port)).unwrap();
            let index = usize::from(LAST_PORT - port);
            let socket = sockets.families[family as usize].as_ref().unwrap().by_port[index].as_ref().unwrap();
            assert_eq!(recv(socket.fd.as_raw_fd(), &mut [0; 64], MsgFlags::empty()), Err(Errno::EAGAIN));
        }
    }
}
