//! One key of a session.

use std::fmt;

use thiserror::Error;

/// The longest password, and the longest key of MD5, in bytes (RFC 5880 §4.2, §4.3).
const MD5_LEN: usize = 16;

/// The longest key of SHA-1, in bytes (RFC 5880 §4.4).
pub(super) const SHA1_LEN: usize = 20;

/// Type, length and key id; with a digest also a reserved byte and the sequence number.
const PASSWORD_HEADER: usize = 3;
const DIGEST_HEADER: usize = 8;

/// An authentication type (RFC 5880 §4.1 `Auth Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The packet contains the password.
    SimplePassword = 1,
    /// An MD5 digest; sequence numbers may repeat.
    KeyedMd5 = 2,
    /// An MD5 digest; every packet has another sequence number.
    MeticulousKeyedMd5 = 3,
    /// A SHA-1 digest; sequence numbers may repeat.
    KeyedSha1 = 4,
    /// A SHA-1 digest; every packet has another sequence number.
    MeticulousKeyedSha1 = 5,
}

impl Kind {
    /// All types, in the order of their numbers.
    pub const ALL: [Kind; 5] =
        [Kind::SimplePassword, Kind::KeyedMd5, Kind::MeticulousKeyedMd5, Kind::KeyedSha1, Kind::MeticulousKeyedSha1];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Every packet has another sequence number.
    #[must_use]
    pub const fn is_meticulous(self) -> bool {
        matches!(self, Kind::MeticulousKeyedMd5 | Kind::MeticulousKeyedSha1)
    }

    pub(super) const fn is_md5(self) -> bool {
        matches!(self, Kind::KeyedMd5 | Kind::MeticulousKeyedMd5)
    }

    const fn is_sha1(self) -> bool {
        matches!(self, Kind::KeyedSha1 | Kind::MeticulousKeyedSha1)
    }

    /// The longest secret, in bytes.
    #[must_use]
    pub const fn longest_secret(self) -> usize {
        if self.is_sha1() { SHA1_LEN } else { MD5_LEN }
    }
}

/// How a digest is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// As RFC 5880 says: a hash over the packet with the key in the place of the digest.
    #[default]
    Rfc,
    /// As FRR does from 10.7 on: HMAC-SHA-1 over the packet with zeros in the place of the digest.
    FrrHmac,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The secret has no bytes.
    #[error("the secret of key {id} is empty")]
    Empty {
        /// The id of the key.
        id: u8,
    },
    /// The secret has too many bytes.
    #[error("the secret of key {id} has {length} bytes, and may have {most}")]
    TooLong {
        /// The id of the key.
        id: u8,
        /// The length of the secret, in bytes.
        length: usize,
        /// The greatest length for the type of the key, in bytes.
        most: usize,
    },
    /// Only the SHA-1 types have this variant.
    #[error("key {id} is not of a SHA-1 type, and only those have the variant of FRR")]
    Variant {
        /// The id of the key.
        id: u8,
    },
}

/// One key. Its `Debug` shows its id, and not its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: u8,
    kind: Kind,
    variant: Variant,
    secret: Box<[u8]>,
}

impl Key {
    /// A key of 1 to 16 bytes, or 20 for SHA-1.
    ///
    /// # Errors
    /// Its length, or a variant that its type does not have.
    pub fn new(id: u8, kind: Kind, variant: Variant, secret: &[u8]) -> Result<Self, KeyError> {
        let (length, most) = (secret.len(), kind.longest_secret());
        if length == 0 {
            return Err(KeyError::Empty { id });
        }
        if length > most {
            return Err(KeyError::TooLong { id, length, most });
        }
        if variant == Variant::FrrHmac && !kind.is_sha1() {
            return Err(KeyError::Variant { id });
        }
        Ok(Self { id, kind, variant, secret: secret.into() })
    }

    /// The number that packets name it by.
    #[must_use]
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How its digests are computed.
    #[must_use]
    pub fn variant(&self) -> Variant {
        self.variant
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The length of its authentication section, in bytes.
    pub(super) fn section_len(&self) -> usize {
        match self.kind {
            Kind::SimplePassword => PASSWORD_HEADER + self.secret.len(),
            Kind::KeyedMd5 | Kind::MeticulousKeyedMd5 => DIGEST_HEADER + MD5_LEN,
            Kind::KeyedSha1 | Kind::MeticulousKeyedSha1 => DIGEST_HEADER + SHA1_LEN,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_at_most_16_bytes_or_20_for_sha_1_and_at_least_one() {
        for kind in Kind::ALL {
            let most = if kind.is_sha1() { 20 } else { 16 };
            let key = |length: usize| Key::new(7, kind, Variant::Rfc, &vec![b'x'; length]);
            assert!(key(1).is_ok() && key(most).is_ok());
            assert_eq!(key(0), Err(KeyError::Empty { id: 7 }));
            assert_eq!(key(most + 1), Err(KeyError::TooLong { id: 7, length: most + 1, most }));
            assert_eq!(Key::new(7, kind, Variant::FrrHmac, b"x").is_ok(), kind.is_sha1());
        }
    }

    #[test]
    fn no_output_and_no_error_contains_the_secret() {
        let key = Key::new(7, Kind::KeyedSha1, Variant::Rfc, b"sesame").unwrap();
        assert_eq!(format!("{key:?}"), "Key { id: 7, .. }");
        let long = Key::new(7, Kind::KeyedMd5, Variant::Rfc, b"sesamesesamesesame").unwrap_err();
        assert!(!format!("{long} {long:?}").contains("sesame"));
    }
}
