//! What a successor of this process needs of a session to go on with it, so that the peer notices nothing.

use crate::protocol::session::Timestamps;
use crate::protocol::specifics::{DETAILS_LEN, SPECIFICS_LEN};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::protocol::timers::{PreviousTimers, Timers};

/// A session as its successor takes it over. Times are of a clock that both processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedSession {
    /// The state: Down, Init or Up. What is out of service has nothing to go on with.
    pub state: State,
    /// Why it was last taken Down.
    pub last_down_reason: DownReason,
    /// Intervals and detection multiplier.
    pub timers: Timers,
    /// Timers that count until the peer has heard of those above.
    pub(crate) previous: Option<PreviousTimers>,
    /// Our discriminator.
    pub local_discr: u32,
    /// The peer's discriminator, 0 where it is not known.
    pub peer_discr: u32,
    /// How often the peer wants to send, in microseconds.
    pub peer_tx_min_us: u32,
    /// How often the peer wants to receive at most, in microseconds.
    pub peer_rx_min_us: u32,
    /// The peer's detection multiplier; 0 where the peer was never heard.
    pub peer_detect_mult: u8,
    /// What the peer says beyond the header.
    pub details: [u8; DETAILS_LEN],
    /// What the session keeps for its protocol alone.
    pub specifics: [u8; SPECIFICS_LEN],
    /// When the peer was heard last.
    pub last_rx: Option<Time>,
    /// How often it left Up.
    pub flaps: u16,
    /// The longest time between two packets since it last came Up, in milliseconds.
    pub worst_gap_ms: u16,
    /// When its life changed.
    pub timestamps: Timestamps,
}
