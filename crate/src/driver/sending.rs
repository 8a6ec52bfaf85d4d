//! The sending half of a turn: what the engine has to send goes to the socket.

use std::net::SocketAddr;

use nix::errno::Errno;

use crate::driver::Driver;
use crate::engine::Transmit;
use crate::net::tx_socket::{Outgoing, TxSocket, Wire};
use crate::protocol::time::Time;
use crate::system::problem::Problem;

impl Driver {
    /// Sends what waits and what is new, in this order.
    pub(super) fn send(&mut self, now: Time) {
        while let Some(transmit) = self.engine.poll_transmit() {
            self.enqueue(&transmit);
        }
        self.send_queue.flush(now, &mut self.tx, self.engine.stats_mut());
        for fault in self.send_queue.faults().report(now) {
            self.mailbox.put_warning(fault);
        }
    }

    /// Makes room for what the sessions send, and warns where the system grants less than they need.
    pub(super) fn fit_send_buffer(&mut self) {
        let sessions = self.engine.session_count();
        let needed = TxSocket::send_buffer_for(sessions);
        let granted = self.tx.fit_send_buffer(sessions).unwrap_or_else(|_| self.tx.send_buffer().size);
        if granted < needed && !self.warned_small_buffer {
            self.warned_small_buffer = true;
            let limit = needed / 2;
            let message = format!(
                "the system grants a send buffer of {granted} bytes, and {sessions} sessions need {needed}: it takes CAP_NET_ADMIN, \
                 or net.core.wmem_max of {limit}"
            );
            self.mailbox.put_warning(Problem { code: "ERR_SEND_BUFFER_SMALL".into(), message });
        }
    }

    fn enqueue(&mut self, transmit: &Transmit) {
        let Transmit { endpoint, path, peer_port, is_probe, bytes } = *transmit;
        let destination = SocketAddr::new(path.peer, peer_port);
        let Some(ifindex) = self.links.index(path.link) else {
            // The interface does not exist now. The session keeps trying: it may be made again.
            self.engine.stats_mut().at(endpoint).write_errors += 1;
            self.send_queue.faults().refused(Errno::ENODEV, destination);
            return;
        };
        let packet = Outgoing { bytes, destination, source: path.local, ifindex };
        if is_probe {
            self.send_queue.put_probe(packet, endpoint);
        } else if let Some(stale) = self.send_queue.put(packet, endpoint) {
            self.engine.stats_mut().at(stale).dropped += 1;
        }
    }
}
