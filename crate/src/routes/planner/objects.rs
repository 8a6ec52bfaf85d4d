//! Routes on next-hop objects: what goes and moves as a whole, and what the kernel's answers about objects mean to routes.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::time::Time;
use crate::routes::armed::{Desired, Doubt, RouteRequest, Step};
use crate::routes::entry::{Entry, Queue, outcome, replace};
use crate::routes::kernel_route::{KernelRoute, Presence, Result};
use crate::routes::legs::Leg;
use crate::routes::next_hop::ObjectState;
use crate::routes::object_request::{ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::parts::Part;
use crate::routes::planner::{RoutePlanner, forget_listing};

/// Routes of one session that are on the same object, and whether all of those that may be in the kernel are meant.
#[derive(Default)]
struct Together {
    /// The routes by their object and the one that they move to, which is 0 where they go.
    groups: BTreeMap<(u32, u32), Vec<RouteId>>,
    /// Objects with a route that stays.
    staying: BTreeSet<u32>,
    /// A route stays on an object of which it is not known which it is.
    stays_anywhere: bool,
}

impl Together {
    fn add(&mut self, object: u32, to: u32, id: RouteId) {
        self.groups.entry((object, to)).or_default().push(id);
    }

    fn stays(&mut self, object: u32) {
        self.staying.insert(object);
    }

    /// The groups of several routes that nothing keeps from going together.
    fn whole(self) -> impl Iterator<Item = (u32, u32, Vec<RouteId>)> {
        let Self { groups, staying, stays_anywhere } = self;
        let mut ways: BTreeMap<u32, u32> = BTreeMap::new();
        groups.keys().for_each(|(object, _)| *ways.entry(*object).or_default() += 1);
        let is_whole = move |object: u32, to: u32| {
            let is_split = ways.get(&object).is_some_and(|ways| *ways > 1);
            let is_free = to == 0 || (!staying.contains(&to) && !ways.contains_key(&to));
            object != 0 && !is_split && is_free && !staying.contains(&object) && !stays_anywhere
        };
        let groups = groups.into_iter().map(|((object, to), ids)| (object, to, ids));
        groups.filter(move |(object, to, ids)| ids.len() > 1 && is_whole(*object, *to))
    }
}

impl RoutePlanner {
    /// Gives the legs of a route the objects that they hang on.
    pub(super) fn equip(&mut self, entry: &mut Entry) {
        let part = self.part_of(entry);
        if let Some(legs) = &mut entry.legs {
            legs.primary.object = self.next_hops.acquire(part, &legs.route(Leg::Primary));
            legs.backup_object = self.next_hops.acquire(part, &legs.route(Leg::Backup));
            entry.route = legs.route(legs.leg).into();
            return;
        }
        let mut route = entry.route.get();
        route.object = self.next_hops.acquire(part, &route);
        entry.route = route.into();
    }

    /// The part of its session that a route keeps while it is of that session.
    fn part_of(&mut self, entry: &mut Entry) -> Part {
        if entry.part.is_none() && self.policy.objects.is_some() {
            entry.part = Some(self.parts.put(entry.session_id, entry.id).number);
        }
        Part { session: entry.session_id, number: entry.part.unwrap_or_default() }
    }

    /// The route is forgotten, or becomes one of another session.
    pub(super) fn leave_part(&mut self, entry: &mut Entry) {
        if let Some(number) = entry.part.take() {
            self.parts.take_out(Part { session: entry.session_id, number }, entry.id);
        }
    }

    pub(super) fn unequip(&mut self, entry: &Entry) {
        match &entry.legs {
            Some(legs) => {
                [legs.primary.object, legs.backup_object].into_iter().for_each(|id| self.next_hops.release(id))
            }
            None => self.next_hops.release(entry.route.get().object),
        }
    }

    /// Forgets a route that leaves. Where it stays in the kernel, its object does.
    pub(super) fn let_go(&mut self, id: RouteId) {
        let Some(mut entry) = self.detach(id) else { return };
        self.leave_part(&mut entry);
        if entry.presence != Presence::Absent {
            self.next_hops.left.leave(&entry.route.get());
        }
        entry.previous_routes().for_each(|previous| self.next_hops.left.leave(previous));
    }

    /// Objects that nobody needs but routes that were let go, and over which perhaps none leads any more, for `delete_unused` of
    /// `object_sweep`: each is given once, with its protocol number.
    pub fn left_objects(&mut self) -> BTreeMap<u32, u8> {
        self.next_hops.left.take_doubted()
    }

    /// Notes which of these objects stay.
    pub fn left_objects_swept(&mut self, objects: &BTreeMap<u32, u8>, stay: Result<BTreeSet<u32>>, now: Time) {
        self.next_hops.left.swept(objects, stay, now);
    }

    /// Objects that a predecessor has made, with their protocol numbers: which routes are on them is to be listed. Each is given once.
    pub fn inherited_objects(&mut self) -> BTreeMap<u32, u8> {
        self.next_hops.survey.begin()
    }

    /// Notes some of the routes on these objects, as a listing shows that was begun after they were taken. Until they are elsewhere, those
    /// of other registrations, or of none yet, keep all others on the object from going or moving as one.
    pub fn inherited_routes_listed(&mut self, some: &[KernelRoute]) {
        for route in some {
            let entry = self.routes.in_slot(&route.slot()).and_then(|id| self.routes.get(id));
            let is_owned = entry.is_some_and(|entry| {
                entry.route.get() == *route && (entry.presence != Presence::Absent || entry.asked_for_route)
            });
            if !is_owned && !self.next_hops.survey.is_settled(route) {
                self.next_hops.left.leave(route);
            }
        }
    }

    /// Notes that all routes on these objects were given to `inherited_routes_listed`, or that they could not be listed.
    pub fn inherited_objects_listed(&mut self, objects: &BTreeMap<u32, u8>, listed: Result<()>, now: Time) {
        self.next_hops.survey.end();
        match listed {
            Ok(()) => objects.keys().for_each(|id| self.next_hops.surveyed(*id)),
            Err(_) => self.next_hops.survey.put_off(objects, now),
        }
    }

    /// Those of some numbers that no route of ours needs. None will until `unreserve_objects` is called.
    pub fn reserve_objects(&mut self, ids: &[u32]) -> Vec<u32> {
        self.next_hops.reserve(ids)
    }

    /// Gives numbers free that were reserved.
    pub fn unreserve_objects(&mut self, ids: &[u32]) {
        self.next_hops.unreserve(ids);
    }

    /// Takes objects that no route needs, to be deleted. Replaced routes may still hang on some; those that are looked for, on any.
    pub(super) fn pick_unused(&mut self, most: usize, now: Time) -> Vec<ObjectRequest> {
        if !self.next_hops.has_unused() {
            return Vec::new();
        }
        let is_looking = self.routes.iter().any(Entry::may_hang_elsewhere);
        let replaced: BTreeSet<u32> =
            self.routes.iter().flat_map(Entry::previous_routes).map(|route| route.object).collect();
        self.next_hops.pick_unused(most, |object| is_looking || replaced.contains(&object), now)
    }

    /// Settles all routes of a session whose state, or the wait for it, has changed: those that go or move together do so with their
    /// object.
    pub(super) fn settle(&mut self, ids: &[RouteId], now: Time) {
        if self.policy.objects.is_none() {
            ids.iter().for_each(|id| self.enqueue(*id, now));
            return;
        }
        let has_legs = ids.iter().filter_map(|id| self.routes.get(*id)).any(|entry| entry.legs.is_some());
        let moving = if has_legs { self.moving(ids) } else { Together::default() };
        for (object, to, moved) in moving.whole() {
            if self.next_hops.exchange(object, to, moved) {
                self.exchange_legs(object, to, now);
            }
        }
        ids.iter().for_each(|id| self.enqueue(*id, now));
        for (object, _, gone) in self.going(ids).whole() {
            self.next_hops.drop_with(object, gone);
        }
    }

    /// All routes that follow the same sessions as these. A route of another session, whose backup one of these sessions watches, is not
    /// among them: the other routes of its session, which may be on the same object, would be missing.
    pub(super) fn whole_sessions(&self, ids: &[RouteId]) -> Vec<RouteId> {
        let sessions = self.routes.sessions_of(ids);
        let follows = |id: &RouteId| self.routes.get(*id).is_some_and(|entry| sessions.contains(&entry.session_id));
        let mut all: Vec<RouteId> =
            sessions.iter().flat_map(|session| self.routes_of(*session)).filter(follows).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn moving(&self, ids: &[RouteId]) -> Together {
        let mut together = Together::default();
        for entry in ids.iter().filter_map(|id| self.routes.get(*id)) {
            let object = entry.route.object();
            together.stays_anywhere |= entry.may_hang_elsewhere();
            // What was there before the last move may be there still.
            entry.previous_routes().for_each(|previous| together.stays(previous.object));
            if entry.presence == Presence::Absent && !entry.asked {
                continue;
            }
            let to = entry.next_leg(self.policy.honor_peer_passive).and_then(|leg| {
                let is_plain = entry.is_present() && !entry.asked && entry.previous().is_none();
                entry.legs.as_ref().filter(|_| is_plain).map(|legs| legs.route(leg).object)
            });
            match to.filter(|to| *to != 0) {
                Some(to) => together.add(object, to, entry.id),
                None => together.stays(object),
            }
        }
        together
    }

    fn going(&self, ids: &[RouteId]) -> Together {
        let mut together = Together::default();
        for entry in ids.iter().filter_map(|id| self.routes.get(*id)) {
            let object = entry.route.object();
            if entry.desired(self.policy.honor_peer_passive) != Desired::Absent {
                together.stays_anywhere |= entry.may_hang_elsewhere();
                // What it is to replace goes when it is there.
                entry.previous_routes().for_each(|previous| together.stays(previous.object));
            }
            if entry.presence == Presence::Absent && !entry.asked {
                continue;
            }
            let goes = entry.queued == Some(Queue::Deletes) && !entry.asked && entry.leaving.is_none();
            if goes && entry.step(self.policy.honor_peer_passive) == Step::Delete(entry.route.get()) {
                together.add(object, 0, entry.id);
            } else {
                together.stays(object);
            }
        }
        together
    }

    /// The two objects have exchanged what they lead over. Routes on the first are on their other leg by that; all others of the
    /// part keep to their next hops, which are those of the other object now.
    fn exchange_legs(&mut self, object: u32, to: u32, now: Time) {
        let Some(part) = self.next_hops.part(object) else { return };
        let exchanged = |id| if id == object { to } else { object };
        for id in self.parts.routes(part) {
            let Some(entry) = self.routes.get_mut(id) else { continue };
            let (former, uses) = (entry.route.get(), entry.objects().map(|id| [object, to].contains(&id)));
            if !uses.contains(&true) {
                continue;
            }
            for (id, _) in entry.objects().into_iter().zip(uses).filter(|(_, is_exchanged)| *is_exchanged) {
                self.next_hops.transfer(id, exchanged(id));
            }
            entry.renumber(|id| if [object, to].contains(&id) { exchanged(id) } else { id });
            if entry.presence == Presence::Absent {
                // On the other object it may be there still.
                if entry.route.get() != former {
                    replace(entry, former);
                }
            } else if former.object == object {
                entry.change_leg();
                entry.desired_at = now;
            }
        }
    }

    /// Notes that somebody deleted an object, or the kernel did: whether it is there, and its routes with it, is asked.
    pub fn object_lost(&mut self, object: u32, by_rival: bool) {
        if self.next_hops.doubt(object, by_rival) {
            self.next_hops.want(object);
        }
    }

    /// Notes the kernel's answer to a request about an object. Gives the routes that it concerns, for `object_routes_answered`.
    pub fn object_answered(&mut self, request: &ObjectRequest, answer: ObjectAnswer, now: Time) -> ConcernedRoutes {
        let before = self.next_hops.state(request.id);
        let part = self.next_hops.part(request.id);
        let is_anothers = self.next_hops.answered(request, answer, now).is_some();
        let is_doubtful = matches!(self.next_hops.state(request.id), Some(ObjectState::Doubtful { .. }));
        if is_doubtful && request.op != ObjectOp::Delete {
            self.next_hops.want(request.id);
        }
        let cause = match before {
            Some(ObjectState::Doubtful { by_rival: true }) => Doubt::Rival,
            _ => Doubt::Host,
        };
        if let (Some(ObjectState::Doubtful { .. }), ObjectAnswer::Failed(_), Some(part)) = (before, answer, part) {
            // Whether its routes are there, they are asked themselves.
            for id in self.parts.routes(part) {
                if self.routes.get(id).is_some_and(|entry| entry.route.object() == request.id) {
                    self.doubt(id, cause, now);
                }
            }
        }
        if request.op == ObjectOp::Delete && answer != ObjectAnswer::Done {
            // The answer may have been lost.
            request.routes.iter().for_each(|id| self.doubt(*id, Doubt::Host, now));
        }
        let was_gone = request.op == ObjectOp::Add && answer == ObjectAnswer::Done;
        let routes = match part {
            Some(part) if is_anothers || was_gone => self.parts.routes(part),
            _ => request.routes.clone(),
        };
        if is_anothers {
            routes.iter().for_each(|id| self.renumber(*id, request.id, now));
            return ConcernedRoutes { routes: Vec::new(), cause };
        }
        ConcernedRoutes { routes, cause }
    }

    /// Notes what the answer to a request about an object means to some routes on it.
    pub fn object_routes_answered(
        &mut self,
        request: &ObjectRequest,
        answer: ObjectAnswer,
        (routes, cause): (&[RouteId], Doubt),
        now: Time,
    ) -> Vec<RouteOutcome> {
        let ids = routes.iter();
        match (request.op, answer) {
            (ObjectOp::Delete, ObjectAnswer::Done) => {
                ids.filter_map(|id| self.gone_with(*id, request.id, now)).collect()
            }
            (ObjectOp::Delete, _) => Vec::new(),
            (ObjectOp::Move, _) => {
                let result = if let ObjectAnswer::Failed(error) = answer { Err(error) } else { Ok(()) };
                ids.filter_map(|id| self.moved_with(*id, request.id, result, now)).collect()
            }
            (ObjectOp::Add, ObjectAnswer::Done) => {
                ids.filter_map(|id| self.lost_with(*id, request.id, cause, now)).collect()
            }
            (ObjectOp::Add, _) => Vec::new(),
        }
    }

    /// Its object has a number that is another's: the route gets another.
    pub(super) fn renumber(&mut self, id: RouteId, object: u32, now: Time) {
        if !self.routes.get(id).is_some_and(|entry| entry.objects().contains(&object)) {
            return;
        }
        let Some(mut entry) = self.detach(id) else { return };
        let previous = entry.route.get();
        self.equip(&mut entry);
        if previous != entry.route.get() {
            // Where somebody else has made the object his own, the route may be on it still.
            replace(&mut entry, previous);
            entry.counted_as_installed = entry.is_present();
        }
        self.attach(entry);
        self.enqueue(id, now);
    }

    fn gone_with(&mut self, id: RouteId, object: u32, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(id).filter(|entry| entry.route.object() == object)?;
        if entry.asked || entry.queued != Some(Queue::Deletes) {
            return None;
        }
        entry.queued = None;
        entry.presence = Presence::Absent;
        forget_listing(entry);
        let conv_start = entry.conv_start(RouteOp::Delete).filter(|_| entry.leg() == Leg::Primary);
        entry.session.conv_start = entry.session.conv_start.filter(|_| conv_start.is_none());
        self.stats.answered(entry.endpoint, RouteOp::Delete, true, now, conv_start);
        self.update_installed(id);
        let entry = self.routes.get_mut(id)?;
        let news = outcome(RouteOp::Delete, &RouteRequest::of(entry), entry, now, Ok(()), false);
        self.enqueue(id, now);
        Some(news)
    }

    fn moved_with(&mut self, id: RouteId, object: u32, result: Result<()>, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(id).filter(|entry| entry.route.object() == object)?;
        let conv_start = entry.session.conv_start.filter(|_| result.is_ok());
        let to_backup = entry.leg() == Leg::Backup;
        if result.is_ok() {
            entry.session.conv_start = None;
            let (up, down) = if to_backup { (None, conv_start) } else { (conv_start, None) };
            self.stats.answered(entry.endpoint, RouteOp::Add, true, now, up);
            self.stats.answered(entry.endpoint, RouteOp::Delete, true, now, down);
        } else {
            self.stats.answered(entry.endpoint, RouteOp::Add, false, now, None);
        }
        let news = outcome(RouteOp::Add, &RouteRequest::of(entry), entry, now, result, false);
        if result.is_ok() {
            // What is told now ends the wait for another attempt, where its deletion has failed.
            self.enqueue(id, now);
        }
        Some(news)
    }

    /// The object had to be made anew: the route went with it.
    fn lost_with(&mut self, id: RouteId, object: u32, cause: Doubt, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(id).filter(|entry| entry.route.object() == object)?;
        // An answer that is still to come may be older. What a predecessor left is looked for by a listing, one that begins now.
        if entry.asked || entry.presence == Presence::Absent || entry.may_hang_elsewhere() {
            self.doubt(id, cause, now);
            return None;
        }
        forget_listing(entry);
        self.seen(id, Presence::Absent, Some(cause), now)
    }
}

/// The routes that an answer about an object concerns.
#[derive(Clone, Debug)]
pub struct ConcernedRoutes {
    /// The routes.
    pub routes: Vec<RouteId>,
    /// Why they went, if they did.
    pub(crate) cause: Doubt,
}

impl ConcernedRoutes {
    /// In portions, so that a caller who shares the planner can let other threads use it in between.
    pub fn portions(&self, most: usize) -> impl Iterator<Item = (&[RouteId], Doubt)> {
        self.routes.chunks(most).map(|some| (some, self.cause))
    }
}
