//! Where the fields of an authentication section stand in a packet (RFC 5880 §4.2 to §4.4).

use std::ops::Range;

pub(super) const TYPE: usize = 24;
pub(super) const LENGTH: usize = 25;
pub(super) const KEY_ID: usize = 26;
/// A simple password.
pub(super) const PASSWORD: usize = 27;
/// In sections with a digest; a reserved byte is before it.
pub(super) const SEQUENCE: Range<usize> = 28..32;
pub(super) const DIGEST: usize = 32;
