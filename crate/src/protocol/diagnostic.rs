//! Why a session last changed its state, as BFD packets say it.

use crate::protocol::state::DownReason;

/// A diagnostic code (RFC 5880 §4.1 `Diag`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Diagnostic {
    /// No diagnostic.
    #[default]
    None = 0,
    /// The detection time expired.
    DetectionTimeExpired = 1,
    /// The Echo function failed.
    EchoFailed = 2,
    /// The neighbour signalled that its session is Down.
    NeighbourSignalledDown = 3,
    /// The forwarding plane was reset.
    ForwardingPlaneReset = 4,
    /// The path is down.
    PathDown = 5,
    /// The path beyond the peer is down.
    ConcatenatedPathDown = 6,
    /// The session is out of service.
    AdministrativelyDown = 7,
    /// The path in the other direction, beyond the peer, is down.
    ReverseConcatenatedPathDown = 8,
    /// A code that RFC 5880 reserves (9 to 31).
    Reserved = 31,
}

impl Diagnostic {
    /// The codes that RFC 5880 defines, in the order of their numbers.
    pub const DEFINED: [Diagnostic; 9] = [
        Diagnostic::None,
        Diagnostic::DetectionTimeExpired,
        Diagnostic::EchoFailed,
        Diagnostic::NeighbourSignalledDown,
        Diagnostic::ForwardingPlaneReset,
        Diagnostic::PathDown,
        Diagnostic::ConcatenatedPathDown,
        Diagnostic::AdministrativelyDown,
        Diagnostic::ReverseConcatenatedPathDown,
    ];

    /// The name that logs, events and the TypeScript side use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Diagnostic::None => "none",
            Diagnostic::DetectionTimeExpired => "detection_time_expired",
            Diagnostic::EchoFailed => "echo_failed",
            Diagnostic::NeighbourSignalledDown => "neighbour_signalled_down",
            Diagnostic::ForwardingPlaneReset => "forwarding_plane_reset",
            Diagnostic::PathDown => "path_down",
            Diagnostic::ConcatenatedPathDown => "concatenated_path_down",
            Diagnostic::AdministrativelyDown => "administratively_down",
            Diagnostic::ReverseConcatenatedPathDown => "reverse_concatenated_path_down",
            Diagnostic::Reserved => "reserved",
        }
    }

    /// The diagnostic in the five low bits of a byte.
    #[must_use]
    pub fn from_bits(byte: u8) -> Self {
        Self::DEFINED.get(usize::from(byte & 0x1F)).copied().unwrap_or(Diagnostic::Reserved)
    }
}

/// The diagnostics of both sides of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// What we say.
    pub local: Diagnostic,
    /// What the peer said last.
    pub remote: Diagnostic,
}

impl From<DownReason> for Diagnostic {
    fn from(reason: DownReason) -> Self {
        match reason {
            DownReason::None => Diagnostic::None,
            // RFC 5880 §6.8.4.
            DownReason::Timeout => Diagnostic::DetectionTimeExpired,
            // RFC 5880 §6.8.6: "Neighbor signaled session down", for a received Down and a received AdminDown.
            DownReason::RemoteAdmin | DownReason::RemoteDown => Diagnostic::NeighbourSignalledDown,
            // RFC 5880 §6.8.16.
            DownReason::LocalAdmin => Diagnostic::AdministrativelyDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_comes_back_from_its_number_and_codes_above_eight_are_reserved() {
        for (number, diagnostic) in (0u8..).zip(Diagnostic::DEFINED) {
            assert_eq!(diagnostic as u8, number);
            assert_eq!(Diagnostic::from_bits(0xE0 | number), diagnostic);
        }
        for number in 9..=31 {
            assert_eq!(Diagnostic::from_bits(number), Diagnostic::Reserved);
        }
    }
}
