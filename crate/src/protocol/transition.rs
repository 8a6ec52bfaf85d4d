//! What a protocol's state table is asked and what it answers.

use crate::protocol::state::State;

/// Whom the packet's "your discriminator" names (RFC 5880 §6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// This session.
    Us,
    /// Nobody: it is 0.
    Nobody,
    /// Another session, or one that no longer exists.
    Another,
}

/// A packet and what decides what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The session's state.
    pub state: State,
    /// The state that the packet says.
    pub received: State,
    /// Whom the packet names.
    pub names: Names,
    /// The peer's discriminator is known.
    pub knows_peer: bool,
    /// In Up, only packets that name this session are accepted.
    pub requires_discriminator: bool,
    /// The peer's transmit interval is one that a session follows.
    pub interval_is_followed: bool,
    /// The session is Up for less than its detection time.
    pub is_newly_up: bool,
}

/// What a session does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing happens, not even a timer is refreshed.
    Ignore(IgnoreReason),
    /// The packet counts.
    Accept {
        /// The session's state from now on.
        to: State,
        /// What becomes of the peer's discriminator.
        peer_discr: PeerDiscriminator,
    },
}

/// What becomes of the peer's discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerDiscriminator {
    /// It is the packet's from now on.
    Learn,
    /// It stays.
    Keep,
    /// It is not known any more.
    Forget,
}

/// Why a session ignores a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// The session is AdminDown.
    AdminDown,
    /// The packet names a discriminator that is not the session's.
    ForeignDiscriminator,
    /// A Down that is left over from the handshake.
    StaleDown,
    /// The peer's transmit interval is longer than any session follows.
    Interval,
}
