//! What the thread needs of a protocol beyond what the engine needs: its sockets, its options, and what a snapshot shows.

use std::net::SocketAddr;

use crate::net::outlet::Outlet;
use crate::net::rx_socket::RxSocket;
use crate::net::session_sockets::SessionSockets;
use crate::net::socket;
use crate::net::socket_filter::PacketForm;
use crate::net::tx_socket::TxSocket;
use crate::protocol::Protocol;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::bfd::specifics::BfdSpecifics;
use crate::protocol::bfd::{Bfd, packet as bfd_packet};
use crate::protocol::diagnostic::Diagnostic;
use crate::protocol::liveness::packet as liveness_packet;
use crate::protocol::liveness::{Liveness, PeerDetails};

/// A protocol that a driver can run.
pub trait Driven: Protocol {
    /// What its packets leave by.
    type Outlet: Outlet<Self::Bytes> + Send + 'static;

    /// A packet leaves at most this much before it is due, together with others: that saves wake-ups.
    const TX_SLACK_US: u16;

    /// What the socket filter lets through.
    const FORM: PacketForm;

    /// Opens the sockets of all sessions but multihop ones: one to receive for each address, and what packets leave by.
    ///
    /// # Errors
    /// What the system says of the first socket that cannot be bound.
    fn open(addresses: &[SocketAddr], sessions: usize) -> nix::Result<(Vec<RxSocket>, Vec<Self::Outlet>)>;

    /// The options of a session whose packets leave from this port.
    fn options(options: BfdOptions, source_port: u16) -> Self::Options;

    /// Major, minor, patch and channel of the peer; zeros where it does not say.
    fn peer_version(details: &Self::PeerDetails) -> [u8; 4];

    /// What a snapshot shows of BFD.
    fn bfd(specifics: &Self::Specifics) -> Option<BfdSnapshot>;
}

/// What a session of BFD has beyond others.
#[derive(Clone, Copy, Debug)]
pub struct BfdSnapshot {
    /// The diagnostic that we send.
    pub local_diag: Diagnostic,
    /// The diagnostic that the peer sent last.
    pub remote_diag: Diagnostic,
    /// A Poll Sequence is in progress.
    pub polling: bool,
    /// The id of the key that signs.
    pub auth_key_id: Option<u8>,
}

impl Driven for Liveness {
    type Outlet = TxSocket;

    const TX_SLACK_US: u16 = 1_000;

    const FORM: PacketForm = PacketForm {
        version: liveness_packet::VERSION,
        least_len: Self::PLAIN_LEN as u8,
        most_len: Self::PLAIN_LEN as u8,
    };

    /// A peer answers to the port that it hears from: one socket for both ways.
    fn open(addresses: &[SocketAddr], sessions: usize) -> nix::Result<(Vec<RxSocket>, Vec<TxSocket>)> {
        let sockets = addresses.iter().map(|address| socket::bind::<Self>(*address, sessions));
        Ok(sockets.collect::<nix::Result<Vec<_>>>()?.into_iter().unzip())
    }

    fn options(_: BfdOptions, _: u16) {}

    fn peer_version(details: &PeerDetails) -> [u8; 4] {
        details.version
    }

    fn bfd((): &()) -> Option<BfdSnapshot> {
        None
    }
}

impl Driven for Bfd {
    type Outlet = SessionSockets;

    const TX_SLACK_US: u16 = 3_000;

    const FORM: PacketForm =
        PacketForm { version: bfd_packet::VERSION, least_len: Self::PLAIN_LEN as u8, most_len: u8::MAX };

    fn open(addresses: &[SocketAddr], sessions: usize) -> nix::Result<(Vec<RxSocket>, Vec<SessionSockets>)> {
        let receivers = addresses.iter().map(|address| socket::bind_receiver::<Self>(*address, sessions));
        let sockets_at =
            |address: &SocketAddr| SessionSockets::new(address.ip(), addresses.len(), Self::TTL, Self::TOS);
        let senders = addresses.iter().map(sockets_at);
        Ok((receivers.collect::<nix::Result<_>>()?, senders.collect()))
    }

    fn options(options: BfdOptions, source_port: u16) -> BfdOptions {
        BfdOptions { source_port, ..options }
    }

    fn peer_version((): &()) -> [u8; 4] {
        [0; 4]
    }

    fn bfd(specifics: &BfdSpecifics) -> Option<BfdSnapshot> {
        Some(BfdSnapshot {
            local_diag: specifics.local_diag(),
            remote_diag: specifics.remote_diag(),
            polling: specifics.poll().is_active(),
            auth_key_id: specifics.key_id(),
        })
    }
}
