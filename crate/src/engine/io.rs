//! What goes into an engine and what comes out of it.

use std::net::IpAddr;

use thiserror::Error;

use crate::engine::stats::{EndpointId, LinkId, TransitionCause};
use crate::protocol::Protocol;
use crate::protocol::diagnostic::Diagnostics;
use crate::protocol::liveness::Liveness;
use crate::protocol::saved_session::SavedSession;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;

/// Names a session. The caller picks the number and uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// What a session is keyed by, and where its packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The interface.
    pub link: LinkId,
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub peer: IpAddr,
}

/// A session to add.
#[derive(Clone, Copy, Debug)]
pub struct SessionSpec {
    /// The number that the caller has picked.
    pub id: SessionId,
    /// What the session is keyed by.
    pub path: Path,
    /// The UDP port that packets are sent to.
    pub peer_port: u16,
    /// Intervals and detection multiplier.
    pub timers: Timers,
    /// The least TTL that a packet of the peer must have; `None` takes that of the engine's policy (RFC 5082 §3).
    pub min_ttl: Option<u8>,
}

/// Why a session cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddError {
    /// There are as many sessions as there may be.
    #[error("the engine holds {0} sessions, and that is its limit")]
    Full(usize),
    /// A session of this id or path exists.
    #[error("a session of this id or path exists")]
    Exists,
    /// Another session has the discriminator.
    #[error("the discriminator is taken")]
    DiscriminatorTaken,
}

/// A session of the table, as a successor goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continued {
    /// The number that the caller has picked.
    pub id: SessionId,
    /// What the session is keyed by.
    pub path: Path,
    /// The UDP port that packets are sent to.
    pub peer_port: u16,
    /// The UDP port that packets leave from, where the session has one of its own; 0 else.
    pub source_port: u16,
    /// The least TTL that a packet of the peer must have.
    pub min_ttl: u8,
    /// The session itself.
    pub saved: SavedSession,
}

/// Why a session of a predecessor cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResumeError {
    /// The peer has declared it Down meanwhile, or never heard of it.
    #[error("the peer does not wait for it any more")]
    TooOld,
    /// As when a session is added.
    #[error(transparent)]
    Add(#[from] AddError),
}

/// A datagram, and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When the kernel received it.
    pub arrival: Time,
    /// The path that it came by.
    pub path: Path,
    /// The TTL that it arrived with, where it is known.
    pub ttl: Option<u8>,
    /// The least TTL if it belongs to no session; 0 accepts any.
    pub min_ttl: u8,
    /// The payload.
    pub bytes: &'a [u8],
}

/// A datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<P: Protocol = Liveness> {
    /// What the packet is counted in.
    pub endpoint: EndpointId,
    /// The path that it goes.
    pub path: Path,
    /// The UDP port that it goes to.
    pub peer_port: u16,
    /// The UDP port that it leaves from, where each session has one of its own; 0 else.
    pub source_port: u16,
    /// The session is Down or AdminDown: no peer counts the time to this packet.
    pub is_probe: bool,
    /// The payload.
    pub bytes: P::Bytes,
}

/// A session's change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The session.
    pub id: SessionId,
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why the session was last taken Down.
    pub reason: DownReason,
    /// What led to the change.
    pub cause: TransitionCause,
    /// When it happened: the arrival of the packet that led to it, where one did.
    pub at: Time,
    /// The worst scheduling delay of this process since the session's last packet, in microseconds; at least the extension
    /// where the detection time was extended.
    pub local_stall_us: u64,
    /// The peer only observes.
    pub peer_passive: bool,
    /// The session is Up, or was at some time.
    pub ever_up: bool,
    /// When the change began to show.
    pub conv_start: Option<Time>,
    /// The arrival of the last packet that counted.
    pub last_rx: Option<Time>,
    /// The diagnostics sent and received, where the protocol has them.
    pub diagnostics: Option<Diagnostics>,
}

/// What an engine reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session changed its state.
    Transition(Transition),
    /// The round trip is longer than the detection time, which should exceed it: how long at least, in microseconds.
    LongRoundTrip {
        /// The session.
        id: SessionId,
        /// In microseconds.
        at_least_us: u64,
    },
    /// The peer's passive flag changed without a change of state.
    PeerPassive {
        /// The session.
        id: SessionId,
        /// The peer only observes from now on, or no longer.
        passive: bool,
    },
}
