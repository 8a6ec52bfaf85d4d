//! What goes into an engine and what comes out of it.

use std::net::IpAddr;

use thiserror::Error;

use crate::engine::stats::{EndpointId, LinkId, TransitionCause};
use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;
use crate::protocol::session::Timers;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;

/// Names a session. The caller picks the number and uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// What a session is keyed by, and where its packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub link: LinkId,
    pub local: IpAddr,
    pub peer: IpAddr,
}

#[derive(Clone, Copy, Debug)]
pub struct SessionSpec {
    pub id: SessionId,
    pub path: Path,
    pub peer_port: u16,
    pub timers: Timers,
    /// The least TTL that a packet of the peer must have; `None` takes that of the engine's policy (RFC 5082 §3).
    pub min_ttl: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddError {
    #[error("the engine holds {0} sessions, and that is its limit")]
    Full(usize),
    #[error("a session of this id or path exists")]
    Exists,
    #[error("the discriminator is taken")]
    DiscriminatorTaken,
}

/// A datagram, and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When the kernel received it.
    pub arrival: Time,
    pub path: Path,
    /// The TTL that it arrived with, where it is known.
    pub ttl: Option<u8>,
    pub bytes: &'a [u8],
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<P: Protocol = Liveness> {
    pub endpoint: EndpointId,
    pub path: Path,
    pub peer_port: u16,
    /// The session is Down or AdminDown: no peer counts the time to this packet.
    pub is_probe: bool,
    pub bytes: P::Bytes,
}

/// A session's change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub id: SessionId,
    pub from: State,
    pub to: State,
    pub reason: DownReason,
    pub cause: TransitionCause,
    pub at: Time,
    /// The worst lateness of this process since the session's last packet, in microseconds; where a grace was
    /// given, at least that.
    pub local_stall_us: u64,
    pub peer_passive: bool,
    /// When the change began to show.
    pub conv_start: Option<Time>,
    /// The arrival of the last packet that counted.
    pub last_rx: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Transition(Transition),
    /// The round trip is longer than the detection time, which should exceed it: how long at least, in microseconds.
    LongRoundTrip {
        id: SessionId,
        at_least_us: u64,
    },
    /// The peer's passive flag changed without a change of state.
    PeerPassive {
        id: SessionId,
        passive: bool,
    },
}
