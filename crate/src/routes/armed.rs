//! Armed routes as they are ordered, and what is asked of the kernel about them. Pure.

use crate::engine::SessionId;
use crate::protocol::time::Time;
use crate::routes::damping::Damping;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::legs::Backup;
use crate::routes::mass_down::MassDown;
use crate::routes::next_hop::ObjectRange;
use crate::routes::object_request::ObjectRequest;
use crate::routes::outcome::{RouteId, RouteOutcome};
use crate::routes::parts::ROUTES_PER_OBJECT;
use crate::routes::tables::DesiredRoute;

/// So long an adopted route, or one whose replacement has no session that is Up yet, stays although its session is not
/// Up: as long as Init may last, enough for a session that begins anew.
pub const HOLD_US: u64 = 3_300_000;

/// A route to be kept in step with its session.
#[derive(Clone, Copy, Debug)]
pub struct ArmedRoute {
    /// The number that the caller has picked.
    pub id: RouteId,
    /// The session that the route follows.
    pub session: SessionId,
    /// Newer than that of the last order for the route.
    pub generation: u32,
    /// The route.
    pub route: KernelRoute,
    /// Never deleted by us.
    pub no_uninstall: bool,
    /// Out of service: it is withdrawn whatever its session's state is.
    pub admin_down: bool,
    /// It stays as it is while its session is not Up because the peer said AdminDown (RFC 5882 §3.2).
    pub keep_on_peer_admin_down: bool,
    /// When it may be installed again while its session flaps.
    pub damping: Damping,
    /// A predecessor may have left it in the kernel: it is looked for, and held while its session begins anew.
    pub adopted: bool,
    /// Where the route runs while its session is not Up.
    pub backup: Option<Backup>,
}

/// What an armed route needs to know of its session.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionView {
    /// The session is Up.
    pub up: bool,
    /// The peer only observes.
    pub peer_passive: bool,
    /// The session was last taken Down by the AdminDown of its peer.
    pub peer_admin_down: bool,
    /// The session has left Up before.
    pub flapped: bool,
    /// When the change that led here began to show; `None` where that is of no interest any more.
    pub conv_start: Option<Time>,
}

/// Rules that hold for all armed routes of a manager.
#[derive(Clone, Copy, Debug)]
pub struct ArmingPolicy {
    /// Replace whatever occupies a slot.
    pub take_over: bool,
    /// A session whose peer is passive keeps its route when it goes Down.
    pub honor_peer_passive: bool,
    /// Where many sessions fall at once their routes wait.
    pub mass_down: Option<MassDown>,
    /// Routes hang on next-hop objects.
    pub objects: Option<ObjectPolicy>,
}

/// How routes hang on next-hop objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectPolicy {
    /// The numbers of the objects.
    pub range: ObjectRange,
    /// The most routes on one object, from 1 on; `ROUTES_PER_OBJECT` but in tests.
    pub routes_per_object: u32,
}

impl From<ObjectRange> for ObjectPolicy {
    fn from(range: ObjectRange) -> Self {
        Self { range, routes_per_object: ROUTES_PER_OBJECT }
    }
}

/// One request to the kernel, as it was decided.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest {
    /// The armed route that it is about.
    pub id: RouteId,
    /// The route to add, delete or look at: the armed one, or one that was ours in its slot.
    pub route: KernelRoute,
    /// Of an addition: the route that it replaces.
    pub replaces: Option<KernelRoute>,
    /// A listing has just shown that route in the slot.
    pub(crate) was_listed: bool,
    pub(crate) desired_at: Time,
    pub(crate) conv_start: Option<Time>,
    /// Of a look: why.
    pub(crate) cause: Option<Doubt>,
}

impl RouteRequest {
    /// As this one, a look for this reason.
    pub(crate) fn because_of(self, cause: Option<Doubt>) -> Self {
        Self { cause, ..self }
    }

    /// The route that an addition is to install.
    #[must_use]
    pub fn desired_route(&self) -> DesiredRoute {
        DesiredRoute { route: self.route, replaces: self.replaces, was_listed: self.was_listed }
    }
}

/// Up to one message of each kind, and the outcomes that need no request.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is asked about next-hop objects, before anything else.
    pub objects: Vec<ObjectRequest>,
    /// Routes to delete.
    pub deletes: Vec<RouteRequest>,
    /// Routes to add.
    pub adds: Vec<RouteRequest>,
    /// Routes to look at.
    pub looks: Vec<RouteRequest>,
    /// What can be reported without asking the kernel.
    pub idle: Vec<RouteOutcome>,
}

/// A route about which only a listing of its table can decide.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The armed route.
    pub id: RouteId,
    /// The route in the kernel's tables.
    pub route: KernelRoute,
    /// A route that was ours in its slot, and may be there still.
    pub previous: Option<KernelRoute>,
    pub(crate) ticket: u64,
    /// Whether it is asked who occupies the slot, rather than whether the route is there.
    pub of_slot: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    Installed,
    Absent,
    AsItIs,
}

/// What is to be done next for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    /// Something else has to happen first: a listing, or the end of a delay.
    Wait,
    Look,
    Add,
    Delete(KernelRoute),
}

/// Why what is known of a route is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// A link, an address, or a notice that was lost.
    Host,
    /// Somebody else changed its slot.
    Rival,
}

/// What a listing is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Presence,
    Occupant,
}
