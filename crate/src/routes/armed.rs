//! One armed route: what is desired, what is known of it, and what is to be done next. Pure, given the time.

use std::net::IpAddr;

use crate::engine::SessionId;
use crate::protocol::time::Time;
use crate::routes::damping::{Damping, Flaps};
use crate::routes::kernel_route::{KernelRoute, Presence, Result};
use crate::routes::mass_down::MassDown;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::stats::EndpointNumber;
use crate::routes::stored_route::StoredRoute;
use crate::routes::tables::DesiredRoute;

/// So long an adopted route, or one whose replacement has no session that is Up yet, stays although its session is not
/// Up: as long as Init may last, enough for a session that begins anew.
pub const HOLD_US: u64 = 3_300_000;

/// A route that another process deletes is restored at once, also when it is deleted again after so long …
const QUIET_US: u64 = 10_000_000;

/// … and one that is deleted again sooner is restored after a delay that doubles from this …
const FIRST_DELAY_US: u64 = 1_000_000;

/// … to this.
const LONGEST_DELAY_US: u64 = 60_000_000;

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
}

/// What casts doubt on routes of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedRoutes {
    /// Routes over these interfaces: the kernel drops routes with a link and does not say which.
    pub interfaces: Vec<u32>,
    /// Routes with these source addresses: the kernel drops them with the address.
    pub sources: Vec<IpAddr>,
    /// All routes: notices were lost.
    pub all: bool,
}

impl AffectedRoutes {
    /// Whether no route is affected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.interfaces.is_empty() && self.sources.is_empty()
    }

    /// Adds what another change has affected.
    pub fn add(&mut self, other: AffectedRoutes) {
        let AffectedRoutes { interfaces, sources, all } = other;
        self.all |= all;
        self.interfaces
            .extend(interfaces.into_iter().filter(|index| !self.interfaces.contains(index)).collect::<Vec<_>>());
        self.sources.extend(sources.into_iter().filter(|address| !self.sources.contains(address)).collect::<Vec<_>>());
    }

    /// Whether a route is affected.
    #[must_use]
    pub fn includes(&self, route: &KernelRoute) -> bool {
        self.all || self.interfaces.contains(&route.interface) || self.sources.contains(&route.source)
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
    /// The route that an addition is to install.
    #[must_use]
    pub fn desired_route(&self) -> DesiredRoute {
        DesiredRoute { route: self.route, replaces: self.replaces, was_listed: self.was_listed }
    }
}

/// Up to one message of each kind, and the outcomes that need no request.
#[derive(Debug, Default)]
pub struct Batch {
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
pub(crate) enum Doubt {
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

/// A route that another process deletes again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    pub(crate) losses: u32,
    pub(crate) lost_at: Time,
    /// It is not put back before.
    pub(crate) restore_at: Option<Time>,
}

/// What few routes need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    /// Routes that were ours in this slot and may be there still: to be deleted when the route itself is there, or when
    /// none is to be.
    pub(crate) previous: Vec<KernelRoute>,
    /// The one of them that a listing has just shown in the slot.
    pub(crate) listed: Option<KernelRoute>,
    pub(crate) contention: Option<Contention>,
    /// Until when it waits for its session.
    pub(crate) held_until: Option<Time>,
    /// How often its session has flapped.
    pub(crate) flaps: Flaps,
    /// Until when it is not installed, since its session flaps, …
    pub(crate) suppressed_until: Option<Time>,
    /// … as it was told last.
    pub(crate) told_suppressed_until: Option<Time>,
    /// What a listing is asked, and the number of that question.
    pub(crate) pending: Option<(Pending, u64)>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: RouteId,
    pub(crate) session_id: SessionId,
    pub(crate) generation: u32,
    pub(crate) route: StoredRoute,
    pub(crate) no_uninstall: bool,
    pub(crate) admin_down: bool,
    pub(crate) keep_on_peer_admin_down: bool,
    pub(crate) adopted: bool,
    /// `None` for most.
    pub(crate) damping: Option<Box<Damping>>,
    /// What it is counted in.
    pub(crate) endpoint: EndpointNumber,
    pub(crate) session: SessionView,
    /// The session is in maintenance.
    pub(crate) maintained: bool,
    /// Set by a disarm: delete first, or not.
    pub(crate) leaving: Option<bool>,
    pub(crate) presence: Presence,
    /// Why it is not known, where it is not.
    pub(crate) doubt: Option<Doubt>,
    /// Whether it is counted as installed.
    pub(crate) counted_as_installed: bool,
    /// Whether the last outcome said that it is installed.
    pub(crate) reported_as_installed: bool,
    /// It waits in one of the queues …
    pub(crate) queued: Option<Queue>,
    /// … or a request is on its way to the kernel, or its answer from there.
    pub(crate) asked: bool,
    /// That request is about the route as it is desired now.
    pub(crate) asked_for_route: bool,
    pub(crate) desired_at: Time,
    pub(crate) rare: Option<Box<Rare>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Deletes,
    Looks,
    Adds,
}

