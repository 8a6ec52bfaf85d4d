//! The send side of a simulated host's socket, and the addresses of hosts.

use std::collections::VecDeque;
use std::net::IpAddr;

use nix::errno::Errno;

use crate::engine::Path;
use crate::engine::stats::LinkId;
use crate::net::tx_socket::{Outgoing, SendBuffer, TX_CHARGE, Wire};
use crate::protocol::time::Time;
use crate::sim::network::HostId;

/// How long the kernel keeps a packet for a neighbour that does not answer: three ARP requests, one second apart.
const NEIGHBOUR_WAIT_US: u64 = 3_000_000;

/// The send side of the socket. A packet to a host that does not answer ARP waits in the send buffer until the kernel gives it
/// up.
pub(super) struct SimulatedWire<'a, S> {
    pub(super) now: Time,
    pub(super) room: usize,
    pub(super) unsent: &'a mut VecDeque<(Time, HostId)>,
    pub(super) send: &'a mut S,
}

impl<S: FnMut(HostId, u32, &[u8]) -> bool, B: AsRef<[u8]>> Wire<B> for SimulatedWire<'_, S> {
    fn send(&mut self, packets: &[Outgoing<B>], _: impl FnMut(usize, Errno)) -> usize {
        for (at, packet) in packets.iter().enumerate() {
            if self.unsent.len() >= self.room {
                return at;
            }
            let to = destination(packet);
            if !(self.send)(to, packet.ifindex, packet.bytes.as_ref()) {
                self.unsent.push_back((self.now.plus(NEIGHBOUR_WAIT_US), to));
            }
        }
        packets.len()
    }

    fn send_buffer(&self) -> SendBuffer {
        SendBuffer { size: self.room * TX_CHARGE, used: self.unsent.len() * TX_CHARGE }
    }

    fn room_for_probes(&self) -> usize {
        (self.room / 2).saturating_sub(self.unsent.len())
    }
}

/// The host that a packet goes to: `path_of` has made its address.
fn destination<B>(packet: &Outgoing<B>) -> HostId {
    let IpAddr::V4(address) = packet.destination.ip() else { unreachable!("hosts have IPv4 addresses") };
    HostId(address.octets()[3])
}

/// The path of a session between two hosts over the link of this number.
#[must_use]
pub fn path_of(local: HostId, peer: HostId, link: u32) -> Path {
    let address = |id: HostId| IpAddr::from([10, 0, 0, id.0]);
    Path { link: LinkId(link), local: address(local), peer: address(peer) }
}
