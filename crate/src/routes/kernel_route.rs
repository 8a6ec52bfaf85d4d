//! A route as the kernel's tables hold it, and what can be known of it there.

use std::net::Ipv4Addr;

use nix::errno::Errno;
use thiserror::Error;

/// One route as this component makes it: unicast, TOS 0, no metrics, through one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelRoute {
    pub table: u32,
    pub destination: Ipv4Addr,
    pub prefix_length: u8,
    /// The preferred source address; unspecified where the kernel lists none. A deletion names it only if it is specified.
    pub source: Ipv4Addr,
    pub next_hop: Ipv4Addr,
    /// The index of the output interface; 0 lets the kernel choose one when the route is added, and fits any when it is
    /// deleted.
    pub interface: u32,
    pub protocol: u8,
    /// The metric; 0 is the kernel's default.
    pub priority: u32,
}

/// What a route occupies in the kernel: the routes of TOS 0 with this table, destination and priority. Those of one prefix
/// are neighbours in the order of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub table: u32,
    pub destination: Ipv4Addr,
    pub prefix_length: u8,
    pub priority: u32,
}

impl KernelRoute {
    #[must_use]
    pub fn slot(&self) -> Slot {
        let Self { table, destination, prefix_length, priority, .. } = *self;
        Slot { table, destination, prefix_length, priority }
    }

    /// The route as a deletion names it that is to fit whatever its source is.
    #[must_use]
    pub fn of_any_source(&self) -> Self {
        Self { source: Ipv4Addr::UNSPECIFIED, ..*self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The slot holds a route of this protocol number, or one of our number that we would not have made.
    #[error("the slot is occupied by a route of protocol {0}")]
    Conflict(u8),
    /// The slot holds another route. A listing has to tell which.
    #[error("the slot is occupied")]
    Occupied,
    #[error("{}", .0.desc())]
    System(Errno),
    /// The threads that move routes cannot be started.
    #[error("the thread that moves routes cannot be started: {}", .0.desc())]
    CannotStart(Errno),
    /// The kernel's answer was lost.
    #[error("the kernel's answer was lost")]
    Unanswered,
}

impl From<std::io::Error> for RouteError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) | None => RouteError::Unanswered,
            Some(number) => RouteError::System(Errno::from_raw(number)),
        }
    }
}

pub type Result<T> = std::result::Result<T, RouteError>;

/// Whether the kernel holds a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Present,
    Absent,
    /// The kernel has to be asked.
    Unknown,
}

/// What occupies a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    Nobody,
    /// A route of our kind and of our protocol number: a predecessor's, or one of ours.
    Ours(KernelRoute),
    /// A route of this protocol number that is not to be touched.
    Foreign(u8),
    /// Only a listing of the table can tell.
    Unknown,
}
