//! What a session of one protocol keeps and does beyond what the sessions of all protocols keep and do.

use std::fmt::Debug;

use crate::protocol::diagnostic::Diagnostics;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;

/// Bytes of what the peer says beyond the header, as it is saved.
pub const DETAILS_LEN: usize = 5;

/// Bytes of what a session keeps for its protocol alone, as it is saved.
pub const SPECIFICS_LEN: usize = 4;

/// What a session may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Packets at its interval, and announcements.
    Periodic,
    /// Announcements only.
    Announcements,
    /// Nothing.
    Nothing,
}

/// The part of a session that belongs to its protocol. A method that a protocol does not define does nothing, and costs
/// nothing.
pub trait Specifics<Packet, Options>: Debug {
    /// The part of a new session, which is Down.
    fn new(options: Options, local_discr: u32) -> Self;

    /// Takes other options while the session goes on; its source port stays.
    fn set_options(&mut self, _options: Options) {}

    /// Whether a packet that arrived at `arrival` is authentic. `detect_time_us` is the session's detection time.
    ///
    /// # Errors
    /// Why the packet is dropped.
    #[inline]
    fn authenticate(&mut self, _packet: &Packet, _arrival: Time, _detect_time_us: u64) -> Result<(), DropReason> {
        Ok(())
    }

    /// Applies an accepted packet. Returns whether it ends a Poll, since the peer then knows our timers.
    #[inline]
    fn apply(&mut self, _packet: &Packet) -> bool {
        false
    }

    /// Whether an accepted packet, if it came again, would change nothing.
    #[inline]
    fn may_repeat(&self, _packet: &Packet) -> bool {
        true
    }

    /// Whether the peer waits for an answer that leaves at once; each answer is taken once.
    #[inline]
    fn take_answer(&mut self) -> bool {
        false
    }

    /// The session has changed its state.
    #[inline]
    fn entered(&mut self, _to: State, _reason: DownReason) {}

    /// Our intervals have changed.
    #[inline]
    fn intervals_changed(&mut self, _state: State) {}

    /// The part of the session that a successor of this process takes over; `None` where it cannot, since something of it is
    /// kept nowhere but in memory.
    fn save(&self) -> Option<[u8; SPECIFICS_LEN]> {
        Some([0; SPECIFICS_LEN])
    }

    /// Takes what `save` gave, in a session that goes on in this state.
    fn load(&mut self, _saved: [u8; SPECIFICS_LEN], _state: State) {}

    /// The UDP port that packets leave from, where each session has one of its own.
    #[inline]
    fn source_port(&self) -> u16 {
        0
    }

    /// The diagnostics of both sides, where the protocol has them.
    #[inline]
    fn diagnostics(&self) -> Option<Diagnostics> {
        None
    }

    /// What the session may send. `knows_peer` says that the peer's discriminator is known.
    #[inline]
    fn sending(&self, _state: State, _knows_peer: bool) -> Sending {
        Sending::Periodic
    }
}

/// Nothing is specific.
impl<Packet> Specifics<Packet, ()> for () {
    fn new((): (), _: u32) -> Self {}
}
