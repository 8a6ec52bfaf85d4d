//! The sending half of a turn: what the engine has to send goes to the socket.

use std::net::SocketAddr;

use nix::errno::Errno;

use crate::driver::driven::Driven;
use crate::driver::{Driver, Sender};
use crate::engine::Transmit;
use crate::engine::stats::LinkId;
use crate::net::outlet::Outlet as _;
use crate::net::socket_address::Family;
use crate::net::tx_socket::Outgoing;
use crate::protocol::time::Time;
use crate::system::problem::Problem;

impl<P: Driven> Driver<P> {
    /// Sends what waits and what is new, in this order.
    pub(super) fn send(&mut self, now: Time) {
        while let Some(transmit) = self.engine.poll_transmit() {
            self.enqueue(&transmit);
        }
        for Sender { outlet, queue } in &mut self.senders {
            queue.flush(now, outlet, self.engine.stats_mut());
            for fault in queue.faults().report(now) {
                self.mailbox.put_warning(fault);
            }
        }
    }

    /// Makes room for what the sessions send, and warns where the system grants less than they need.
    pub(super) fn fit_send_buffer(&mut self) {
        let sessions = self.engine.session_count();
        for Sender { outlet, .. } in &mut self.senders {
            let (needed, granted) = outlet.fit_send_buffer(sessions);
            if granted < needed && !self.warned_small_buffer {
                self.warned_small_buffer = true;
                let limit = needed / 2;
                let message = format!(
                    "the system grants a send buffer of {granted} bytes, and {sessions} sessions need {needed}: it takes \
                     CAP_NET_ADMIN, or net.core.wmem_max of {limit}"
                );
                self.mailbox.put_warning(Problem { code: "ERR_SEND_BUFFER_SMALL".into(), message });
            }
        }
    }

    fn enqueue(&mut self, transmit: &Transmit<P>) {
        let Transmit { endpoint, path, peer_port, source_port, is_probe, bytes } = *transmit;
        let destination = SocketAddr::new(path.peer, peer_port);
        let family = Family::of(path.peer);
        let Some(sender) = self.senders.iter_mut().find(|sender| sender.outlet.serves(family)) else {
            self.engine.stats_mut().at(endpoint).write_errors += 1;
            return;
        };
        // The packets of a multihop session go where the routing table says.
        let ifindex = if path.link == LinkId::OTHER { Some(0) } else { self.links.index(path.link) };
        let Some(ifindex) = ifindex else {
            // The interface does not exist now. The session keeps trying: it may be made again.
            self.engine.stats_mut().at(endpoint).write_errors += 1;
            sender.queue.faults().refused(Errno::ENODEV, destination);
            return;
        };
        let packet = Outgoing { bytes, destination, source: path.local, source_port, ifindex };
        if is_probe {
            sender.queue.put_probe(packet, endpoint);
        } else if let Some(stale) = sender.queue.put(packet, endpoint) {
            self.engine.stats_mut().at(stale).dropped += 1;
        }
    }
}
