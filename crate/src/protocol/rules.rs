//! The rules that a session goes by, as values. The wire is the same under all of them, and each talks to any peer.

use std::fmt;

/// One set of rules (`ARCHITECTURE.md`, "Two rule sets"). One state machine reads them; there are no copies of it.
#[derive(PartialEq, Eq)]
pub struct Rules {
    /// The name in logs.
    pub name: &'static str,
    /// Learn the peer's discriminator from every accepted packet with state Down, Init or Up (RFC 5880 §6.8.6),
    /// and unlearn it on a received AdminDown; else only while none is known, and in Up where it differs.
    pub learns_from_every_packet: bool,
    /// Forget the peer's discriminator when a detection time passes in silence in Down, and when coming back into service,
    /// where nothing was listened to.
    pub forgets_after_silence: bool,
    /// In Down, with no peer discriminator known, handle a packet that names a foreign discriminator as a Down that names
    /// none: so a peer that remembers our predecessor is heard again.
    pub accepts_foreign_discriminator_when_down: bool,
    /// A Down that arrives in Init leaves us in Init (RFC 5880 §6.2); else it takes us Down.
    pub stays_init_on_down: bool,
    /// The least time that Init lasts in silence, in microseconds: the other side may still be backed off, and
    /// nothing is installed in Init.
    pub init_detect_min_us: u64,
    /// In silence, Init lasts for at least so many of our transmits: a reference peer that remembers our predecessor needs two
    /// of them to answer, and the handshake may need one more to begin.
    pub init_transmits_min: u64,
    /// Take a peer's transmit interval beyond our own ceiling as it is, up to `MAX_PEER_INTERVAL_US`: a slower
    /// peer is not a dead one. Else the interval is clamped to the ceiling.
    pub accepts_slower_peers: bool,
}

impl Rules {
    /// The least that Init lasts in silence, at a transmit interval.
    #[must_use]
    pub fn least_init_us(&self, tx_interval_us: u64) -> u64 {
        // With the jitter of a tenth.
        self.init_detect_min_us.max(self.init_transmits_min * tx_interval_us * 11 / 10)
    }
}

impl fmt::Debug for Rules {
    /// The name says it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The longest transmit interval that a peer may announce where slower peers are accepted.
pub const MAX_PEER_INTERVAL_US: u32 = 60_000_000;

/// The reference's own rules. They have holes that only show between hosts that restart.
pub const REFERENCE: Rules = Rules {
    name: "reference",
    learns_from_every_packet: false,
    forgets_after_silence: false,
    accepts_foreign_discriminator_when_down: false,
    stays_init_on_down: false,
    init_detect_min_us: 0,
    init_transmits_min: 0,
    accepts_slower_peers: false,
};

/// The rules of the managers: the reference's with its holes closed.
pub const ROBUST: Rules = Rules {
    name: "robust",
    learns_from_every_packet: true,
    forgets_after_silence: true,
    accepts_foreign_discriminator_when_down: true,
    stays_init_on_down: true,
    init_detect_min_us: 3_300_000,
    init_transmits_min: 3,
    accepts_slower_peers: true,
};
