//! The timers of a session's local side.

use crate::protocol::time::Time;

/// What the local side wants of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Desired Min TX Interval, in microseconds.
    pub tx_min_us: u32,
    /// Required Min RX Interval, in microseconds.
    pub rx_min_us: u32,
    /// Detection multiplier.
    pub detect_mult: u8,
}

/// Timers that still count after they were replaced, until the peer has heard of the new ones (RFC 5880 §6.8.3): of both, the
/// shorter transmit interval and the longer receive interval count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PreviousTimers {
    pub(crate) tx_min_us: u32,
    pub(crate) rx_min_us: u32,
    pub(crate) until: Time,
}
