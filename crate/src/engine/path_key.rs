//! Paths as the slots have them: twelve bytes, so that a slot keeps to its cache lines. An IPv4 address is its own number;
//! IPv6 addresses are numbered as sessions bring them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use crate::engine::io::Path;
use crate::engine::stats::LinkId;

/// In the number of the link: the addresses are numbers of IPv6 addresses.
const IS_IPV6: u32 = 1 << 31;

/// A path in twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathKey {
    link: u32,
    local: u32,
    peer: u32,
}

/// The IPv6 addresses of sessions by their numbers. They stay when their sessions go: an address is known again then.
#[derive(Debug, Default)]
pub(crate) struct PathKeys {
    numbers: FxHashMap<Ipv6Addr, u32>,
    addresses: Vec<Ipv6Addr>,
}

impl PathKeys {
    /// The key of a path; `None` where no session had an address of it yet.
    #[inline]
    #[must_use]
    pub(crate) fn get(&self, path: Path) -> Option<PathKey> {
        let Path { link, local, peer } = path;
        match (local, peer) {
            (IpAddr::V4(local), IpAddr::V4(peer)) => {
                Some(PathKey { link: link.0, local: local.into(), peer: peer.into() })
            }
            (IpAddr::V6(local), IpAddr::V6(peer)) => {
                let (local, peer) = (*self.numbers.get(&local)?, *self.numbers.get(&peer)?);
                Some(PathKey { link: link.0 | IS_IPV6, local, peer })
            }
            _ => None,
        }
    }

    /// The key of a path, made where it is new.
    ///
    /// # Panics
    /// Where the addresses are of two families.
    pub(crate) fn make(&mut self, path: Path) -> PathKey {
        if let (IpAddr::V6(local), IpAddr::V6(peer)) = (path.local, path.peer) {
            self.number(local);
            self.number(peer);
        }
        self.get(path).expect("both ends of a path have addresses of one family")
    }

    /// The path of a key that was made here.
    #[inline]
    #[must_use]
    pub(crate) fn path(&self, key: PathKey) -> Path {
        let PathKey { link, local, peer } = key;
        if link & IS_IPV6 == 0 {
            return Path { link: LinkId(link), local: Ipv4Addr::from(local).into(), peer: Ipv4Addr::from(peer).into() };
        }
        let address = |number: u32| self.addresses[number as usize].into();
        Path { link: LinkId(link & !IS_IPV6), local: address(local), peer: address(peer) }
    }

    fn number(&mut self, address: Ipv6Addr) {
        let next = u32::try_from(self.addresses.len()).expect("fewer addresses than sessions");
        if *self.numbers.entry(address).or_insert(next) == next {
            self.addresses.push(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(local: &str, peer: &str) -> Path {
        Path { link: LinkId(7), local: local.parse().unwrap(), peer: peer.parse().unwrap() }
    }

    #[test]
    fn a_path_of_either_family_comes_back_from_its_key() {
        let mut keys = PathKeys::default();
        for path in
            [path("10.0.0.1", "10.0.0.2"), path("fe80::1", "fe80::2"), path("fe80::2", "fe80::1"), path("::", "::1")]
        {
            let key = keys.make(path);
            assert_eq!(keys.path(key), path);
            assert_eq!(keys.get(path), Some(key));
        }
    }

    #[test]
    fn paths_of_two_families_that_have_equal_numbers_have_two_keys() {
        let mut keys = PathKeys::default();
        assert_ne!(keys.make(path("::1", "::2")), keys.make(path("0.0.0.0", "0.0.0.1")));
    }

    #[test]
    fn an_ipv6_address_that_no_session_had_has_no_key() {
        let mut keys = PathKeys::default();
        keys.make(path("fe80::1", "fe80::2"));
        assert_eq!(keys.get(path("fe80::1", "fe80::3")), None);
        assert_eq!(keys.get(path("10.0.0.1", "fe80::2")), None);
    }

    #[test]
    fn a_key_takes_twelve_bytes() {
        assert_eq!(size_of::<PathKey>(), 12);
    }
}
