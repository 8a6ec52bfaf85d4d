//! What a session knows of its peer.

use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;

/// What the peer said of itself in the last accepted packet; zeros before one.
#[derive(Clone, Copy, Debug)]
pub struct PeerView<P: Protocol = Liveness> {
    /// Its discriminator, 0 where it is not known.
    pub discr: u32,
    /// How often it wants to send, in microseconds, within our bounds.
    pub tx_min_us: u32,
    /// How often it wants to receive at most, in microseconds, within our bounds.
    pub rx_min_us: u32,
    /// Its detection multiplier.
    pub detect_mult: u8,
    /// What it says beyond the header.
    pub details: P::PeerDetails,
}

impl<P: Protocol> Default for PeerView<P> {
    fn default() -> Self {
        Self { discr: 0, tx_min_us: 0, rx_min_us: 0, detect_mult: 0, details: P::PeerDetails::default() }
    }
}
