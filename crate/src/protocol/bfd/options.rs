//! What a BFD session is configured with beyond its timers.

use std::sync::Arc;

use crate::protocol::bfd::authentication::key::Key;

/// Who speaks first (RFC 5880 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The session sends whether the peer is heard or not.
    #[default]
    Active,
    /// The session sends nothing before the peer is heard.
    Passive,
}

/// What a BFD session is configured with beyond its timers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BfdOptions {
    /// Who speaks first.
    pub role: Role,
    /// The keys: the first signs, and packets that any of them confirms are accepted. Without keys, packets with an
    /// authentication section are dropped; with keys, those without one.
    pub keys: Arc<[Key]>,
    /// The UDP port that packets leave from (RFC 5881 §4); 0 where the caller has no use for it.
    pub source_port: u16,
}
