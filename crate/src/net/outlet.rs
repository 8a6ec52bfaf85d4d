//! What the packets of sessions leave by, as the driver's thread uses it.

use crate::net::session_sockets::SessionSockets;
use crate::net::socket_address::Family;
use crate::net::tx_socket::{TxSocket, Wire};

/// What the packets of sessions leave by: one socket for all of a family, or one for each session.
pub trait Outlet<Bytes>: Wire<Bytes> {
    /// Whether it sends packets of a family.
    fn serves(&self, family: Family) -> bool;

    /// The source port of a new session, which is given back by `release_port`; 0 where all sessions have one.
    ///
    /// # Errors
    /// What the system says where there is none to be had.
    fn claim_port(&mut self) -> nix::Result<u16>;

    /// The source port of a session that goes on: this one where it is to be had, else another.
    ///
    /// # Errors
    /// As `claim_port`.
    fn claim_port_again(&mut self, port: u16) -> nix::Result<u16>;

    /// Takes back the source port of a session that has ended.
    fn release_port(&mut self, port: u16);

    /// Makes the send buffer that sessions share large enough for so many, and gives the size that is needed and the size that
    /// the system grants.
    fn fit_send_buffer(&mut self, sessions: usize) -> (usize, usize);
}

impl<Bytes: AsRef<[u8]>> Outlet<Bytes> for TxSocket {
    fn serves(&self, family: Family) -> bool {
        self.family() == family
    }

    fn claim_port(&mut self) -> nix::Result<u16> {
        Ok(0)
    }

    fn claim_port_again(&mut self, _: u16) -> nix::Result<u16> {
        Ok(0)
    }

    fn release_port(&mut self, _: u16) {}

    fn fit_send_buffer(&mut self, sessions: usize) -> (usize, usize) {
        self.fit(sessions)
    }
}

impl<Bytes: AsRef<[u8]>> Outlet<Bytes> for SessionSockets {
    fn serves(&self, family: Family) -> bool {
        self.family() == family
    }

    fn claim_port(&mut self) -> nix::Result<u16> {
        self.claim()
    }

    fn claim_port_again(&mut self, port: u16) -> nix::Result<u16> {
        self.claim_again(port)
    }

    fn release_port(&mut self, port: u16) {
        self.release(port);
    }

    fn fit_send_buffer(&mut self, sessions: usize) -> (usize, usize) {
        SessionSockets::fit_send_buffer(self, sessions)
    }
}
