//! Addresses as the kernel reads and writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The two families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The host itself.
    pub(super) fn loopback(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::LOCALHOST.into(),
            Family::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// An address that no packet is for (RFC 5737 §3, RFC 3849 §2).
    pub(super) fn documentation(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::new(192, 0, 2, 255).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xffff).into(),
        }
    }

    /// How long a socket address of the family is, in bytes.
    pub(super) const fn address_len(self) -> usize {
        match self {
            Family::V4 => size_of::<libc::sockaddr_in>(),
            Family::V6 => size_of::<libc::sockaddr_in6>(),
        }
    }
}

/// A socket address of either family, as the kernel has it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union SocketAddress {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl SocketAddress {
    /// No address: all zeros.
    pub(super) const NONE: Self = Self {
        v6: libc::sockaddr_in6 {
            sin6_family: 0,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
            sin6_scope_id: 0,
        },
    };

    /// An address to send to. A link-local one is on the interface of that index (RFC 4007 §6).
    pub(super) fn new(address: SocketAddr, ifindex: u32) -> Self {
        match address {
            SocketAddr::V4(v4) => Self {
                v4: libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: to_in_addr(*v4.ip()),
                    sin_zero: [0; 8],
                },
            },
            SocketAddr::V6(v6) => Self {
                v6: libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: to_in6_addr(*v6.ip()),
                    sin6_scope_id: if v6.ip().is_unicast_link_local() { ifindex } else { 0 },
                },
            },
        }
    }

    /// The address, which the kernel wrote or which stands for none, without its scope.
    pub(super) fn get(&self, family: Family) -> SocketAddr {
        match family {
            Family::V4 => {
                // SAFETY: all bytes are initialised, and any bytes are a sockaddr_in.
                let v4 = unsafe { self.v4 };
                SocketAddrV4::new(from_in_addr(v4.sin_addr), u16::from_be(v4.sin_port)).into()
            }
            Family::V6 => {
                // SAFETY: all bytes are initialised, and any bytes are a sockaddr_in6.
                let v6 = unsafe { self.v6 };
                SocketAddrV6::new(from_in6_addr(v6.sin6_addr), u16::from_be(v6.sin6_port), 0, 0).into()
            }
        }
    }
}

pub(super) fn from_in_addr(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

pub(super) fn to_in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}

pub(super) fn from_in6_addr(address: libc::in6_addr) -> Ipv6Addr {
    Ipv6Addr::from(address.s6_addr)
}

pub(super) fn to_in6_addr(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: address.octets() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_given_and_only_a_link_local_one_has_an_interface() {
        for (text, family, scope) in
            [("10.0.0.1:3784", Family::V4, 0), ("[2001:db8::1]:4784", Family::V6, 0), ("[fe80::1]:3784", Family::V6, 7)]
        {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Family::of(address.ip()), family);
            let raw = SocketAddress::new(address, 7);
            assert_eq!(raw.get(family), address);
            if family == Family::V6 {
                // SAFETY: it was written as one.
                assert_eq!(unsafe { raw.v6 }.sin6_scope_id, scope, "{text}");
            }
        }
    }
}
