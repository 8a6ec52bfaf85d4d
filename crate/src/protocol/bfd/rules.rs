//! The rule set of BFD.

use crate::protocol::rules::Rules;

/// The rules of BFD. Its state table reads none of them; the session reads the others.
pub const RFC5880: Rules = Rules {
    name: "rfc5880",
    learns_from_every_packet: true,
    forgets_after_silence: true,
    accepts_foreign_discriminator_when_down: false,
    stays_init_on_down: true,
    init_detect_min_us: 0,
    init_transmits_min: 0,
    accepts_slower_peers: true,
};
