//! The authentication of a session (RFC 5880 §6.7): its keys, what it signs, and what it accepts.

mod digest;
pub mod key;
mod section;
mod sequence;

use std::fmt;
use std::sync::Arc;

use ctutils::CtEq;

use crate::protocol::bfd::authentication::key::{Key, Kind};
use crate::protocol::bfd::authentication::sequence::{Received, Sent};
use crate::protocol::bfd::packet::{BfdBytes, LONGEST, PACKET_LEN, field};
use crate::protocol::time::Time;

/// The authentication of a session that has a key.
pub struct Authentication {
    /// Never empty.
    keys: Arc<[Key]>,
    sent: Sent,
    received: Received,
}

impl Authentication {
    /// With these keys, the first of which signs; `None` without keys. `first` is the first sequence number, and is random.
    #[must_use]
    pub fn new(keys: Arc<[Key]>, first: u32) -> Option<Self> {
        (!keys.is_empty()).then(|| Self { keys, sent: Sent::new(first), received: Received::default() })
    }

    /// Takes other keys, at least one. The sequence numbers go on.
    ///
    /// # Panics
    /// Without a key.
    pub fn set_keys(&mut self, keys: Arc<[Key]>) {
        assert!(!keys.is_empty(), "authentication needs a key");
        self.keys = keys;
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn key_id(&self) -> u8 {
        self.keys[0].id()
    }

    /// The packet with the section of the first key.
    #[must_use]
    pub fn sign(&mut self, packet: [u8; PACKET_LEN], now: Time) -> BfdBytes {
        let key = &self.keys[0];
        let length = PACKET_LEN + key.section_len();
        let mut bytes = [0; LONGEST];
        bytes[..PACKET_LEN].copy_from_slice(&packet);
        bytes[field::STATE_AND_FLAGS] |= field::FLAG_AUTHENTICATION;
        bytes[field::LENGTH] = length as u8;
        bytes[section::TYPE] = key.kind().number();
        bytes[section::LENGTH] = key.section_len() as u8;
        bytes[section::KEY_ID] = key.id();
        if key.kind() == Kind::SimplePassword {
            bytes[section::PASSWORD..length].copy_from_slice(key.secret());
        } else {
            let number = self.sent.next(key.kind().is_meticulous(), now);
            bytes[section::SEQUENCE].copy_from_slice(&number.to_be_bytes());
            let digest = digest::of(key, &bytes[..length]);
            bytes[section::DIGEST..length].copy_from_slice(&digest[..length - section::DIGEST]);
        }
        BfdBytes::new(bytes, length as u8)
    }

    /// Whether a key confirms the section of a packet, and its sequence number is one of the next.
    #[must_use]
    pub fn verify(&mut self, packet: &BfdBytes, detect_mult: u8, arrival: Time, detect_time_us: u64) -> bool {
        let bytes = packet.as_ref();
        let [kind, length, id] = [section::TYPE, section::LENGTH, section::KEY_ID].map(|at| bytes.get(at).copied());
        let matches = |key: &&Key| Some(key.id()) == id && Some(key.kind().number()) == kind;
        let Some(key) = self.keys.iter().find(matches) else { return false };
        let expected = key.section_len();
        if length != Some(expected as u8) || bytes.len() != PACKET_LEN + expected {
            return false;
        }
        if key.kind() == Kind::SimplePassword {
            return bytes[section::PASSWORD..].ct_eq(key.secret()).into();
        }
        let number = u32::from_be_bytes(bytes[section::SEQUENCE].try_into().expect("a field of four bytes"));
        let window = 3 * u32::from(detect_mult);
        self.received.forget_if_silent(arrival, detect_time_us);
        if !self.received.may_be_next(number, window, key.kind().is_meticulous()) {
            return false;
        }
        let expected = digest::of(key, bytes);
        let received = &bytes[section::DIGEST..];
        let confirms: bool = received.ct_eq(&expected[..received.len()]).into();
        if confirms {
            self.received.note(number, arrival);
        }
        confirms
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("keys", &self.keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::bfd::authentication::key::Variant;

    const SEQUENCE: u32 = 0x0102_0305;
    const DETECT_US: u64 = 150_000;

    fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    fn key(id: u8, kind: Kind, variant: Variant) -> Key {
        Key::new(id, kind, variant, b"sesame").unwrap()
    }

    fn with(keys: impl IntoIterator<Item = Key>, first: u32) -> Authentication {
        Authentication::new(keys.into_iter().collect(), first).expect("there is a key")
    }

    /// An Up without the A bit.
    fn packet() -> [u8; PACKET_LEN] {
        [0x20, 0xC0, 3, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xC3, 0x50, 0, 0, 0xC3, 0x50, 0, 0, 0, 0]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The digests are those of Python's hashlib, here for type 2; others change the type, the length (0x34), the 16, the hash:
    /// `python3 -c "import hashlib; print(hashlib.md5(bytes.fromhex('20c4033000000001000000020000c3500000c35000000000' +
    /// '02180700' + '01020305') + b'sesame'.ljust(16, b'\0')).hexdigest())"`; those of FRR's variant are
    /// `hmac.new(b'sesame', packet + section + bytes(20), hashlib.sha1)`.
    #[test]
    fn a_signed_packet_is_the_one_that_another_implementation_signs() {
        let header = "0000000100000002".to_owned() + "0000c3500000c35000000000";
        #[rustfmt::skip]
        let rows = [
            (Kind::KeyedMd5, Variant::Rfc, "20c40330", "02180700", "c2a2ed05d2e990987600c2fa683806fe"),
            (Kind::MeticulousKeyedMd5, Variant::Rfc, "20c40330", "03180700", "9951b44abc06f0b4dfa9ebe854a531f5"),
            (Kind::KeyedSha1, Variant::Rfc, "20c40334", "041c0700", "1a9206c883ed4ca13d114f719e399c9e0fe12b28"),
            (Kind::MeticulousKeyedSha1, Variant::Rfc, "20c40334", "051c0700", "f09658768b0f33e621022fe848d7b01cd36bbc73"),
            (Kind::KeyedSha1, Variant::FrrHmac, "20c40334", "041c0700", "80a2191a2270269b625c079735cb40d1dbb8d414"),
            (Kind::MeticulousKeyedSha1, Variant::FrrHmac, "20c40334", "051c0700", "54cf8b76fab78b10045c212f577e9546673ab320"),
        ];
        for (kind, variant, first, section, digest) in rows {
            let signed = with([key(7, kind, variant)], SEQUENCE - 1).sign(packet(), at(1));
            assert_eq!(
                hex(signed.as_ref()),
                format!("{first}{header}{section}01020305{digest}"),
                "{kind:?} {variant:?}"
            );
        }
        let signed = with([key(7, Kind::SimplePassword, Variant::Rfc)], 0).sign(packet(), at(1));
        assert_eq!(hex(signed.as_ref()), format!("20c40321{header}010907{}", hex(b"sesame")));
    }

    #[test]
    fn a_packet_is_accepted_by_its_key_and_refused_with_any_bit_changed() {
        for kind in Kind::ALL {
            let ours = || with([key(7, kind, Variant::Rfc)], 5);
            let signed = ours().sign(packet(), at(1));
            assert!(ours().verify(&signed, 3, at(1), DETECT_US), "{kind:?}");
            for at_bit in 0..signed.as_ref().len() * 8 {
                let mut bytes = [0; LONGEST];
                bytes[..signed.as_ref().len()].copy_from_slice(signed.as_ref());
                bytes[at_bit / 8] ^= 1 << (at_bit % 8);
                let changed = BfdBytes::new(bytes, signed.as_ref().len() as u8);
                // A simple password covers itself only.
                let is_covered = kind != Kind::SimplePassword || at_bit >= PACKET_LEN * 8;
                assert_eq!(ours().verify(&changed, 3, at(1), DETECT_US), !is_covered, "{kind:?}, bit {at_bit}");
            }
            let other = Key::new(7, kind, Variant::Rfc, b"simsim").unwrap();
            assert!(!with([other], 5).verify(&signed, 3, at(1), DETECT_US), "{kind:?}: another secret");
        }
    }

    #[test]
    fn each_key_of_a_rollover_confirms_packets_and_the_first_signs() {
        let (old, new) = (key(1, Kind::KeyedMd5, Variant::Rfc), key(2, Kind::MeticulousKeyedSha1, Variant::Rfc));
        let mut peer = with([old.clone()], 100);
        let mut ours = with([old.clone()], 200);
        let is_accepted = |from: &mut Authentication, to: &mut Authentication, us: u64| {
            let signed = from.sign(packet(), at(us));
            (signed.as_ref()[section::KEY_ID], to.verify(&signed, 3, at(us), DETECT_US))
        };
        assert_eq!(is_accepted(&mut peer, &mut ours, 1), (1, true));
        ours.set_keys([new.clone(), old.clone()].into());
        assert_eq!(is_accepted(&mut peer, &mut ours, 2), (1, true), "the peer still signs with the old key");
        assert_eq!(is_accepted(&mut ours, &mut peer, 3), (2, false), "the peer does not have the new key yet");
        peer.set_keys([new.clone(), old].into());
        assert_eq!(is_accepted(&mut ours, &mut peer, 4), (2, true));
        assert_eq!(is_accepted(&mut peer, &mut ours, 5), (2, true));
        ours.set_keys([new].into());
        assert_eq!(is_accepted(&mut peer, &mut ours, 6), (2, true));
    }

    #[test]
    fn a_packet_that_is_played_back_is_refused() {
        let mut peer = with([key(7, Kind::MeticulousKeyedSha1, Variant::Rfc)], 5);
        let mut ours = with([key(7, Kind::MeticulousKeyedSha1, Variant::Rfc)], 0);
        let (first, second) = (peer.sign(packet(), at(1)), peer.sign(packet(), at(2)));
        assert!(ours.verify(&first, 3, at(1), DETECT_US));
        assert!(!ours.verify(&first, 3, at(2), DETECT_US));
        assert!(ours.verify(&second, 3, at(3), DETECT_US));
        assert!(!ours.verify(&first, 3, at(4), DETECT_US));
    }
}
