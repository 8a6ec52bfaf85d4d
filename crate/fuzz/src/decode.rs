//! Decodes any bytes: they are a packet or refused, and a decoded packet is encoded to the same bytes.

use route_liveness::protocol::liveness::packet::{ControlPacket, DecodeError, PACKET_LEN};

/// Decodes `data`, and encodes the packet again.
///
/// # Panics
/// If the bytes differ, or the error does not fit.
pub fn run(data: &[u8]) {
    match ControlPacket::unmarshal(data) {
        Ok(packet) => {
            let bytes = packet.marshal();
            assert_eq!(ControlPacket::unmarshal(&bytes), Ok(packet));
            // The other bytes have reserved bits, which are ignored.
            assert_eq!(bytes[2..20], data[2..20]);
            assert_eq!(bytes[21..25], data[21..25]);
        }
        Err(DecodeError::Short(length)) => assert!(length == data.len() && length < PACKET_LEN),
        Err(DecodeError::Version(version)) => assert_eq!(version, data[0] >> 5),
        Err(DecodeError::Length(length)) => assert_eq!(length, data[3]),
    }
}