impl Entry {
    pub(crate) fn new(spec: &ArmedRoute, endpoint: EndpointNumber, session: SessionView, now: Time) -> Self {
        Self {
            id: spec.id,
            session_id: spec.session,
            generation: spec.generation,
            route: spec.route.into(),
            no_uninstall: spec.no_uninstall,
            admin_down: spec.admin_down,
            keep_on_peer_admin_down: spec.keep_on_peer_admin_down,
            adopted: spec.adopted,
            damping: None,
            endpoint,
            session,
            maintained: false,
            leaving: None,
            presence: Presence::Absent,
            doubt: None,
            counted_as_installed: false,
            reported_as_installed: false,
            queued: None,
            asked: false,
            asked_for_route: false,
            desired_at: now,
            rare: None,
        }
    }

    /// Takes what is armed anew under its number.
    pub(crate) fn take(&mut self, spec: &ArmedRoute) {
        let ArmedRoute {
            session, generation, route, no_uninstall, admin_down, keep_on_peer_admin_down, damping, ..
        } = *spec;
        (self.session_id, self.generation, self.route) = (session, generation, route.into());
        (self.no_uninstall, self.admin_down) = (no_uninstall, admin_down);
        self.keep_on_peer_admin_down = keep_on_peer_admin_down;
        self.damping = (!damping.is_off()).then(|| Box::new(damping));
        // Whoever adopted it before still waits for an outcome.
        self.adopted |= spec.adopted;
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn previous(&self) -> Option<KernelRoute> {
        self.rare.as_ref()?.previous.first().copied()
    }

    /// What an addition replaces: first of all a route beside which the kernel does not take the new one.
    pub(crate) fn replaced(&self) -> Option<KernelRoute> {
        let mut previous = self.rare.as_ref()?.previous.iter();
        previous.find(|previous| previous.excludes(&self.route.get())).copied().or_else(|| self.previous())
    }

    /// What is to be deleted when the route is there. What cannot be there with it is gone, and a deletion of it would delete
    /// the route.
    fn previous_beside(&self) -> Option<KernelRoute> {
        let mut previous = self.rare.as_ref()?.previous.iter();
        previous.find(|previous| !previous.excludes(&self.route.get())).copied()
    }

    pub(crate) fn held_until(&self) -> Option<Time> {
        self.rare.as_ref()?.held_until
    }

    pub(crate) fn suppressed_until(&self) -> Option<Time> {
        self.rare.as_ref()?.suppressed_until
    }

    pub(crate) fn pending(&self) -> Option<(Pending, u64)> {
        self.rare.as_ref()?.pending
    }

    pub(crate) fn restore_at(&self) -> Option<Time> {
        self.rare.as_ref()?.contention?.restore_at
    }

    /// Judged when it matters, not when the route was armed.
    pub(crate) fn desired(&self, honor_peer_passive: bool) -> Desired {
        let withdrawn = if self.no_uninstall { Desired::AsItIs } else { Desired::Absent };
        match self.leaving {
            Some(true) => withdrawn,
            Some(false) => Desired::AsItIs,
            None if self.admin_down => withdrawn,
            // What is there stays. What it is to replace leads over a path that nobody watches any more.
            None if self.session.up && self.suppressed_until().is_some() => match self.presence {
                Presence::Absent => withdrawn,
                Presence::Present | Presence::Unknown => Desired::AsItIs,
            },
            None if self.session.up => Desired::Installed,
            None if self.maintained => Desired::AsItIs,
            None if self.held_until().is_some() => Desired::AsItIs,
            None if honor_peer_passive && self.session.peer_passive => Desired::AsItIs,
            None if self.keep_on_peer_admin_down && self.session.peer_admin_down => Desired::AsItIs,
            None => withdrawn,
        }
    }

    pub(crate) fn step(&self, honor_peer_passive: bool) -> Step {
        let desired = self.desired(honor_peer_passive);
        let look = if self.pending().is_some() { Step::Wait } else { Step::Look };
        match (desired, self.presence) {
            _ if self.leaving == Some(false) => Step::Nothing,
            (Desired::Absent, Presence::Present) => Step::Delete(self.route.get()),
            // The kernel takes a deletion without a priority for one of any priority: only what is there is deleted so.
            (Desired::Absent, Presence::Unknown) if self.route.get().priority != 0 => Step::Delete(self.route.get()),
            (Desired::Installed, Presence::Absent) if self.restore_at().is_some() => Step::Wait,
            (Desired::Installed, Presence::Absent) if self.pending().is_some() => Step::Wait,
            (Desired::Installed, Presence::Absent) => Step::Add,
            (Desired::Absent, Presence::Absent) => self.previous().map_or(Step::Nothing, Step::Delete),
            (_, Presence::Present) => self.previous_beside().map_or(Step::Nothing, Step::Delete),
            (Desired::AsItIs, Presence::Absent) => Step::Nothing,
            (_, Presence::Unknown) => look,
        }
    }

    /// When the session's change began to show, if that is what asks for the operation.
    pub(crate) fn conv_start(&self, op: RouteOp) -> Option<Time> {
        let follows = self.leaving.is_none() && !self.admin_down && self.session.up == (op == RouteOp::Add);
        self.session.conv_start.filter(|_| follows)
    }

    /// Whether an outcome has to be reported although nothing is to be done: an adopted route waits for its first one, and an
    /// outcome that is no longer true is corrected.
    pub(crate) fn owes_outcome(&self) -> bool {
        let suppression_changed =
            self.rare.as_ref().is_some_and(|rare| rare.suppressed_until != rare.told_suppressed_until);
        let installed_changed = self.counted_as_installed != self.reported_as_installed;
        self.presence != Presence::Unknown && (self.adopted || installed_changed || suppression_changed)
    }

    /// Whether it is there is not known any more. Without an interface there is no route.
    pub(crate) fn forget_presence(&mut self) {
        self.presence = if self.route.interface() == 0 { Presence::Absent } else { Presence::Unknown };
    }

    pub(crate) fn is_present(&self) -> bool {
        self.presence == Presence::Present
    }
}

impl RouteRequest {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            route: entry.route.get(),
            replaces: None,
            was_listed: false,
            desired_at: entry.desired_at,
            conv_start: None,
            cause: None,
        }
    }
}

