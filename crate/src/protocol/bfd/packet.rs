//! Bytes <-> `BfdPacket`: the control packet of RFC 5880 §4.1, without the content of its authentication section.

use std::ops::Range;

use crate::protocol::Header;
use crate::protocol::diagnostic::Diagnostic;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::state::State;

/// Length of a packet without an authentication section, in bytes.
pub const PACKET_LEN: usize = 24;

/// Length of the longest packet, which has a SHA-1 section (RFC 5880 §4.4), in bytes.
pub const LONGEST: usize = PACKET_LEN + 28;

/// The least length of a packet with an authentication section: type and length follow the packet (RFC 5880 §6.8.6).
const LEAST_WITH_SECTION: usize = PACKET_LEN + 2;

/// The protocol version of RFC 5880.
pub const VERSION: u8 = 1;

/// Where the fields of a packet stand.
pub mod field {
    use std::ops::Range;

    pub use crate::protocol::header_fields::{
        DESIRED_MIN_TX, DETECT_MULT, LENGTH, LOCAL_DISCR, PEER_DISCR, REQUIRED_MIN_RX, VERSION_SHIFT,
    };

    /// The version, in the three high bits, and the diagnostic.
    pub const VERSION_AND_DIAGNOSTIC: usize = 0;
    /// The state, in the two high bits, and the flags.
    pub const STATE_AND_FLAGS: usize = 1;
    /// Required Min Echo RX Interval, in microseconds.
    pub const REQUIRED_MIN_ECHO_RX: Range<usize> = 20..24;

    /// Poll: the receiver is to answer with Final.
    pub const FLAG_POLL: u8 = 0b10_0000;
    /// Final: the answer to a Poll.
    pub const FLAG_FINAL: u8 = 0b01_0000;
    /// Control Plane Independent: the sender outlives its control plane.
    pub const FLAG_INDEPENDENT: u8 = 0b00_1000;
    /// Authentication Present: a section follows.
    pub const FLAG_AUTHENTICATION: u8 = 0b00_0100;
    /// Demand: the sender wants no periodic packets while both sides are Up.
    pub const FLAG_DEMAND: u8 = 0b00_0010;
    /// Multipoint: reserved, and always 0.
    pub const FLAG_MULTIPOINT: u8 = 0b00_0001;
}

/// The bytes of a packet up to its length field, at most the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdBytes {
    bytes: [u8; LONGEST],
    length: u8,
}

impl BfdBytes {
    /// The first bytes of a packet as long as `length` says.
    ///
    /// # Panics
    /// If `length` is greater than that of the longest packet.
    #[must_use]
    pub fn new(bytes: [u8; LONGEST], length: u8) -> Self {
        assert!(usize::from(length) <= LONGEST, "a packet is at most {LONGEST} bytes long");
        Self { bytes, length }
    }
}

/// A packet without an authentication section.
impl From<[u8; PACKET_LEN]> for BfdBytes {
    fn from(packet: [u8; PACKET_LEN]) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..PACKET_LEN].copy_from_slice(&packet);
        Self { bytes, length: PACKET_LEN as u8 }
    }
}

impl AsRef<[u8]> for BfdBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// One control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdPacket {
    /// State, multiplier, discriminators and intervals.
    pub header: Header,
    /// Why the sender's session last changed its state.
    pub diagnostic: Diagnostic,
    /// The receiver is to answer with Final.
    pub poll: bool,
    /// The answer to a Poll.
    pub is_final: bool,
    /// The sender wants no periodic packets while both sides are Up.
    pub demand: bool,
    /// The shortest interval of Echo packets that the sender supports, in microseconds; 0 for none.
    pub required_min_echo_rx_us: u32,
    /// The bytes of a received packet that has an authentication section: what its digest covers.
    pub authenticated: Option<BfdBytes>,
}

