//! The route planner: what the kernel is to hold for each armed route, and in which order it is asked. Pure, given the time.
//! `worker` sends the planner's requests to the kernel; the simulator runs the same planner against tables of its own.
//!
//! Every command carries a generation. What is desired is decided when a request is picked, not when the route was armed,
//! and an answer is compared with what is desired by then. A route is `Present`, `Absent` or `Unknown` in the kernel. A
//! notice of another process's change, a change of a link, or a lost answer makes it unknown; a look at exactly that route
//! finds out.

mod answers;
mod objects;
mod sessions;
mod waits;

use std::collections::{BTreeSet, VecDeque};

use crate::engine::SessionId;
use crate::engine::stats::LocalEndpoint;
use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{
    ArmedRoute, ArmingPolicy, Batch, Desired, Doubt, HOLD_US, Pending, RouteRequest, SessionView, Step,
};
use crate::routes::entry::{Entry, Queue, outcome, replace};
use crate::routes::kernel_route::{KernelRoute, Presence, Slot};
use crate::routes::legs::Leg;
use crate::routes::maintenance::Maintenance;
use crate::routes::mass_down::RecentDowns;
use crate::routes::next_hop::{NextHops, ObjectState};
use crate::routes::outcome::{RouteId, RouteOp};
use crate::routes::parts::{Parts, ROUTES_PER_OBJECT};
use crate::routes::route_table::RouteTable;
use crate::routes::stats::RouteStats;

/// The most requests picked at once for deletions. The answers to a thousand do not fit into a socket's buffer and are lost.
pub const MOST_DELETES: usize = 128;

/// The most other requests picked at once: a deletion that comes meanwhile waits for them.
const MOST_OTHERS: usize = 32;

/// All armed routes, and the requests that wait. Deletes go before looks, and looks before adds.
#[derive(Debug)]
pub struct RoutePlanner {
    policy: ArmingPolicy,
    maintenance: Maintenance,
    downs: RecentDowns,
    routes: RouteTable,
    /// Most sessions have one route: no list for each.
    by_session: BTreeSet<(SessionId, RouteId)>,
    /// When holds and delays end.
    timers: BTreeSet<(Time, RouteId)>,
    /// What only a listing can find out.
    pending: BTreeSet<RouteId>,
    next_hops: NextHops,
    parts: Parts,
    deletes: VecDeque<RouteId>,
    looks: VecDeque<RouteId>,
    adds: VecDeque<RouteId>,
    /// Of the last question to a listing.
    last_ticket: u64,
    stats: RouteStats,
}

impl RoutePlanner {
    /// A planner without routes.
    #[must_use]
    pub fn new(policy: ArmingPolicy) -> Self {
        Self {
            policy,
            maintenance: Maintenance::default(),
            downs: RecentDowns::default(),
            routes: RouteTable::default(),
            by_session: BTreeSet::new(),
            timers: BTreeSet::new(),
            pending: BTreeSet::new(),
            next_hops: NextHops::new(policy.objects.map(|objects| objects.range)),
            parts: Parts::new(policy.objects.map_or(ROUTES_PER_OBJECT, |objects| objects.routes_per_object)),
            deletes: VecDeque::new(),
            looks: VecDeque::new(),
            adds: VecDeque::new(),
            last_ticket: 0,
            stats: RouteStats::default(),
        }
    }

    /// As this one, which has no routes, with sessions in maintenance.
    #[must_use]
    pub fn with_maintenance(self, maintenance: Maintenance) -> Self {
        Self { maintenance, ..self }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &RouteStats {
        &self.stats
    }

    /// Whether there is something to `pick`.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let has_requests = !self.deletes.is_empty() || !self.looks.is_empty() || !self.adds.is_empty();
        has_requests || self.next_hops.has_work() || self.next_hops.has_unused()
    }

    /// Whether there are `questions`, `left_objects`, or `inherited_objects`.
    #[must_use]
    pub fn has_questions(&self) -> bool {
        !self.pending.is_empty() || self.next_hops.left.has_doubted() || self.next_hops.survey.is_wanted()
    }

