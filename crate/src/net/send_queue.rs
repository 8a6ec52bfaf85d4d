//! Packets that wait for the socket, in their order.
//!
//! All sessions share one send buffer. A packet stays in it until it has left the host; one whose neighbour does not answer
//! ARP stays for seconds. Packets of sessions that are Down may fill half of the buffer, and never wait: each is sent at once
//! or given up, since its session sends another soon. The other half is for sessions that are Init or Up.

use std::collections::VecDeque;

use crate::engine::stats::{EndpointId, Stats};
use crate::net::cells::BATCH;
use crate::net::send_faults::SendFaults;
use crate::net::tx_socket::{Outgoing, Wire};
use crate::protocol::time::Time;

/// A socket that is full is tried again after this.
const RETRY_US: u64 = 1_000;

/// Packets, and what each is counted for.
#[derive(Debug)]
struct Lane<Bytes> {
    packets: VecDeque<Outgoing<Bytes>>,
    endpoints: VecDeque<EndpointId>,
}

impl<Bytes> Lane<Bytes> {
    fn new() -> Self {
        Self { packets: VecDeque::new(), endpoints: VecDeque::new() }
    }

    fn put(&mut self, packet: Outgoing<Bytes>, endpoint: EndpointId) {
        self.endpoints.push_back(endpoint);
        self.packets.push_back(packet);
    }

    fn drop_first(&mut self) -> Option<EndpointId> {
        self.packets.pop_front();
        self.endpoints.pop_front()
    }

    /// Sends the first packets, at most so many, and counts them. False where the socket took fewer.
    fn send(&mut self, most: usize, wire: &mut impl Wire<Bytes>, stats: &mut Stats, faults: &mut SendFaults) -> bool {
        let packets = self.packets.as_slices().0;
        let packets = &packets[..most.min(packets.len())];
        let offered = packets.len();
        let mut refused = Vec::new();
        let done = wire.send(packets, |at, errno| {
            faults.refused(errno, packets[at].destination);
            refused.push(at);
        });
        for endpoint in self.endpoints.iter().take(done) {
            stats.at(*endpoint).tx += 1;
        }
        for at in refused {
            let counters = stats.at(self.endpoints[at]);
            counters.tx -= 1;
            counters.write_errors += 1;
        }
        self.endpoints.drain(..done);
        self.packets.drain(..done);
        done == offered
    }
}

/// Packets that wait for the socket.
#[derive(Debug)]
pub(crate) struct SendQueue<Bytes> {
    /// Of sessions that are Up or Init.
    live: Lane<Bytes>,
    /// Of sessions that are Down or AdminDown; empty between two flushes.
    probes: Lane<Bytes>,
    most: usize,
    retry_at: Option<Time>,
    faults: SendFaults,
    times_full: u64,
}