impl BfdPacket {
    /// Writes the packet as the wire has it, without an authentication section.
    #[must_use]
    pub fn marshal(&self) -> [u8; PACKET_LEN] {
        let Header { state, detect_mult, local_discr, peer_discr, desired_min_tx_us, required_min_rx_us } = self.header;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let mut bytes = [0; PACKET_LEN];
        bytes[field::VERSION_AND_DIAGNOSTIC] = VERSION << field::VERSION_SHIFT | self.diagnostic as u8;
        bytes[field::STATE_AND_FLAGS] = (state as u8) << 6
            | flag(self.poll, field::FLAG_POLL)
            | flag(self.is_final, field::FLAG_FINAL)
            | flag(self.demand, field::FLAG_DEMAND);
        bytes[field::DETECT_MULT] = detect_mult;
        bytes[field::LENGTH] = PACKET_LEN as u8;
        bytes[field::LOCAL_DISCR].copy_from_slice(&local_discr.to_be_bytes());
        bytes[field::PEER_DISCR].copy_from_slice(&peer_discr.to_be_bytes());
        bytes[field::DESIRED_MIN_TX].copy_from_slice(&desired_min_tx_us.to_be_bytes());
        bytes[field::REQUIRED_MIN_RX].copy_from_slice(&required_min_rx_us.to_be_bytes());
        bytes[field::REQUIRED_MIN_ECHO_RX].copy_from_slice(&self.required_min_echo_rx_us.to_be_bytes());
        bytes
    }

    /// Reads a packet. Bytes beyond its length field are padding.
    ///
    /// # Errors
    /// The first discard of RFC 5880 §6.8.6 that the packet calls for, in the order of the text, as far as no session is
    /// needed to decide it.
    pub fn unmarshal(datagram: &[u8]) -> Result<Self, DropReason> {
        let Some(bytes) = datagram.first_chunk::<PACKET_LEN>() else { return Err(DropReason::Short) };
        if bytes[field::VERSION_AND_DIAGNOSTIC] >> field::VERSION_SHIFT != VERSION {
            return Err(DropReason::Version);
        }
        let flags = bytes[field::STATE_AND_FLAGS];
        let has = |flag: u8| flags & flag != 0;
        let length = usize::from(bytes[field::LENGTH]);
        if length < if has(field::FLAG_AUTHENTICATION) { LEAST_WITH_SECTION } else { PACKET_LEN } {
            return Err(DropReason::Length);
        }
        if length > datagram.len() {
            return Err(DropReason::Truncated);
        }
        let word = |at: Range<usize>| u32::from_be_bytes(bytes[at].try_into().expect("a field of four bytes"));
        let header = Header {
            state: State::from_bits(flags),
            detect_mult: bytes[field::DETECT_MULT],
            local_discr: word(field::LOCAL_DISCR),
            peer_discr: word(field::PEER_DISCR),
            desired_min_tx_us: word(field::DESIRED_MIN_TX),
            required_min_rx_us: word(field::REQUIRED_MIN_RX),
        };
        if header.detect_mult == 0 {
            return Err(DropReason::DetectMult);
        }
        if has(field::FLAG_MULTIPOINT) {
            return Err(DropReason::Multipoint);
        }
        if header.local_discr == 0 {
            return Err(DropReason::Discriminator);
        }
        if header.peer_discr == 0 && header.state >= State::Init {
            return Err(DropReason::ZeroPeerDiscriminator);
        }
        // RFC 5880 §6.5: never both.
        if has(field::FLAG_POLL) && has(field::FLAG_FINAL) {
            return Err(DropReason::PollAndFinal);
        }
        Ok(Self {
            header,
            diagnostic: Diagnostic::from_bits(bytes[field::VERSION_AND_DIAGNOSTIC]),
            poll: has(field::FLAG_POLL),
            is_final: has(field::FLAG_FINAL),
            demand: has(field::FLAG_DEMAND),
            required_min_echo_rx_us: word(field::REQUIRED_MIN_ECHO_RX),
            authenticated: has(field::FLAG_AUTHENTICATION).then(|| covered(&datagram[..length])).transpose()?,
        })
    }
}

