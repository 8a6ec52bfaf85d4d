//! A socket for each session, so that each session has a source port of its own (RFC 5881 §4), and what packets leave by.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use crate::net::socket::{bind_sender, open_for_all_ports};
use crate::net::socket_address::Family;
use crate::net::tx_socket::{Outgoing, SendBuffer, TX_CHARGE, TxBatch, TxSocket, Wire};

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

/// A socket for each session of a family, by port from `LAST_PORT` down: another daemon may count up from the first. It holds
/// the port; packets leave by it where `together` is not to be had.
pub struct SessionSockets {
    bound_to: IpAddr,
    family: Family,
    by_port: Vec<Option<SessionSocket>>,
    open: usize,
    /// The most sockets that are open at once.
    most: usize,
    /// Where the search for a port begins.
    next: usize,
    ttl: u8,
    tos: u8,
    /// All packets leave by this one, many in a system call.
    together: Option<TxSocket>,
    /// The memory of one message.
    batch: TxBatch,
}

impl SessionSockets {
    /// No socket of a session yet; each is bound to this address. `share` of these together use at most half of the descriptors
    /// that the process may have: it needs others.
    #[must_use]
    pub fn new(bound_to: IpAddr, share: usize, ttl: u8, tos: u8) -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
        let family = Family::of(bound_to);
        Self {
            bound_to,
            family,
            by_port: Vec::new(),
            open: 0,
            most: usize::try_from(limit / 2).unwrap_or(usize::MAX) / share.max(1),
            next: 0,
            ttl,
            tos,
            // Without CAP_NET_RAW there is none, and the socket of each session sends.
            together: open_for_all_ports(family, ttl, tos).ok(),
            batch: TxBatch::new(family, 1),
        }
    }

    /// A port for a new session, with a socket of its own if there is one to be had; else of the socket with the fewest
    /// sessions.
    ///
    /// # Errors
    /// What the system says where not even one socket can be opened.
    pub fn claim(&mut self) -> nix::Result<u16> {
        let opened = if self.open < self.most { self.open_next() } else { Err(Errno::EMFILE) };
        let index = opened.or_else(|errno| self.least_used().ok_or(errno))?;
        Ok(self.take(index))
    }

    /// This port for a session that had it before, where nobody else has it: RFC 5881 §4 has it constant. Otherwise as `claim`.
    ///
    /// # Errors
    /// As `claim`.
    pub fn claim_again(&mut self, port: u16) -> nix::Result<u16> {
        if port < FIRST_PORT {
            return self.claim();
        }
        let index = usize::from(LAST_PORT - port);
        let is_open = self.by_port.get(index).is_some_and(Option::is_some);
        if is_open || self.open < self.most && self.open_at(index).is_ok() {
            return Ok(self.take(index));
        }
        self.claim()
    }

    /// Takes back the port of a session that has ended.
    pub fn release(&mut self, port: u16) {
        let Some(place) = self.by_port.get_mut(usize::from(LAST_PORT - port)) else { return };
        let Some(socket) = place else { return };
        socket.sessions -= 1;
        if socket.sessions == 0 {
            *place = None;
            self.open -= 1;
        }
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many sockets of sessions are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Makes the send buffer that all share large enough for so many sessions. Where the system does not grant that, each sends by
    /// its own socket from now on, which has room for its packets.
    pub(super) fn fit_send_buffer(&mut self, sessions: usize) -> (usize, usize) {
        let shared = self.together.as_mut().map(|socket| socket.fit(sessions));
        self.keep_together(shared)
    }

    fn keep_together(&mut self, shared: Option<(usize, usize)>) -> (usize, usize) {
        let enough = shared.filter(|(needed, granted)| granted >= needed);
        if enough.is_none() {
            self.together = None;
        }
        enough.unwrap_or((TX_BUFFER, TX_BUFFER))
    }

    /// Opens a socket on the next port that nobody uses, and gives its index.
    fn open_next(&mut self) -> nix::Result<usize> {
        let ports = usize::from(LAST_PORT - FIRST_PORT) + 1;
        for _ in 0..ports {
            let index = self.next;
            self.next = (index + 1) % ports;
            if self.by_port.get(index).is_some_and(Option::is_some) {
                continue;
            }
            match self.open_at(index) {
                Ok(()) => return Ok(index),
                Err(Errno::EADDRINUSE) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EADDRINUSE)
    }

    fn open_at(&mut self, index: usize) -> nix::Result<()> {
        let address = SocketAddr::new(self.bound_to, LAST_PORT - index as u16);
        let fd = bind_sender(address, TX_BUFFER, self.ttl, self.tos)?;
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

    /// Sends by the socket of the session.
    fn send_one<Bytes: AsRef<[u8]>>(&mut self, packet: &Outgoing<Bytes>) -> nix::Result<()> {
        let index = usize::from(LAST_PORT - packet.source_port);
        let socket = self.by_port.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        loop {
            match self.batch.send(socket.fd.as_fd(), std::slice::from_ref(packet)) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

impl<Bytes: AsRef<[u8]>> Wire<Bytes> for SessionSockets {
    fn send(&mut self, packets: &[Outgoing<Bytes>], mut refused: impl FnMut(usize, Errno)) -> usize {
        if let Some(socket) = &mut self.together {
            return socket.send(packets, refused);
        }
        for (at, packet) in packets.iter().enumerate() {
            if let Err(errno) = self.send_one(packet) {
                refused(at, errno);
            }
        }
        packets.len()
    }

    fn send_buffer(&self) -> SendBuffer {
        let of_session = SendBuffer { size: TX_BUFFER, used: 0 };
        self.together.as_ref().map_or(of_session, Wire::<Bytes>::send_buffer)
    }

    fn room_for_probes(&self) -> usize {
        self.together.as_ref().map_or(usize::MAX, Wire::<Bytes>::room_for_probes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket as StdSocket};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use nix::sys::socket::{MsgFlags, recv};
    use nix::unistd::geteuid;

    use super::*;
    use crate::net::socket::bind_receiver;
    use crate::protocol::bfd::Bfd;

    const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

    /// That send by their own sockets, and, with the privilege to, by one.
    fn sockets_of(address: IpAddr) -> Vec<SessionSockets> {
        let together = SessionSockets::new(address, 1, 255, 0xC0);
        let each = SessionSockets { together: None, ..SessionSockets::new(address, 1, 255, 0xC0) };
        assert!(together.together.is_some() || !geteuid().is_root(), "root may open raw sockets");
        [each].into_iter().chain(Some(together).filter(|sockets| sockets.together.is_some())).collect()
    }

    fn sockets(most: usize) -> SessionSockets {
        SessionSockets { most, ..SessionSockets::new(Ipv4Addr::LOCALHOST.into(), 1, 255, 0xC0) }
    }

    fn packet(to: SocketAddr, source_port: u16) -> Outgoing<[u8; 24]> {
        Outgoing { bytes: [7; 24], destination: to, source: to.ip(), source_port, ifindex: 0 }
    }

    #[test]
    fn each_session_of_either_family_sends_from_a_port_of_its_own_in_the_range_of_rfc_5881() {
        for mut sockets in FAMILIES.into_iter().flat_map(sockets_of) {
            let peer = StdSocket::bind((sockets.bound_to, 0)).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let ports: Vec<u16> = (0..5).map(|_| sockets.claim().unwrap()).collect();
            assert!(ports.windows(2).all(|pair| pair[1] < pair[0]), "from the top down: {ports:?}");
            assert!(ports.iter().all(|port| *port >= FIRST_PORT));
            let used = [ports[0], ports[4], ports[0]];
            let to = peer.local_addr().unwrap();
            let sent = sockets.send(&used.map(|port| packet(to, port)), |_, errno| panic!("{errno}"));
            assert_eq!(sent, 3);
            for port in used {
                let mut bytes = [0; 64];
                let (length, from) = peer.recv_from(&mut bytes).unwrap();
                assert_eq!((&bytes[..length], from.port()), (&[7; 24][..], port));
            }
        }
    }

    #[test]
    fn a_packet_from_an_address_that_the_host_does_not_have_is_refused() {
        for mut sockets in FAMILIES.into_iter().flat_map(sockets_of) {
            let port = sockets.claim().unwrap();
            let to = SocketAddr::new(sockets.bound_to, 9);
            let foreign = match sockets.family() {
                Family::V4 => "198.51.100.7".parse().unwrap(),
                Family::V6 => "2001:db8::7".parse().unwrap(),
            };
            let mut refused = Vec::new();
            let packets = [Outgoing { source: foreign, ..packet(to, port) }, packet(to, port)];
            assert_eq!(sockets.send(&packets, |at, _| refused.push(at)), 2);
            assert_eq!(refused, [0]);
        }
    }

    #[test]
    fn a_shared_send_buffer_that_the_system_does_not_grant_is_given_up_for_one_of_each_session() {
        let mut sockets = sockets(100);
        assert_eq!(sockets.keep_together(Some((TX_BUFFER * 1_000, TX_BUFFER * 1_000))).0, TX_BUFFER * 1_000);
        assert_eq!(sockets.keep_together(Some((TX_BUFFER * 1_000, TX_BUFFER))), (TX_BUFFER, TX_BUFFER));
        assert_eq!(sockets.fit_send_buffer(2_000), (TX_BUFFER, TX_BUFFER));
        let peer = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = sockets.claim().unwrap();
        sockets.send(&[packet(peer.local_addr().unwrap(), port)], |_, errno| panic!("{errno}"));
        assert_eq!(peer.recv_from(&mut [0; 64]).unwrap().1.port(), port);
    }

    #[test]
    fn a_port_that_another_program_holds_is_left_alone() {
        let first = sockets(100).claim().unwrap();
        let _holder = StdSocket::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert!(sockets(100).claim().unwrap() < first);
    }

    #[test]
    fn sessions_share_ports_evenly_where_no_more_sockets_may_be_opened() {
        let mut sockets = sockets(2);
        let ports: Vec<u16> = (0..4).map(|_| sockets.claim().unwrap()).collect();
        assert_eq!(sockets.open(), 2);
        let uses = |port: u16| ports.iter().filter(|other| **other == port).count();
        assert_eq!((uses(ports[0]), uses(ports[1])), (2, 2));
        // A port stays while any of its sessions uses it.
        sockets.release(ports[0]);
        assert_eq!(sockets.open(), 2);
        sockets.release(ports[0]);
        assert_eq!(sockets.open(), 1);
        assert!(!ports.contains(&sockets.claim().unwrap()), "a port rests before it is used again");
    }

    #[test]
    fn packets_leave_with_ttl_255_and_what_comes_to_a_source_port_is_dropped() {
        for mut sockets in FAMILIES.into_iter().flat_map(sockets_of) {
            let mut receiver = bind_receiver::<Bfd>(SocketAddr::new(sockets.bound_to, 0), 1).unwrap();
            receiver.tell_ttl().unwrap();
            let to = receiver.local_addr().unwrap();
            let port = sockets.claim().unwrap();
            sockets.send(&[packet(to, port)], |_, errno| panic!("{errno}"));
            assert_eq!(receiver.receive().unwrap(), 1);
            let received = receiver.received().next().unwrap();
            assert_eq!((received.ttl, received.source.port(), received.local), (Some(255), port, to.ip()));
            StdSocket::bind((to.ip(), 0)).unwrap().send_to(&[1; 24], (to.ip(), port)).unwrap();
            let socket = sockets.by_port[usize::from(LAST_PORT - port)].as_ref().unwrap();
            assert_eq!(recv(socket.fd.as_raw_fd(), &mut [0; 64], MsgFlags::empty()), Err(Errno::EAGAIN));
        }
    }
}
