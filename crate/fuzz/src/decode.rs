//! Any bytes are a packet or are refused, and what is read is written again the same.

use route_liveness::protocol::liveness::packet::{ControlPacket, DecodeError, PACKET_LEN};

/// # Panics
/// Where that does not hold.
pub fn run(data: &[u8]) {
    match ControlPacket::unmarshal(data) {
        Ok(packet) => {
            let bytes = packet.marshal();
            assert_eq!(ControlPacket::unmarshal(&bytes), Ok(packet));
            // Beyond these lie reserved bits, which are ignored.
            assert_eq!(bytes[2..20], data[2..20]);
            assert_eq!(bytes[21..25], data[21..25]);
        }
        Err(DecodeError::Short(length)) => assert!(length == data.len() && length < PACKET_LEN),
        Err(DecodeError::Version(version)) => assert_eq!(version, data[0] >> 5),
        Err(DecodeError::Length(length)) => assert_eq!(length, data[3]),
    }
}