    /// When `handle_timeout` has something to do.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Time> {
        let next = self.timers.first().map(|(at, _)| *at);
        next.into_iter().chain(self.next_hops.poll_deadline()).min()
    }

    /// Until when a route that others take away again and again is not put back.
    #[must_use]
    pub fn restore_at(&self, id: RouteId) -> Option<Time> {
        self.routes.get(id)?.restore_at()
    }

    /// Until when a route is not installed since its session flaps.
    #[must_use]
    pub fn suppressed_until(&self, id: RouteId) -> Option<Time> {
        self.routes.get(id)?.suppressed_until()
    }

    /// Arms a route, or replaces what is known of it: an older generation changes nothing. Where the route itself is
    /// another than before, that one goes when the new one is there, or when none is to be.
    pub fn arm(&mut self, spec: ArmedRoute, endpoint: LocalEndpoint, session: SessionView, now: Time) {
        let known = self.routes.get(spec.id);
        if known.is_some_and(|entry| entry.generation >= spec.generation) {
            return;
        }
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{now:?} ARM {spec:?} {session:?}");
        }
        let is_new = known.is_none();
        let endpoint = self.stats.number(endpoint);
        let mut entry = self.detach(spec.id).unwrap_or_else(|| Entry::new(&spec, endpoint, session, now));
        let previous = entry.route.get();
        let (was_up, is_of_same_session) = (entry.session.up, entry.session_id == spec.session);
        if !is_of_same_session {
            self.leave_part(&mut entry);
        }
        entry.take(&spec);
        self.equip(&mut entry);
        (entry.endpoint, entry.session, entry.leaving) = (endpoint, session, None);
        entry.note_maintenance(&self.maintenance);
        if is_new && spec.backup.is_some() {
            // The primary is tried first.
            entry.rare().held_until = Some(now.plus(HOLD_US));
        }
        if previous != entry.route.get() {
            if entry.is_present() && !session.up {
                // The path that it leads over worked a moment ago: it stays while the new session begins.
                entry.rare().held_until = Some(now.plus(HOLD_US));
            }
            replace(&mut entry, previous);
            entry.counted_as_installed = entry.is_present();
        }
        if spec.adopted {
            // Whatever was known before: an outcome has to say whether it is there.
            if entry.asked {
                entry.doubt = entry.doubt.max(Some(Doubt::Host));
            } else {
                entry.forget_presence();
            }
            entry.rare().held_until = Some(now.plus(HOLD_US));
            entry.rare().missing_on.clear();
        }
        if entry.adopted {
            entry.suspect_other_leg();
            if entry.route.interface() == 0
                && let Some(leg) = entry.adopted_elsewhere()
            {
                // It cannot be on this one.
                entry.move_to(leg);
            }
        }
        if (session.up || spec.admin_down)
            && let Some(rare) = &mut entry.rare
        {
            rare.held_until = None;
        }
        if (spec.admin_down || !is_of_same_session || entry.damping.is_none())
            && let Some(rare) = &mut entry.rare
        {
            rare.suppressed_until = None;
        }
        self.attach(entry);
        if is_of_same_session {
            // Of a session that goes on after a restart it is not known for how long it has been Up.
            self.damp(spec.id, was_up && !(is_new && spec.adopted), now);
        }
        if let Some(entry) = self.routes.get(spec.id).filter(|entry| entry.is_present()) {
            // Where its object could not be moved, that is tried again now: the attempt that waits is of the former generation.
            self.next_hops.found(entry.route.object(), spec.id);
        }
        self.enqueue(spec.id, now);
    }

    /// Forgets a route, after its deletion where `remove` says so.
    pub fn disarm(&mut self, id: RouteId, generation: u32, remove: bool, now: Time) {
        let Some(entry) = self.routes.get_mut(id) else { return };
        if generation <= entry.generation {
            return;
        }
        entry.generation = generation;
        entry.leaving = Some(remove);
        self.enqueue(id, now);
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub fn retry(&mut self, id: RouteId, generation: u32, now: Time) {
        if let Some(entry) = self.routes.get(id).filter(|entry| entry.generation == generation) {
            if entry.is_present() {
                self.next_hops.retry_move(entry.route.object(), id);
            }
            self.enqueue(id, now);
        }
    }

    /// Notes that another process deleted a route. The notice may be older than what is known, so the route is looked at
    /// again. A previous route that may be there stays one. In IPv6 any deletion in the slot casts doubt: a listing shows all of a
    /// route only when it is the first of its siblings.
    pub fn lost(&mut self, route: &KernelRoute, now: Time) {
        self.next_hops.left.slot_changed(&route.slot());
        self.settled(route);
        let Some(id) = self.routes.in_slot(&route.slot()) else { return };
        if route.is_ipv6() || self.routes.get(id).is_some_and(|entry| entry.route.get() == *route) {
            self.doubt(id, Doubt::Rival, now);
        }
    }

    /// Notes that another process put a route into a slot, where it may have replaced ours.
    pub fn taken(&mut self, slot: &Slot, now: Time) {
        self.next_hops.left.slot_changed(slot);
        if let Some(id) = self.routes.in_slot(slot) {
            self.doubt(id, Doubt::Rival, now);
        }
    }

    /// Has some of the routes that a suspicion concerns looked at, from a session and a route on; gives where to go on, so
    /// that a caller who shares the planner can let other threads use it in between.
    pub fn recheck(
        &mut self,
        affected: &AffectedRoutes,
        from: (SessionId, RouteId),
        most: usize,
        now: Time,
    ) -> Option<(SessionId, RouteId)> {
        if from == (SessionId(0), RouteId(0)) {
            self.next_hops.left.host_changed();
            if affected.all {
                self.next_hops.doubt_all();
            }
        }
        let some: Vec<(SessionId, RouteId)> = self.by_session.range(from..).take(most + 1).copied().collect();
        for (_, id) in some.iter().take(most) {
            if self.routes.get(*id).is_some_and(|entry| affected.includes(&entry.route.get())) {
                self.doubt(*id, Doubt::Host, now);
            }
        }
        some.get(most).copied()
    }

    /// Takes up to one message of each kind of what has to be asked of the kernel.
    pub fn pick(&mut self, now: Time) -> Batch {
        let mut batch = Batch { objects: self.next_hops.pick(MOST_OTHERS), ..Batch::default() };
        // Routes can be added only when the object is there, and need not be deleted when it goes.
        if !batch.objects.is_empty() {
            return batch;
        }
        while batch.deletes.len() < MOST_DELETES && batch.looks.len() + batch.adds.len() < MOST_OTHERS {
            let Some(id) = self.next() else {
                if batch.deletes.is_empty() && batch.looks.is_empty() && batch.adds.is_empty() {
                    batch.objects = self.pick_unused(MOST_OTHERS, now);
                }
                break;
            };
            let Some(entry) = self.routes.get_mut(id) else { continue };
            // It stood in two queues and was picked before, or its request is on its way.
            if entry.queued.take().is_none() || entry.asked {
                continue;
            }
            let step = entry.step(self.policy.honor_peer_passive);
            let op = match step {
                Step::Add => RouteOp::Add,
                Step::Delete(_) => RouteOp::Delete,
                Step::Nothing | Step::Wait | Step::Look => RouteOp::None,
            };
            let route = if let Step::Delete(route) = step { route } else { entry.route.get() };
            let listed = entry.rare.as_mut().and_then(|rare| rare.listed.take());
            let (replaces, was_listed) = (listed.or_else(|| entry.replaced()), listed.is_some());
            let replaces = replaces.filter(|_| step == Step::Add);
            // What leaves the backup does so for its own session.
            let conv_start = entry.conv_start(op).filter(|_| entry.leg() == Leg::Primary || route != entry.route.get());
            let request = RouteRequest { route, replaces, was_listed, conv_start, ..RouteRequest::of(entry) };
            let is_unwanted = entry.desired(self.policy.honor_peer_passive) == Desired::Absent;
            match step {
                Step::Look if entry.is_unlisted() => {
                    self.ask(id, Pending::Presence);
                    continue;
                }
                // A look finds a route by the number of its object: what that leads over has to be known.
                Step::Add | Step::Look => match self.next_hops.state(route.object) {
                    None | Some(ObjectState::Present) if step == Step::Add => batch.adds.push(request),
                    None | Some(ObjectState::Present) => batch.looks.push(request.because_of(entry.doubt.take())),
                    Some(ObjectState::Refused(_)) if step == Step::Look && is_unwanted => {
                        batch.looks.push(request.because_of(entry.doubt.take()));
                    }
                    // A listing tells where else it hangs.
                    Some(ObjectState::Refused(_)) if step == Step::Look && entry.adopted => {
                        self.ask(id, Pending::Presence);
                        continue;
                    }
                    Some(ObjectState::Refused(error)) => {
                        if step == Step::Add {
                            self.stats.answered(entry.endpoint, RouteOp::Add, false, now, None);
                        }
                        batch.idle.push(outcome(op, &request, entry, now, Err(error), false));
                        continue;
                    }
                    Some(_) => {
                        let (queue, ids) = match step {
                            Step::Add => (Queue::Adds, &mut self.adds),
                            _ => (Queue::Looks, &mut self.looks),
                        };
                        entry.queued = Some(queue);
                        ids.push_front(id);
                        self.next_hops.want(route.object);
                        break;
                    }
                },
                Step::Delete(_) => batch.deletes.push(request),
                Step::Nothing if entry.leaving.is_some() => {
                    let gone = outcome(RouteOp::None, &request, entry, now, Ok(()), true);
                    self.let_go(id);
                    batch.idle.push(gone);
                }
                Step::Nothing | Step::Wait if entry.owes_outcome() => {
                    if entry.is_present() {
                        // What is told now ends the wait for another attempt, where its object could not be moved.
                        self.next_hops.found(route.object, id);
                    }
                    batch.idle.push(outcome(RouteOp::None, &request, entry, now, Ok(()), false));
                    continue;
                }
                Step::Nothing | Step::Wait => continue,
            }
            if let Some(entry) = self.routes.get_mut(id) {
                entry.asked = true;
                entry.asked_for_route = request.route == entry.route.get();
                // Nothing that was noticed before is of interest after it, nor a listing from before.
                entry.doubt = None;
                if let Some(rare) = &mut entry.rare {
                    rare.pending = None;
                }
            }
        }
        batch
    }

    /// What is known of a route is not certain any more.
    fn doubt(&mut self, id: RouteId, doubt: Doubt, now: Time) {
        let Some(entry) = self.routes.get_mut(id) else { return };
        if !entry.asked && entry.presence == Presence::Absent {
            // What a listing may say is in doubt, too.
            if forget_listing(entry) {
                self.enqueue(id, now);
            }
            return;
        }
        entry.doubt = entry.doubt.max(Some(doubt));
        if !entry.asked {
            entry.forget_presence();
            forget_listing(entry);
            self.enqueue(id, now);
        }
    }

    fn update_installed(&mut self, id: RouteId) {
        let Some(entry) = self.routes.get_mut(id) else { return };
        let is_there = entry.is_there();
        self.stats.installed(entry.endpoint, entry.counted_as_installed, is_there);
        entry.counted_as_installed = is_there;
    }

    /// Has a route run on the leg that it is to run on now.
    fn settle_leg(&mut self, id: RouteId) {
        let Some(entry) = self.routes.get_mut(id).filter(|entry| entry.legs.is_some()) else { return };
        if let Some(leg) = entry.next_leg(self.policy.honor_peer_passive) {
            entry.move_to(leg);
            self.update_installed(id);
        }
    }

    fn enqueue(&mut self, id: RouteId, now: Time) {
        self.settle_leg(id);
        let Some(entry) = self.routes.get_mut(id) else { return };
        if entry.asked {
            return;
        }
        let step = entry.step(self.policy.honor_peer_passive);
        match (entry.route.object(), step) {
            (0, _) | (_, Step::Delete(_)) => {}
            (object, Step::Add) => self.next_hops.want(object),
            (object, Step::Look) => {
                self.next_hops.keep(object);
                self.next_hops.want(object);
            }
            (object, _) => self.next_hops.keep(object),
        }
        let queue = match step {
            Step::Delete(_) => Queue::Deletes,
            Step::Nothing if entry.leaving.is_some() => Queue::Deletes,
            Step::Nothing | Step::Wait if entry.queued.is_none() && !entry.owes_outcome() => return,
            Step::Look | Step::Nothing | Step::Wait => Queue::Looks,
            Step::Add => Queue::Adds,
        };
        match entry.queued {
            None => entry.desired_at = now,
            // It is picked no later than where it waits already.
            Some(Queue::Deletes) => return,
            Some(waits) if waits == queue || queue != Queue::Deletes => return,
            Some(_) => entry.desired_at = now,
        }
        entry.queued = Some(queue);
        match queue {
            Queue::Deletes => &mut self.deletes,
            Queue::Looks => &mut self.looks,
            Queue::Adds => &mut self.adds,
        }
        .push_back(id);
    }

    fn next(&mut self) -> Option<RouteId> {
        self.deletes.pop_front().or_else(|| self.looks.pop_front()).or_else(|| self.adds.pop_front())
    }

    fn attach(&mut self, entry: Entry) {
        let id = entry.id;
        self.by_session.insert((entry.session_id, id));
        self.by_session.extend(entry.backup_session().map(|session| (session, id)));
        self.timers.extend(entry.held_until().map(|until| (until, id)));
        self.timers.extend(entry.restore_at().map(|at| (at, id)));
        self.timers.extend(entry.suppressed_until().map(|until| (until, id)));
        if entry.pending().is_some() {
            self.pending.insert(id);
        }
        self.stats.installed(entry.endpoint, false, entry.counted_as_installed);
        self.routes.insert(entry);
    }

    fn detach(&mut self, id: RouteId) -> Option<Entry> {
        let entry = self.routes.remove(id)?;
        self.unequip(&entry);
        for session in [Some(entry.session_id), entry.backup_session()].into_iter().flatten() {
            self.by_session.remove(&(session, id));
        }
        for at in [entry.held_until(), entry.restore_at(), entry.suppressed_until()].into_iter().flatten() {
            self.timers.remove(&(at, id));
        }
        self.pending.remove(&id);
        self.stats.installed(entry.endpoint, entry.counted_as_installed, false);
        Some(entry)
    }
}

/// A listing that was asked for before may be older than what is known now. Gives whether one was.
fn forget_listing(entry: &mut Entry) -> bool {
    let Some(rare) = &mut entry.rare else { return false };
    rare.listed = None;
    rare.pending.take().is_some()
}
