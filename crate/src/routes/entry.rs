//! What the planner keeps of one armed route: what is desired of it, what is known of it, and what is to be done next. Pure,
//! given the time.

mod previous;

use std::collections::BTreeSet;

use crate::engine::SessionId;
use crate::engine::stats::LinkId;
use crate::protocol::time::Time;
use crate::routes::armed::{ArmedRoute, Desired, Doubt, Pending, RouteRequest, SessionView, Step};
use crate::routes::contention::Contention;
use crate::routes::damping::{Damping, Flaps};
use crate::routes::kernel_route::{KernelRoute, Presence, Result};
use crate::routes::legs::{Leg, Legs, Primary};
use crate::routes::maintenance::Maintenance;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::stats::EndpointNumber;
use crate::routes::stored_route::StoredRoute;

pub(crate) use previous::replace;

/// What few routes need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    /// Routes that were ours in this slot and may be there still: to be deleted when the route itself is there, or when
    /// none is to be.
    pub(crate) previous: Vec<KernelRoute>,
    /// The route is put in place of the first of them, whether the kernel takes it beside the others or not: the last attempt
    /// did not, and met a conflict.
    pub(crate) takes_first: bool,
    /// The one of them that is the route itself, left by a predecessor on another next-hop object or on none: a listing has shown it.
    pub(crate) elsewhere: Option<KernelRoute>,
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
    /// The legs on which a route that is adopted was found not to be.
    pub(crate) missing_on: BTreeSet<Leg>,
    /// What a listing is asked, and the number of that question.
    pub(crate) pending: Option<(Pending, u64)>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: RouteId,
    pub(crate) session_id: SessionId,
    /// Where routes hang on next-hop objects: the number of its part of the session.
    pub(crate) part: Option<u32>,
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
    /// Of a route with a backup; `route` is as it is on the leg that it runs on.
    pub(crate) legs: Option<Box<Legs>>,
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
            part: None,
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
            legs: None,
        }
    }

    /// Takes what is armed anew under its number.
    pub(crate) fn take(&mut self, spec: &ArmedRoute) {
        let ArmedRoute {
            session, generation, route, no_uninstall, admin_down, keep_on_peer_admin_down, damping, ..
        } = *spec;
        (self.session_id, self.generation) = (session, generation);
        // A route that stays on its backup is not moved by an order about something else.
        let leg = self.leg();
        self.legs = spec.backup.map(|backup| Box::new(Legs::new(route, backup, leg)));
        self.route = self.legs.as_ref().map_or(route, |legs| legs.route(leg)).into();
        (self.no_uninstall, self.admin_down) = (no_uninstall, admin_down);
        self.keep_on_peer_admin_down = keep_on_peer_admin_down;
        self.damping = (!damping.is_off()).then(|| Box::new(damping));
        // Whoever adopted it before still waits for an outcome.
        self.adopted |= spec.adopted;
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
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
            None if self.leg() == Leg::Backup => self.desired_on_backup(withdrawn),
            // What is there stays. What it is to replace leads over a path that nobody watches any more.
            None if self.session.up && self.suppressed_until().is_some() => {
                if self.may_be_there() {
                    Desired::AsItIs
                } else {
                    withdrawn
                }
            }
            None if self.session.up => Desired::Installed,
            None if self.maintained => Desired::AsItIs,
            None if self.held_until().is_some() => Desired::AsItIs,
            None if honor_peer_passive && self.session.peer_passive => Desired::AsItIs,
            None if self.keep_on_peer_admin_down && self.session.peer_admin_down => Desired::AsItIs,
            None => withdrawn,
        }
    }

    fn desired_on_backup(&self, withdrawn: Desired) -> Desired {
        let Some(legs) = &self.legs else { return withdrawn };
        if legs.is_backup_usable() {
            return Desired::Installed;
        }
        let stays = self.maintained || legs.is_maintained || self.held_until().is_some();
        if stays { Desired::AsItIs } else { withdrawn }
    }

    pub(crate) fn leg(&self) -> Leg {
        self.legs.as_ref().map_or(Leg::Primary, |legs| legs.leg)
    }

    /// The leg that the route is to move to, if it has a backup and is on the other one.
    pub(crate) fn next_leg(&self, honor_peer_passive: bool) -> Option<Leg> {
        let legs = self.legs.as_ref()?;
        let stands = self.leaving.is_some() || self.admin_down;
        Some(legs.wanted(self.primary(honor_peer_passive))).filter(|leg| !stands && *leg != legs.leg)
    }

    fn primary(&self, honor_peer_passive: bool) -> Primary {
        let is_there = self.may_be_there();
        if self.session.up && self.suppressed_until().is_none() {
            return Primary::Usable;
        }
        let peer_has_it_kept = (honor_peer_passive && self.session.peer_passive)
            || (self.keep_on_peer_admin_down && self.session.peer_admin_down);
        let is_kept = if self.session.up {
            is_there
        } else {
            self.maintained || self.held_until().is_some() || (is_there && peer_has_it_kept)
        };
        if is_kept { Primary::Kept } else { Primary::Unusable }
    }

    /// Notes a change of the session, or of that of the backup. Gives whether it was Up.
    pub(crate) fn note_session(&mut self, session: SessionId, view: SessionView) -> bool {
        match &mut self.legs {
            Some(legs) if self.session_id != session => std::mem::replace(&mut legs.backup.is_up, view.up),
            _ => std::mem::replace(&mut self.session, view).up,
        }
    }

    /// The sessions of the route that are Up.
    pub(crate) fn sessions_up(&self) -> impl Iterator<Item = SessionId> {
        let primary = self.session.up.then_some(self.session_id);
        let backup = self.legs.as_ref().filter(|legs| legs.backup.is_up).and_then(|legs| legs.backup.session);
        primary.into_iter().chain(backup)
    }

    pub(crate) fn backup_session(&self) -> Option<SessionId> {
        self.legs.as_ref()?.backup.session
    }

    pub(crate) fn backup_link(&self) -> Option<LinkId> {
        Some(self.legs.as_ref()?.backup.link)
    }

    pub(crate) fn note_maintenance(&mut self, maintenance: &Maintenance) {
        self.maintained = maintenance.covers(self.session_id);
        if let Some(legs) = &mut self.legs {
            legs.is_maintained = legs.backup.session.is_some_and(|session| maintenance.covers(session));
        }
    }

    /// The route when a link has another index; `primary` is the link that it leads over.
    pub(crate) fn relinked(&mut self, primary: LinkId, link: LinkId, interface: u32) -> KernelRoute {
        match &mut self.legs {
            Some(legs) => {
                legs.relink(primary, link, interface);
                legs.route(legs.leg)
            }
            None => KernelRoute { interface, ..self.route.get() },
        }
    }

    /// The numbers of the objects that its legs hang on; 0 for none.
    pub(crate) fn objects(&self) -> [u32; 2] {
        let of_legs = self.legs.as_ref().map(|legs| [legs.primary.object, legs.backup_object]);
        of_legs.unwrap_or([self.route.object(), 0])
    }

    /// Gives the legs other objects, which lead over the same next hops.
    pub(crate) fn renumber(&mut self, number: impl Fn(u32) -> u32) {
        let Some(legs) = &mut self.legs else {
            let route = self.route.get();
            self.route = KernelRoute { object: number(route.object), ..route }.into();
            return;
        };
        legs.primary.object = number(legs.primary.object);
        legs.backup_object = number(legs.backup_object);
        self.route = legs.route(legs.leg).into();
    }

    /// The route has moved with its object.
    pub(crate) fn change_leg(&mut self) {
        let Some(legs) = &mut self.legs else { return };
        legs.leg = legs.other();
        self.route = legs.route(legs.leg).into();
    }

    /// A predecessor may have left the route on its other leg.
    pub(crate) fn suspect_other_leg(&mut self) {
        let Some(legs) = &self.legs else { return };
        let other = legs.route(legs.other());
        if other.interface != 0 && !self.rare().previous.contains(&other) {
            self.rare().previous.push(other);
        }
    }

    /// A predecessor may have left the route on the other leg, and has not on this one.
    pub(crate) fn adopted_elsewhere(&self) -> Option<Leg> {
        let legs = self.legs.as_ref().filter(|_| self.adopted && !self.may_be_there())?;
        let is_suspected = self.rare.as_ref()?.previous.contains(&legs.route(legs.other()));
        // The primary is the one to begin with where neither has it.
        (is_suspected || legs.leg == Leg::Backup).then(|| legs.other())
    }

    /// Runs on a leg from now on. What was there on the other one goes when the route is there.
    pub(crate) fn move_to(&mut self, leg: Leg) {
        let Some(legs) = &mut self.legs else { return };
        legs.leg = leg;
        let route = legs.route(leg);
        self.lead_over(route);
    }

    /// Another route is desired, in place of the one of before.
    pub(crate) fn lead_over(&mut self, route: KernelRoute) {
        let previous = self.route.get();
        self.route = route.into();
        replace(self, previous);
    }

    pub(crate) fn step(&self, honor_peer_passive: bool) -> Step {
        let desired = self.desired(honor_peer_passive);
        let look = if self.pending().is_some() { Step::Wait } else { Step::Look };
        let is_wanted = self.is_wanted(honor_peer_passive);
        match (desired, self.presence) {
            _ if self.leaving == Some(false) && self.previous().is_none() => Step::Nothing,
            (Desired::Absent, Presence::Present) => Step::Delete(self.route.get()),
            // The kernel takes a deletion without a priority for one of any priority: only what is there is deleted so.
            (Desired::Absent, Presence::Unknown) if self.route.get().priority != 0 && !self.may_hang_elsewhere() => {
                Step::Delete(self.route.get())
            }
            (_, Presence::Absent) if is_wanted && (self.restore_at().is_some() || self.pending().is_some()) => {
                Step::Wait
            }
            (_, Presence::Absent) if is_wanted => Step::Add,
            (Desired::Absent, Presence::Absent) if self.is_unlisted() => look,
            (Desired::Absent, Presence::Absent) => self.previous().map_or(Step::Nothing, Step::Delete),
            (_, Presence::Present) => self.previous_beside().map_or(Step::Nothing, Step::Delete),
            (Desired::Installed | Desired::AsItIs, Presence::Absent) => self
                .previous_to_leave()
                .or_else(|| self.previous_on_failed_backup())
                .map_or(Step::Nothing, Step::Delete),
            (_, Presence::Unknown) => look,
        }
    }

    /// Whether it is to be added where it is absent. One that is to stay as it is, and is there on another object, moves to ours.
    pub(crate) fn is_wanted(&self, honor_peer_passive: bool) -> bool {
        match self.desired(honor_peer_passive) {
            Desired::Installed => true,
            Desired::AsItIs => self.leaving.is_none() && self.elsewhere().is_some(),
            Desired::Absent => false,
        }
    }

    fn elsewhere(&self) -> Option<KernelRoute> {
        self.rare.as_ref()?.elsewhere
    }

    /// Whether the kernel has it, on whatever object.
    pub(crate) fn is_there(&self) -> bool {
        self.is_present() || self.elsewhere().is_some()
    }

    /// The kernel has it, on whatever object, or it is not known that it has not.
    fn may_be_there(&self) -> bool {
        self.presence != Presence::Absent || self.elsewhere().is_some()
    }

    /// A predecessor may have left it on another object or on none: only a listing tells.
    pub(crate) fn may_hang_elsewhere(&self) -> bool {
        self.adopted && self.route.object() != 0
    }

    /// As `may_hang_elsewhere`, on the leg that it is to run on, and no listing has shown yet that it is not there.
    pub(crate) fn is_looked_for(&self) -> bool {
        self.may_hang_elsewhere() && !self.is_missing()
    }

    /// As `is_looked_for`, where its leg has no interface and so no object: only a listing tells then.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.adopted && self.part.is_some() && self.route.interface() == 0 && !self.is_missing()
    }

    /// It was looked for in vain on the leg that it is to run on.
    fn is_missing(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.missing_on.contains(&self.leg()))
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
        // On another object only a listing shows it.
        self.adopted |= self.rare.as_mut().is_some_and(|rare| rare.elsewhere.take().is_some());
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

pub(crate) fn outcome(
    op: RouteOp,
    request: &RouteRequest,
    entry: &mut Entry,
    at: Time,
    result: Result<()>,
    gone: bool,
) -> RouteOutcome {
    entry.reported_as_installed = entry.counted_as_installed;
    entry.adopted &= entry.presence == Presence::Unknown || entry.is_unlisted();
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
        leg: entry.leg(),
        result,
    }
}