impl<Bytes> SendQueue<Bytes> {
    /// An empty one, which keeps no more than `most`.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        Self {
            live: Lane::new(),
            probes: Lane::new(),
            most,
            retry_at: None,
            faults: SendFaults::default(),
            times_full: 0,
        }
    }

    /// When a socket that was full is to be tried again.
    #[must_use]
    pub(crate) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// How often there was no room for a packet.
    #[must_use]
    pub(crate) fn times_full(&self) -> u64 {
        self.times_full
    }

    /// The packets that could not be sent, for the log.
    pub(crate) fn faults(&mut self) -> &mut SendFaults {
        &mut self.faults
    }

    /// Puts in a packet of a session that is Up or Init, behind the others. Where there are too many, the oldest is given
    /// up: gives what it counted for.
    pub(crate) fn put(&mut self, packet: Outgoing<Bytes>, endpoint: EndpointId) -> Option<EndpointId> {
        let stale = if self.live.packets.len() >= self.most { self.live.drop_first() } else { None };
        self.live.put(packet, endpoint);
        stale
    }

    /// Puts in a packet of a session that is Down or AdminDown.
    pub(crate) fn put_probe(&mut self, packet: Outgoing<Bytes>, endpoint: EndpointId) {
        self.probes.put(packet, endpoint);
    }

    /// Sends what the socket takes, and counts it.
    pub(crate) fn flush(&mut self, now: Time, wire: &mut impl Wire<Bytes>, stats: &mut Stats) {
        if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            self.send_live(now, wire, stats);
        }
        if !self.probes.packets.is_empty() {
            self.send_probes(wire, stats);
        }
    }

    fn send_live(&mut self, now: Time, wire: &mut impl Wire<Bytes>, stats: &mut Stats) {
        while !self.live.packets.is_empty() {
            // Where the memory wraps around the rest follows in the next round.
            if !self.live.send(usize::MAX, wire, stats, &mut self.faults) {
                stats.at(self.live.endpoints[0]).write_errors += 1;
                self.faults.blocked(wire.send_buffer());
                self.times_full += 1;
                self.retry_at = Some(now.plus(RETRY_US));
                return;
            }
        }
    }

    /// Sends probes while less than half of the send buffer is taken, and gives the others up.
    fn send_probes(&mut self, wire: &mut impl Wire<Bytes>, stats: &mut Stats) {
        while self.retry_at.is_none() && !self.probes.packets.is_empty() {
            let room = wire.room_for_probes();
            if room == 0 || !self.probes.send(room.min(BATCH), wire, stats, &mut self.faults) {
                break;
            }
        }
        if self.probes.packets.is_empty() {
            return;
        }
        self.times_full += 1;
        self.faults.held_back(wire.send_buffer(), self.probes.packets.len() as u64);
        while let Some(endpoint) = self.probes.drop_first() {
            stats.at(endpoint).dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use nix::errno::Errno;

    use super::*;
    use crate::engine::stats::LocalEndpoint;
    use crate::net::tx_socket::{SendBuffer, TX_CHARGE};
    use crate::protocol::liveness::packet::PACKET_LEN;

    /// Packets to addresses that end in an odd number wait for their neighbour, the others leave at once.
    struct Link {
        room: usize,
        waiting: usize,
        left: Vec<u8>,
    }

    type Bytes = [u8; PACKET_LEN];

    impl Wire<Bytes> for Link {
        fn send(&mut self, packets: &[Outgoing<Bytes>], _: impl FnMut(usize, Errno)) -> usize {
            for (at, packet) in packets.iter().enumerate() {
                if self.waiting >= self.room {
                    return at;
                }
                let last = last_byte(packet.destination.ip());
                if last % 2 == 1 { self.waiting += 1 } else { self.left.push(last) }
            }
            packets.len()
        }

        fn send_buffer(&self) -> SendBuffer {
            SendBuffer { size: self.room * TX_CHARGE, used: self.waiting * TX_CHARGE }
        }

        fn room_for_probes(&self) -> usize {
            (self.room / 2).saturating_sub(self.waiting)
        }
    }

    fn last_byte(address: IpAddr) -> u8 {
        let IpAddr::V4(address) = address else { panic!("{address} is not of IPv4") };
        address.octets()[3]
    }

    fn packet(last: u8) -> Outgoing<Bytes> {
        let destination = SocketAddr::new(Ipv4Addr::new(10, 0, 0, last).into(), 1);
        Outgoing { bytes: [0; PACKET_LEN], destination, source: Ipv4Addr::LOCALHOST.into(), source_port: 0, ifindex: 1 }
    }

    fn stats() -> (Stats, EndpointId) {
        let mut stats = Stats::default();
        let endpoint = stats.endpoint(LocalEndpoint::OTHER);
        (stats, endpoint)
    }

    #[test]
    fn packets_of_down_sessions_whose_neighbours_are_dead_leave_half_of_the_send_buffer_to_live_sessions() {
        let (mut stats, endpoint) = stats();
        let mut send_queue = SendQueue::new(100);
        let mut link = Link { room: 16, waiting: 0, left: Vec::new() };
        for round in 0..10 {
            for _ in 0..5 {
                send_queue.put_probe(packet(1), endpoint);
            }
            send_queue.put(packet(2), endpoint);
            send_queue.flush(Time::from_micros(round), &mut link, &mut stats);
            assert_eq!(send_queue.retry_at(), None);
        }
        assert_eq!((link.waiting, link.left.len()), (8, 10));
        let counters = stats.at(endpoint);
        assert_eq!((counters.tx, counters.dropped, counters.write_errors), (18, 42, 0));
        assert_eq!(send_queue.times_full(), 9);
        let told: Vec<_> = send_queue.faults().report(Time::from_micros(1)).collect();
        assert_eq!((told.len(), told[0].code.as_str()), (1, "ERR_SEND_BUFFER_FULL"));
    }

    #[test]
    fn a_packet_of_an_up_session_that_finds_the_buffer_full_is_sent_a_millisecond_later_and_reported() {
        let (mut stats, endpoint) = stats();
        let mut send_queue = SendQueue::new(100);
        let mut link = Link { room: 4, waiting: 4, left: Vec::new() };
        send_queue.put(packet(2), endpoint);
        send_queue.flush(Time::from_micros(10), &mut link, &mut stats);
        assert_eq!(send_queue.retry_at(), Some(Time::from_micros(1_010)));
        send_queue.put_probe(packet(4), endpoint);
        link.waiting = 0;
        send_queue.flush(Time::from_micros(500), &mut link, &mut stats);
        assert!(link.left.is_empty(), "a probe does not overtake what waits for a live session");
        send_queue.flush(Time::from_micros(1_010), &mut link, &mut stats);
        assert_eq!((link.left.as_slice(), send_queue.retry_at()), ([2].as_slice(), None));
        let told: Vec<_> = send_queue.faults().report(Time::from_micros(2_000)).collect();
        assert_eq!(told.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["ERR_SEND_BUFFER_FULL"; 2]);
    }
}
