//! Where the fields stand that the packets of all protocols share (RFC 5880 §4.1).

use std::ops::Range;

/// How far the version is shifted in the first byte.
pub const VERSION_SHIFT: u32 = 5;
/// The sender's detection multiplier.
pub const DETECT_MULT: usize = 2;
/// The length of the packet.
pub const LENGTH: usize = 3;
/// The sender's discriminator.
pub const LOCAL_DISCR: Range<usize> = 4..8;
/// The receiver's discriminator.
pub const PEER_DISCR: Range<usize> = 8..12;
/// Desired Min TX Interval, in microseconds.
pub const DESIRED_MIN_TX: Range<usize> = 12..16;
/// Required Min RX Interval, in microseconds.
pub const REQUIRED_MIN_RX: Range<usize> = 16..20;
