//! Bytes <-> `ControlPacket`: the 40-byte wire format, whose first 20 bytes are RFC 5880's (§4.1).

use std::ops::Range;

use thiserror::Error;

use crate::protocol::state::State;

/// Length of a control packet in bytes, and the value of its length field.
pub const PACKET_LEN: usize = 40;

/// The one protocol version there is.
pub const VERSION: u8 = 1;

/// Where the fields of a packet stand: for the codec, and for the filter of the socket.
pub mod field {
    use std::ops::Range;

    pub use crate::protocol::header_fields::{
        DESIRED_MIN_TX, DETECT_MULT, LENGTH, LOCAL_DISCR, PEER_DISCR, REQUIRED_MIN_RX, VERSION_SHIFT,
    };

    /// The version, in the three high bits.
    pub const VERSION: usize = 0;
    /// The state, in the two high bits.
    pub const STATE: usize = 1;
    /// Flags of the sender.
    pub const FLAGS: usize = 20;
    /// The sender's version: major, minor, patch, channel.
    pub const CLIENT_VERSION: Range<usize> = 21..25;

    /// In `FLAGS`: the sender only observes.
    pub const FLAG_PASSIVE: u8 = 0b0000_0001;
}

/// Why bytes are not a control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// So many bytes.
    #[error("short packet: {0} bytes, {PACKET_LEN} are needed")]
    Short(usize),
    /// This version.
    #[error("unsupported version {0}, expected {VERSION}")]
    Version(u8),
    /// This length field.
    #[error("invalid length field {0}, expected {PACKET_LEN}")]
    Length(u8),
}

/// One control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPacket {
    /// The sender's state.
    pub state: State,
    /// The sender's detection multiplier.
    pub detect_mult: u8,
    /// The sender's discriminator.
    pub local_discr: u32,
    /// The discriminator that the sender last learned from the receiver, or 0.
    pub peer_discr: u32,
    /// How often the sender wants to send, in microseconds.
    pub desired_min_tx_us: u32,
    /// How often the sender wants to receive at most, in microseconds.
    pub required_min_rx_us: u32,
    /// The sender only observes: its routes do not follow the session.
    pub passive: bool,
    /// The sender's version: major, minor, patch, channel; zeros where it does not say.
    pub client_version: [u8; 4],
}

impl ControlPacket {
    /// Writes the packet as the wire has it: big-endian, reserved bits and bytes zero.
    #[must_use]
    pub fn marshal(&self) -> [u8; PACKET_LEN] {
        let mut bytes = [0; PACKET_LEN];
        bytes[field::VERSION] = VERSION << field::VERSION_SHIFT;
        bytes[field::STATE] = (self.state as u8) << 6;
        bytes[field::DETECT_MULT] = self.detect_mult;
        bytes[field::LENGTH] = PACKET_LEN as u8;
        bytes[field::LOCAL_DISCR].copy_from_slice(&self.local_discr.to_be_bytes());
        bytes[field::PEER_DISCR].copy_from_slice(&self.peer_discr.to_be_bytes());
        bytes[field::DESIRED_MIN_TX].copy_from_slice(&self.desired_min_tx_us.to_be_bytes());
        bytes[field::REQUIRED_MIN_RX].copy_from_slice(&self.required_min_rx_us.to_be_bytes());
        bytes[field::FLAGS] = if self.passive { field::FLAG_PASSIVE } else { 0 };
        bytes[field::CLIENT_VERSION].copy_from_slice(&self.client_version);
        bytes
    }

    /// Reads a packet from the first 40 bytes. Checks size, version and length field only, as the reference does; the receive
    /// path drops more (`Liveness::decode`). Reserved bits and bytes are ignored, whatever they hold.
    ///
    /// # Errors
    /// `Short`, `Version` or `Length`, in this order.
    pub fn unmarshal(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(bytes) = bytes.first_chunk::<PACKET_LEN>() else {
            return Err(DecodeError::Short(bytes.len()));
        };
        let version = bytes[field::VERSION] >> field::VERSION_SHIFT;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        if usize::from(bytes[field::LENGTH]) != PACKET_LEN {
            return Err(DecodeError::Length(bytes[field::LENGTH]));
        }
        let word = |at: Range<usize>| u32::from_be_bytes(four(bytes, at));
        Ok(Self {
            state: State::from_bits(bytes[field::STATE]),
            detect_mult: bytes[field::DETECT_MULT],
            local_discr: word(field::LOCAL_DISCR),
            peer_discr: word(field::PEER_DISCR),
            desired_min_tx_us: word(field::DESIRED_MIN_TX),
            required_min_rx_us: word(field::REQUIRED_MIN_RX),
            passive: bytes[field::FLAGS] & field::FLAG_PASSIVE != 0,
            client_version: four(bytes, field::CLIENT_VERSION),
        })
    }
}

fn four(bytes: &[u8; PACKET_LEN], at: Range<usize>) -> [u8; 4] {
    [bytes[at.start], bytes[at.start + 1], bytes[at.start + 2], bytes[at.start + 3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> ControlPacket {
        ControlPacket {
            state: State::Init,
            detect_mult: 3,
            local_discr: 0x0102_0304,
            peer_discr: 0x0506_0708,
            desired_min_tx_us: 50_000,
            required_min_rx_us: 60_000,
            passive: true,
            client_version: [1, 2, 3, 4],
        }
    }

    #[test]
    fn a_packet_is_laid_out_big_endian_at_the_documented_bytes() {
        let bytes = sample().marshal();
        assert_eq!(
            bytes[..25],
            [0x20, 0x80, 3, 40, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0xC3, 0x50, 0, 0, 0xEA, 0x60, 1, 1, 2, 3, 4]
        );
        assert_eq!(bytes[25..], [0; 15]);
    }

    #[test]
    fn short_packets_other_versions_and_other_lengths_are_refused_by_name() {
        let good = sample().marshal();
        assert_eq!(ControlPacket::unmarshal(&good[..39]), Err(DecodeError::Short(39)));
        assert_eq!(ControlPacket::unmarshal(&[]), Err(DecodeError::Short(0)));
        let mut other = good;
        other[0] = 2 << 5;
        assert_eq!(ControlPacket::unmarshal(&other), Err(DecodeError::Version(2)));
        let mut other = good;
        other[3] = 24;
        assert_eq!(ControlPacket::unmarshal(&other), Err(DecodeError::Length(24)));
    }

    #[test]
    fn reserved_bits_and_bytes_and_a_longer_datagram_are_ignored() {
        let mut bytes = sample().marshal().to_vec();
        bytes[0] |= 0x1F;
        bytes[1] |= 0x3F;
        bytes[20] |= 0xFE;
        bytes[25..].fill(0xAA);
        bytes.extend([0xBB; 60]);
        assert_eq!(ControlPacket::unmarshal(&bytes), Ok(sample()));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(packet) = ControlPacket::unmarshal(&bytes) {
                prop_assert_eq!(ControlPacket::unmarshal(&packet.marshal()), Ok(packet));
            }
        }

        #[test]
        fn unmarshal_undoes_marshal(
            wire in 0u8..4, detect_mult: u8, local_discr: u32, peer_discr: u32,
            desired_min_tx_us: u32, required_min_rx_us: u32, passive: bool, client_version: [u8; 4],
        ) {
            let packet = ControlPacket {
                state: State::ALL[usize::from(wire)], detect_mult, local_discr, peer_discr,
                desired_min_tx_us, required_min_rx_us, passive, client_version,
            };
            prop_assert_eq!(ControlPacket::unmarshal(&packet.marshal()), Ok(packet));
        }
    }
}
