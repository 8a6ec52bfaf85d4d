//! A route as the kernel's tables hold it, and what can be known of it there.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// The address that names none, of the family of another: the source of a route without one, the destination of a default
/// route.
#[must_use]
pub fn unspecified(family_of: IpAddr) -> IpAddr {
    match family_of {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// One route as this component makes it: unicast, TOS 0, no metrics, through one gateway. Its addresses are of one family.
#[derive(Clone, Copy, Debug)]
pub struct KernelRoute {
    /// The number of the table.
    pub table: u32,
    /// The destination.
    pub destination: IpAddr,
    /// How many bits of the destination count.
    pub prefix_length: u8,
    /// The preferred source address; unspecified where the kernel lists none. A deletion names it only if it is specified.
    pub source: IpAddr,
    /// The gateway.
    pub next_hop: IpAddr,
    /// The index of the output interface; 0 lets the kernel choose one when the route is added, and fits any when it is
    /// deleted.
    pub interface: u32,
    /// The number that says who has made the route (rtnetlink(7): `rtm_protocol`).
    pub protocol: u8,
    /// The metric. 0 is the kernel's default in IPv4; in IPv6 no route has it, since the kernel gives 1024 in its place.
    pub priority: u32,
    /// The number of the next-hop object that the route hangs on; 0 for none. What that leads over may change: two routes on one
    /// object are the same whatever their gateways and interfaces are.
    pub object: u32,
}

impl PartialEq for KernelRoute {
    fn eq(&self, other: &Self) -> bool {
        self.named() == other.named()
    }
}

impl Eq for KernelRoute {}

impl Hash for KernelRoute {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.named().hash(state);
    }
}

/// What tells routes apart.
type Named = (Slot, IpAddr, u8, u32, Option<(IpAddr, u32)>);

/// What a route occupies in the kernel: the routes of TOS 0 with this table, destination and priority. Those of one prefix
/// are neighbours in the order of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The number of the table.
    pub table: u32,
    /// The destination.
    pub destination: IpAddr,
    /// How many bits of the destination count.
    pub prefix_length: u8,
    /// The metric.
    pub priority: u32,
}

impl KernelRoute {
    /// The slot that the route occupies.
    #[must_use]
    pub fn slot(&self) -> Slot {
        let Self { table, destination, prefix_length, priority, .. } = *self;
        Slot { table, destination, prefix_length, priority }
    }

    fn named(&self) -> Named {
        let way = (self.object == 0).then_some((self.next_hop, self.interface));
        (self.slot(), self.source, self.protocol, self.object, way)
    }

    /// The route as a deletion names it that is to fit whatever its source is.
    #[must_use]
    pub fn of_any_source(&self) -> Self {
        Self { source: unspecified(self.source), ..*self }
    }

    /// Whether the route is one of IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// Whether the kernel cannot hold both routes: a slot of IPv6 has one route through a gateway and an interface, whatever
    /// its source is, and a deletion of the one deletes the other.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        if self.object != other.object {
            return false;
        }
        let is_over_same =
            self.object != 0 || self.interface == other.interface || self.interface == 0 || other.interface == 0;
        let without_interface = |route: &Self| Self { interface: 0, ..route.of_any_source() };
        self.is_ipv6() && is_over_same && without_interface(self) == without_interface(other)
    }

    /// Whether this is the other route by its object's number, and that leads another way.
    #[must_use]
    pub fn is_misled(&self, other: &Self) -> bool {
        self == other && (self.next_hop, self.interface) != (other.next_hop, other.interface)
    }

    /// Whether this is the other route on another next-hop object, or on none. From one of IPv6 the kernel takes its source when the
    /// host loses that address.
    #[must_use]
    pub fn is_elsewhere(&self, other: &Self) -> bool {
        let (here, there) = (Self { object: 0, ..*self }, Self { object: 0, ..*other });
        let has_lost_source = here.source.is_unspecified() && here.excludes(&there);
        self.object != other.object && (here == there || has_lost_source)
    }

    /// Whether a route of the kernel is this one. In IPv6 one without an interface fits any, as the kernel itself has it in IPv4.
    #[must_use]
    pub fn is_held_as(&self, held: &Self) -> bool {
        self == held || (self.excludes(held) && self.source == held.source)
    }
}

/// An error number of the system. A number rather than a type of the system's crates, so that what decides over routes builds
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemError(pub i32);

impl SystemError {
    /// ENOENT: there is no such route, or no such table.
    pub const NO_ENTRY: Self = Self(2);
    /// ESRCH: there is no such route to delete.
    pub const NO_SUCH_ROUTE: Self = Self(3);
    /// EEXIST: the slot is occupied.
    pub const EXISTS: Self = Self(17);
    /// EINVAL: among others, there is no next-hop object of that number.
    pub const INVALID: Self = Self(22);
    /// EOPNOTSUPP: the kernel does not know the question.
    pub const NOT_SUPPORTED: Self = Self(95);
    /// ENODEV: there is no such interface.
    pub const NO_DEVICE: Self = Self(19);
}

impl fmt::Display for SystemError {
    /// The text of the system, without the number that the standard library appends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        f.write_str(text.strip_suffix(&format!(" (os error {})", self.0)).unwrap_or(&text))
    }
}

/// Why a route is not as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The slot holds a route of this protocol number, or one of our number that we would not have made.
    #[error("the slot is occupied by a route of protocol {0}")]
    Conflict(u8),
    /// The slot holds another route; a listing finds out which.
    #[error("the slot is occupied")]
    Occupied,
    /// The kernel's answer is this error.
    #[error("{0}")]
    System(SystemError),
    /// The threads that change routes cannot be started.
    #[error("the thread that moves routes cannot be started: {0}")]
    CannotStart(SystemError),
    /// The kernel's answer was lost.
    #[error("the kernel's answer was lost")]
    Unanswered,
    /// Every number of the range is that of a next-hop object already.
    #[error("no number is left for a next-hop object: give `nextHopObjects` a wider range")]
    NoNumber,
}

/// The answer of the kernel.
pub type Result<T> = std::result::Result<T, RouteError>;

/// Whether the kernel holds a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The kernel holds it.
    Present,
    /// The kernel does not hold it.
    Absent,
    /// The kernel has to be asked.
    Unknown,
}

/// What occupies a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// The slot is empty.
    Nobody,
    /// A route of our kind and of our protocol number: a predecessor's, or one of ours.
    Ours(KernelRoute),
    /// A route of this protocol number that is not to be touched.
    Foreign(u8),
    /// Only a listing of the table can tell.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_reads_as_the_system_words_it() {
        assert_eq!(RouteError::System(SystemError::EXISTS).to_string(), "File exists");
    }
}
