//! Why a received packet is dropped before it reaches a session's state.

/// Why a received packet is dropped before it reaches a session's state: an index of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// Fewer bytes than a packet has.
    Short,
    /// Another version of the protocol.
    Version,
    /// A length field that is not the length of a packet; in BFD, one that is too small (RFC 5880 §6.8.6).
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
    /// A length field that is greater than the datagram (RFC 5880 §6.8.6).
    Truncated,
    /// The Multipoint bit is set (RFC 5880 §6.8.6).
    Multipoint,
    /// The Poll bit and the Final bit are both set (RFC 5880 §6.5).
    PollAndFinal,
    /// A discriminator of the receiver that is zero, in a packet that says Init or Up (RFC 5880 §6.8.6).
    ZeroPeerDiscriminator,
    /// The packet has an authentication section, and its session has no key (RFC 5880 §6.8.6).
    UnexpectedAuthentication,
    /// The packet has no authentication section, and its session has a key (RFC 5880 §6.8.6).
    MissingAuthentication,
    /// An authentication section that no key of the session confirms (RFC 5880 §6.7).
    Authentication,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = 15;

    /// The values of the `reason` label, in the order of the reasons.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "short",
        "bad_version",
        "bad_len",
        "bad_detect_mult",
        "bad_discr",
        "bad_interval",
        "foreign_discr",
        "bad_ttl",
        "truncated",
        "multipoint",
        "poll_and_final",
        "zero_peer_discr",
        "unexpected_auth",
        "missing_auth",
        "bad_auth",
    ];
}
