//! The header of a UDP datagram (RFC 768), as whoever sends from many ports by one socket writes it. Pure.

use std::net::{IpAddr, SocketAddr};

/// How long it is, in bytes.
pub(super) const UDP_HEADER_LEN: usize = 8;

const UDP: u8 = libc::IPPROTO_UDP as u8;

/// Writes the header and the payload to the start of `buffer`, which has room for them, and gives how long they are together.
pub(super) fn put_datagram(buffer: &mut [u8], source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> usize {
    let length = UDP_HEADER_LEN + payload.len();
    let datagram = &mut buffer[..length];
    datagram[0..2].copy_from_slice(&source.port().to_be_bytes());
    datagram[2..4].copy_from_slice(&destination.port().to_be_bytes());
    datagram[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    datagram[6..8].fill(0);
    datagram[UDP_HEADER_LEN..].copy_from_slice(payload);
    let checksum = checksum(source.ip(), destination.ip(), datagram);
    datagram[6..8].copy_from_slice(&checksum.to_ne_bytes());
    length
}

/// The checksum of a datagram whose own is zeros, as its bytes are in memory.
fn checksum(source: IpAddr, destination: IpAddr, datagram: &[u8]) -> u16 {
    // The pseudo header has the addresses, the protocol and the length.
    let protocol = u64::from(u16::from_ne_bytes([0, UDP]));
    let length = u64::from((datagram.len() as u16).to_be());
    match !fold(sum_of(source) + sum_of(destination) + protocol + length + sum(datagram)) {
        // 0 would say that there is none.
        0 => u16::MAX,
        checksum => checksum,
    }
}

fn sum_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

/// The sum of some bytes as words. It may be taken in any order of bytes, and in longer words (RFC 1071 §2).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

/// Adds the carries of a sum.
fn fold(mut sum: u64) -> u16 {
    while sum > u64::from(u16::MAX) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0xaa; 200];
        let length = put_datagram(&mut buffer, source, destination, payload);
        buffer[..length].to_vec()
    }

    /// 0 for a datagram whose checksum is right, added word by word as RFC 768 has it.
    fn checked(source: &[u8], destination: &[u8], datagram: &[u8]) -> u16 {
        let pseudo = [&[0, 17][..], &(datagram.len() as u16).to_be_bytes()].concat();
        let mut bytes = [source, destination, &pseudo, datagram].concat();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let total: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (total & 0xffff) + (total >> 16);
        !((folded & 0xffff) + (folded >> 16)) as u16
    }

    #[test]
    fn a_datagram_has_ports_length_checksum_and_payload_where_rfc_768_has_them() {
        let [source, destination] = ["10.0.0.1:65535", "10.0.0.2:3784"].map(|address| address.parse().unwrap());
        let bytes = written(source, destination, &[7; 24]);
        assert_eq!(bytes[..6], [0xff, 0xff, 14, 200, 0, 32]);
        assert_eq!(bytes[8..], [7; 24]);
    }

    #[test]
    fn a_checksum_that_comes_to_0_is_sent_as_all_ones() {
        let [source, destination] = ["10.0.0.1:50000", "10.0.0.2:3784"].map(|address| address.parse().unwrap());
        // With the checksum of the same datagram in place of zeros the sum is all ones.
        let payload = written(source, destination, &[0; 2])[6..8].to_vec();
        assert_eq!(written(source, destination, &payload)[6..8], [0xff, 0xff]);
    }

    proptest::proptest! {
        #[test]
        fn the_checksum_of_any_datagram_of_either_family_is_right(
            payload in proptest::collection::vec(proptest::num::u8::ANY, 0..80), from: [u8; 16], to: [u8; 16], port: u16,
        ) {
            let datagram = written(SocketAddr::new(from.into(), port), SocketAddr::new(to.into(), 3_784), &payload);
            proptest::prop_assert_eq!(checked(&from, &to, &datagram), 0);
            let (from, to) = (*from.first_chunk::<4>().unwrap(), *to.first_chunk::<4>().unwrap());
            let datagram = written(SocketAddr::new(from.into(), port), SocketAddr::new(to.into(), 3_784), &payload);
            proptest::prop_assert_eq!(checked(&from, &to, &datagram), 0);
            proptest::prop_assert_ne!(&datagram[6..8], &[0, 0]);
        }
    }
}
