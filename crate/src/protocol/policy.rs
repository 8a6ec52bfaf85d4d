//! What all sessions of an engine share.

use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;
use crate::protocol::rules::Rules;

/// The rules and the limits of all sessions of an engine.
#[derive(Debug)]
pub struct Policy<P: Protocol = Liveness> {
    /// The rules that sessions go by.
    pub rules: &'static Rules,
    /// Bounds of the intervals that are used and advertised, in microseconds.
    pub min_tx_floor_us: u32,
    /// The longest interval that is used and advertised, in microseconds.
    pub max_tx_ceil_us: u32,
    /// The longest interval between two packets while Down, in microseconds.
    pub backoff_max_us: u32,
    /// In Up, accept only packets that name our discriminator.
    pub require_discriminator: bool,
    /// The least TTL that a received packet must have, unless its session says otherwise; 0 accepts any (RFC 5082 §3).
    pub min_ttl: u8,
    /// What we say of ourselves beyond the header; `None` says nothing, as the reference does.
    pub identity: Option<P::Identity>,
}