/// The bytes that an authentication section covers.
fn covered(packet: &[u8]) -> Result<BfdBytes, DropReason> {
    let mut bytes = [0; LONGEST];
    // No section of RFC 5880 is longer.
    let place = bytes.get_mut(..packet.len()).ok_or(DropReason::Authentication)?;
    place.copy_from_slice(packet);
    Ok(BfdBytes { bytes, length: packet.len() as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> BfdPacket {
        BfdPacket {
            header: Header {
                state: State::Init,
                detect_mult: 3,
                local_discr: 0x0102_0304,
                peer_discr: 0x0506_0708,
                desired_min_tx_us: 50_000,
                required_min_rx_us: 60_000,
            },
            diagnostic: Diagnostic::NeighbourSignalledDown,
            poll: true,
            is_final: false,
            demand: false,
            required_min_echo_rx_us: 0,
            authenticated: None,
        }
    }

    #[test]
    fn a_packet_is_laid_out_as_in_rfc_5880() {
        let expected: [u8; 24] =
            [0x23, 0xA0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0xC3, 0x50, 0, 0, 0xEA, 0x60, 0, 0, 0, 0];
        assert_eq!(sample().marshal(), expected);
        let last = BfdPacket { poll: false, is_final: true, demand: true, ..sample() };
        assert_eq!(last.marshal()[1], 0b1001_0010);
    }

    #[test]
    fn each_discard_has_a_reason_of_its_own() {
        let good = sample().marshal();
        let changed = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            BfdPacket::unmarshal(&bytes).map(|_| ())
        };
        let zero = |at: Range<usize>| {
            let mut bytes = good;
            bytes[at].fill(0);
            BfdPacket::unmarshal(&bytes).map(|_| ())
        };
        assert_eq!(BfdPacket::unmarshal(&[]).unwrap_err(), DropReason::Short);
        assert_eq!(BfdPacket::unmarshal(&good[..23]).unwrap_err(), DropReason::Short);
        for version in [0, 2, 7] {
            assert_eq!(changed(0, version << 5), Err(DropReason::Version));
        }
        assert_eq!(changed(3, 23), Err(DropReason::Length));
        assert_eq!(changed(3, 25), Err(DropReason::Truncated));
        assert_eq!(changed(2, 0), Err(DropReason::DetectMult));
        assert_eq!(changed(1, good[1] | field::FLAG_MULTIPOINT), Err(DropReason::Multipoint));
        assert_eq!(zero(field::LOCAL_DISCR), Err(DropReason::Discriminator));
        assert_eq!(changed(1, good[1] | field::FLAG_FINAL), Err(DropReason::PollAndFinal));
        assert_eq!(zero(field::PEER_DISCR), Err(DropReason::ZeroPeerDiscriminator));
        // With the A bit, type and length of a section must fit.
        let mut bytes = [0; 60];
        bytes[..24].copy_from_slice(&good);
        bytes[1] |= field::FLAG_AUTHENTICATION;
        for (length, expected) in [
            (24, Err(DropReason::Length)),
            (25, Err(DropReason::Length)),
            (26, Ok(())),
            (52, Ok(())),
            (53, Err(DropReason::Authentication)),
            (61, Err(DropReason::Truncated)),
        ] {
            bytes[3] = length;
            assert_eq!(BfdPacket::unmarshal(&bytes).map(|_| ()), expected, "length {length}");
        }
    }

    #[test]
    fn a_packet_that_names_nobody_may_say_down_or_admin_down_only() {
        for state in State::ALL {
            let header = Header { state, peer_discr: 0, ..sample().header };
            let read = BfdPacket::unmarshal(&BfdPacket { header, ..sample() }.marshal());
            assert_eq!(read.is_ok(), state <= State::Down, "{state:?}");
        }
    }

    #[test]
    fn bytes_beyond_the_length_field_are_padding() {
        let mut bytes = sample().marshal().to_vec();
        bytes.extend([0xBB; 60]);
        assert_eq!(BfdPacket::unmarshal(&bytes), Ok(sample()));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(packet) = BfdPacket::unmarshal(&bytes) {
                let again = BfdPacket { authenticated: None, ..packet };
                // A reserved diagnostic is said as 31.
                prop_assert_eq!(BfdPacket::unmarshal(&again.marshal()), Ok(again));
            }
        }
    }
}
