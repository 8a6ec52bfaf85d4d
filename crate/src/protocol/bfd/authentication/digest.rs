//! The digest over a packet (RFC 5880 §6.7.3 and §6.7.4).

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

use crate::protocol::bfd::authentication::key::{Key, SHA1_LEN, Variant};
use crate::protocol::bfd::authentication::section;
use crate::protocol::bfd::packet::LONGEST;

/// The digest over a whole packet; one of MD5 fills the first 16 bytes. What the packet has in its digest field does not count.
pub(super) fn of(key: &Key, packet: &[u8]) -> [u8; SHA1_LEN] {
    let mut covered = [0; LONGEST];
    let covered = &mut covered[..packet.len()];
    covered[..section::DIGEST].copy_from_slice(&packet[..section::DIGEST]);
    let mut digest = [0; SHA1_LEN];
    match key.variant() {
        Variant::Rfc => {
            // The key stands in the field of the digest, with zeros after it.
            covered[section::DIGEST..][..key.secret().len()].copy_from_slice(key.secret());
            if key.kind().is_md5() {
                digest[..16].copy_from_slice(&Md5::digest(&*covered));
            } else {
                digest.copy_from_slice(&Sha1::digest(&*covered));
            }
        }
        Variant::FrrHmac => {
            let mut hmac = Hmac::<Sha1>::new_from_slice(key.secret()).expect("HMAC takes keys of any length");
            hmac.update(covered);
            digest.copy_from_slice(&hmac.finalize().into_bytes());
        }
    }
    digest
}
