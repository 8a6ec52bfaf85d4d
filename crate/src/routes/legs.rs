//! The two legs of a route that has a backup, and which of them it is to run on. Pure.

use std::net::IpAddr;

use crate::engine::SessionId;
use crate::engine::stats::LinkId;
use crate::routes::kernel_route::KernelRoute;

/// What a route runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    /// The next hop that the route was registered with.
    #[default]
    Primary,
    /// That of its backup.
    Backup,
}

/// The backup of an armed route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The gateway, of the family of the route.
    pub next_hop: IpAddr,
    /// The index of the output interface; 0 while there is none.
    pub interface: u32,
    /// The name of that interface.
    pub link: LinkId,
    /// The session that watches the backup; without one it counts as working while it has an interface.
    pub session: Option<SessionId>,
    /// That session is Up.
    pub is_up: bool,
}

/// What the primary is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primary {
    /// The route belongs on it.
    Usable,
    /// A route that is on it stays, and none is moved to it.
    Kept,
    /// No route is to run on it.
    Unusable,
}

/// The legs of one route.
#[derive(Clone, Debug)]
pub(crate) struct Legs {
    pub(crate) leg: Leg,
    pub(crate) primary: KernelRoute,
    pub(crate) backup: Backup,
    /// The number of the next-hop object of the backup; `primary` has its own.
    pub(crate) backup_object: u32,
    /// The session of the backup is in maintenance.
    pub(crate) is_maintained: bool,
    /// Nobody watches the sessions any more, nor moves the route back.
    pub(crate) is_abandoned: bool,
}

impl Legs {
    pub(crate) fn new(primary: KernelRoute, backup: Backup, leg: Leg) -> Self {
        Self { leg, primary, backup, backup_object: 0, is_maintained: false, is_abandoned: false }
    }

    /// The route as it is in the kernel on a leg.
    pub(crate) fn route(&self, leg: Leg) -> KernelRoute {
        let Backup { next_hop, interface, .. } = self.backup;
        match leg {
            Leg::Primary => self.primary,
            Leg::Backup => KernelRoute { next_hop, interface, object: self.backup_object, ..self.primary },
        }
    }

    pub(crate) fn other(&self) -> Leg {
        if self.leg == Leg::Primary { Leg::Backup } else { Leg::Primary }
    }

    pub(crate) fn is_backup_usable(&self) -> bool {
        let is_watched_down = self.backup.session.is_some() && !self.backup.is_up;
        self.backup.interface != 0 && !is_watched_down && !self.is_abandoned
    }

    /// Where neither leg is of use, the route is withdrawn from the one that it is on. A primary without an interface is of none, also
    /// before its session has noticed.
    pub(crate) fn wanted(&self, primary: Primary) -> Leg {
        match (primary, self.leg) {
            (Primary::Usable, _) if self.primary.interface != 0 => Leg::Primary,
            (Primary::Kept, Leg::Primary) => Leg::Primary,
            _ if self.is_backup_usable() => Leg::Backup,
            (_, leg) => leg,
        }
    }

    /// Notes that the interface of a link has another index now.
    pub(crate) fn relink(&mut self, primary: LinkId, link: LinkId, interface: u32) {
        if primary == link {
            self.primary.interface = interface;
        }
        if self.backup.link == link {
            self.backup.interface = interface;
        }
    }
}
