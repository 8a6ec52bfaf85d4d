//! Why a received packet is dropped before it reaches a session's state.

/// Why a received packet is dropped before it reaches a session's state: an index of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// Fewer bytes than a packet has.
    Short,
    /// Another version of the protocol.
    Version,
    /// A length field that is not the packet's length.
    Length,
    /// A detection multiplier of zero (RFC 5880 §6.8.6).
    DetectMult,
    /// A discriminator of the sender that is zero (RFC 5880 §6.8.6).
    Discriminator,
    /// A transmit interval that is longer than any session follows.
    Interval,
    /// It names a discriminator that is not the session's (RFC 5880 §6.8.6).
    ForeignDiscriminator,
    /// It crossed more routers than it may (RFC 5082 §3).
    Ttl,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 8;

    /// The values of the `reason` label, in the order of the reasons.
    pub const NAMES: [&'static str; Self::COUNT] =
        ["short", "bad_version", "bad_len", "bad_detect_mult", "bad_discr", "bad_interval", "foreign_discr", "bad_ttl"];
}