impl Contention {
    /// Counts a loss, and gives how long the route is not put back.
    pub(crate) fn lose(&mut self, now: Time) -> u64 {
        let quiet_us = QUIET_US.max(2 * delay_us(self.losses));
        if now.since(self.lost_at) > quiet_us {
            self.losses = 0;
        }
        self.losses += 1;
        self.lost_at = now;
        let delay_us = delay_us(self.losses);
        self.restore_at = (delay_us > 0).then(|| now.plus(delay_us));
        delay_us
    }
}

/// How long a route is not restored that was deleted so often, each time soon after it was restored.
fn delay_us(losses: u32) -> u64 {
    match losses {
        0 | 1 => 0,
        _ => (FIRST_DELAY_US << (losses - 2).min(10)).min(LONGEST_DELAY_US),
    }
}

/// Another route is desired in place of `previous`.
pub(crate) fn replace(entry: &mut Entry, previous: KernelRoute) {
    let may_be_there = entry.presence != Presence::Absent || entry.asked_for_route;
    entry.asked_for_route = false;
    let route = entry.route.get();
    let rare = entry.rare();
    // A deletion without an interface would fit any.
    if may_be_there && previous.interface != 0 && !rare.previous.contains(&previous) {
        rare.previous.push(previous);
    }
    (rare.pending, rare.listed) = (None, None);
    let may_be_there = rare.previous.contains(&route);
    rare.previous.retain(|previous| *previous != route);
    entry.presence = Presence::Absent;
    if may_be_there {
        entry.forget_presence();
        // What happened to it meanwhile was not noted: an answer that is still to come proves nothing.
        if entry.asked {
            entry.doubt = entry.doubt.max(Some(Doubt::Host));
        }
    }
}

pub(crate) fn outcome(
    op: RouteOp,
    request: &RouteRequest,
    entry: &mut Entry,
    at: Time,
    result: Result<()>,
    gone: bool,
) -> RouteOutcome {
    entry.reported_as_installed = entry.counted_as_installed;
    entry.adopted &= entry.presence == Presence::Unknown;
    if let Some(rare) = &mut entry.rare {
        rare.told_suppressed_until = rare.suppressed_until;
    }
    RouteOutcome {
        id: request.id,
        generation: entry.generation,
        op,
        at,
        duration_us: at.since(request.desired_at),
        gone,
        installed: entry.counted_as_installed,
        restore_at: entry.restore_at(),
        suppressed_until: entry.suppressed_until(),
        result,
    }
}
