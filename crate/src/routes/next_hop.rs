//! Next-hop objects: which routes hang on which, under which numbers, and what is to be asked of the kernel about them. Pure.
//!
//! An object belongs to one part of a session and one next hop. Its number is chosen when the first route needs it, and it is made before the
//! first route is added. When all routes on it are to go, or to move to their backup, the object is deleted, or made to lead over
//! the other next hop, in one request.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::protocol::time::Time;
use crate::routes::kernel_route::{KernelRoute, RouteError, SystemError};
use crate::routes::left_objects::LeftObjects;
use crate::routes::object_request::{NextHop, ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::outcome::RouteId;
use crate::routes::parts::Part;
use crate::routes::put_off::PutOff;
use crate::routes::survey::Survey;

/// The numbers that objects may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRange {
    /// The first one, above 0.
    pub first: u32,
    /// The last one, below `u32::MAX`.
    pub last: u32,
}

impl ObjectRange {
    /// Where nobody has chosen others: above what routing daemons use, which count from 1.
    pub const DEFAULT: Self = Self { first: 1_862_000_000, last: 1_862_999_999 };

    /// Whether a number is one of them.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        (self.first..=self.last).contains(&id)
    }
}

impl Default for ObjectRange {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Stands for the object of a route for which no number was left.
const NO_NUMBER: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) part: Part,
    pub(crate) hop: NextHop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectState {
    /// The kernel does not have it.
    Absent,
    /// Whether the kernel has it has to be asked: somebody deleted it, or the kernel did.
    Doubtful {
        by_rival: bool,
    },
    Present,
    /// The kernel has it, with another next hop.
    Elsewhere,
    /// The kernel does not have it, and has refused it.
    Refused(RouteError),
}

#[derive(Debug)]
struct Object {
    key: Key,
    users: u32,
    state: ObjectState,
    /// Nothing says that the kernel does not have it.
    may_be_there: bool,
    /// We have made it, or a listing has shown which routes are on it.
    is_surveyed: bool,
    /// A request is on its way to the kernel, or its answer from there …
    asked: bool,
    /// … and meanwhile somebody deleted the object.
    doubted: Option<bool>,
    /// The routes that go with it, where its deletion is to be asked for; that move with it, where that is.
    routes: Option<Vec<RouteId>>,
}

impl Object {
    /// Somebody else deleted it, or the kernel did. Gives whether that means anything to it.
    fn doubt(&mut self, by_rival: bool) -> bool {
        // One that was refused may be there all the same: a predecessor may have made it.
        if !self.may_be_there && !matches!(self.state, ObjectState::Refused(_)) {
            return false;
        }
        // One that is to be moved is asked for by that, unless it may be another's by now: that is not to be moved.
        if self.state != ObjectState::Elsewhere || by_rival {
            self.state = ObjectState::Doubtful { by_rival };
            self.routes = None;
        }
        true
    }
}

#[derive(Debug, Default)]
pub(crate) struct NextHops {
    range: Option<ObjectRange>,
    ids: FxHashMap<Key, u32>,
    objects: BTreeMap<u32, Object>,
    /// Numbers that others hold.
    taken: BTreeSet<u32>,
    last: u32,
    queue: VecDeque<(ObjectOp, u32)>,
    /// What stands in the queue.
    queued: FxHashSet<(ObjectOp, u32)>,
    unused: BTreeSet<u32>,
    /// Objects that no route needs and that the kernel did not delete.
    undeleted: PutOff<u32>,
    /// Objects with routes that were let go and stay in the kernel are neither deleted nor moved with all of their routes.
    pub(crate) left: LeftObjects,
    /// Nor are those of which it is not known what a predecessor has left on them.
    pub(crate) survey: Survey,
}

impl NextHops {
    pub(crate) fn new(range: Option<ObjectRange>) -> Self {
        Self { range, ..Self::default() }
    }

    /// The number of the object that a route is to hang on; 0 where routes have none.
    pub(crate) fn acquire(&mut self, part: Part, route: &KernelRoute) -> u32 {
        let Some(range) = self.range.filter(|_| route.interface != 0) else { return 0 };
        let hop = NextHop { address: route.next_hop, interface: route.interface, protocol: route.protocol };
        let key = Key { part, hop };
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => self.number(range, key),
        };
        if let Some(object) = self.objects.get_mut(&id) {
            object.users += 1;
            self.unused.remove(&id);
            self.undeleted.forget(&id);
        }
        id
    }

    /// Those of some numbers that no route has; no object gets one of them until they are given free.
    pub(crate) fn reserve(&mut self, ids: &[u32]) -> Vec<u32> {
        let free: Vec<u32> = ids.iter().filter(|id| !self.objects.contains_key(id)).copied().collect();
        self.taken.extend(&free);
        free
    }

    /// Gives numbers free that were reserved.
    pub(crate) fn unreserve(&mut self, ids: &[u32]) {
        self.taken.retain(|id| !ids.contains(id));
    }

    fn number(&mut self, range: ObjectRange, key: Key) -> u32 {
        let from = if range.contains(self.last) && self.last < range.last { self.last + 1 } else { range.first };
        let is_free = |id: &u32| !self.objects.contains_key(id) && !self.taken.contains(id) && !self.left.is_aside(*id);
        let Some(id) = (from..=range.last).chain(range.first..from).find(is_free) else { return NO_NUMBER };
        self.last = id;
        self.ids.insert(key, id);
        self.objects.insert(
            id,
            Object {
                key,
                users: 0,
                state: ObjectState::Absent,
                may_be_there: false,
                is_surveyed: false,
                asked: false,
                doubted: None,
                routes: None,
            },
        );
        id
    }

    /// A route that was given this number does not need it any more.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        object.users -= 1;
        if object.users == 0 {
            self.unused.insert(id);
        }
    }

    /// A route that was given the one number has the other now.
    pub(crate) fn transfer(&mut self, from: u32, to: u32) {
        if let Some(object) = self.objects.get_mut(&from) {
            object.users -= 1;
        }
        if let Some(object) = self.objects.get_mut(&to) {
            object.users += 1;
        }
    }

    /// `None` for no object.
    pub(crate) fn state(&self, id: u32) -> Option<ObjectState> {
        match id {
            0 => None,
            NO_NUMBER => Some(ObjectState::Refused(RouteError::NoNumber)),
            id => self.objects.get(&id).map(|object| object.state),
        }
    }

    /// A route on it is to be added.
    pub(crate) fn want(&mut self, id: u32) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        let op = match object.state {
            ObjectState::Present => return,
            ObjectState::Elsewhere => ObjectOp::Move,
            ObjectState::Absent | ObjectState::Doubtful { .. } | ObjectState::Refused(_) => ObjectOp::Add,
        };
        self.ask(op, id);
    }

    /// All routes on it are to go: these.
    pub(crate) fn drop_with(&mut self, id: u32, routes: Vec<RouteId>) {
        let is_free = |object: &&mut Object| {
            object.state == ObjectState::Present && object.is_surveyed && !self.left.has_routes(id)
        };
        if let Some(object) = self.objects.get_mut(&id).filter(is_free) {
            object.routes = Some(routes);
            self.ask(ObjectOp::Delete, id);
        }
    }

    /// One of the routes on it is not to go.
    pub(crate) fn keep(&mut self, id: u32) {
        if let Some(object) = self.objects.get_mut(&id).filter(|object| object.state == ObjectState::Present) {
            object.routes = None;
        }
    }

    /// Exchanges the next hops of two objects, of which the second has no route in the kernel. These routes move.
    pub(crate) fn exchange(&mut self, id: u32, other: u32, routes: Vec<RouteId>) -> bool {
        let keys = self.objects.get(&id).zip(self.objects.get(&other)).map(|(one, two)| (one.key, two.key));
        let Some((key, other_key)) = keys else { return false };
        let is_ours = |object: &Object| {
            matches!(object.state, ObjectState::Present | ObjectState::Elsewhere) && object.is_surveyed
        };
        // A number of which it is not known whether it is another's by now is not to be moved.
        let is_known = |object: &Object| is_ours(object) || !(object.may_be_there || object.asked);
        let allows = |id: u32, is_fit: &dyn Fn(&Object) -> bool| {
            self.objects.get(&id).is_some_and(|object| !self.left.has_routes(id) && is_fit(object))
        };
        if !allows(id, &is_ours) || !allows(other, &is_known) {
            return false;
        }
        for (id, key) in [(id, other_key), (other, key)] {
            self.ids.insert(key, id);
            let Some(object) = self.objects.get_mut(&id) else { continue };
            object.key = key;
            object.routes = None;
            // An addition whose answer was lost may have made it, too.
            if object.may_be_there {
                object.state = ObjectState::Elsewhere;
            }
        }
        if let Some(object) = self.objects.get_mut(&id) {
            object.routes = Some(routes);
        }
        self.ask(ObjectOp::Move, id);
        true
    }

    /// Somebody else deleted it, or the kernel did.
    pub(crate) fn doubt(&mut self, id: u32, by_rival: bool) -> bool {
        let Some(object) = self.objects.get_mut(&id) else {
            self.left.object_changed(id);
            return false;
        };
        if object.asked {
            object.doubted = object.doubted.max(Some(by_rival));
            return false;
        }
        object.doubt(by_rival) && object.users > 0
    }

    /// Notices were lost.
    pub(crate) fn doubt_all(&mut self) {
        let ids: Vec<u32> = self.objects.keys().copied().collect();
        for id in ids {
            if self.doubt(id, false) {
                self.want(id);
            }
        }
    }

    /// A listing has shown the routes on it.
    pub(crate) fn surveyed(&mut self, id: u32) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.is_surveyed = true;
        }
    }

    /// Whose routes hang on it.
    pub(crate) fn part(&self, id: u32) -> Option<Part> {
        Some(self.objects.get(&id)?.key.part)
    }

    /// A route on it was refused where it is to lead, and is tried again.
    pub(crate) fn retry_move(&mut self, id: u32, route: RouteId) {
        let Some(object) = self.objects.get_mut(&id).filter(|object| object.state == ObjectState::Elsewhere) else {
            return;
        };
        object.routes.get_or_insert_default().push(route);
        self.ask(ObjectOp::Move, id);
    }

    /// A route on it was found in the kernel. Where the object still leads elsewhere, that is mended, unless the kernel is asked already.
    pub(crate) fn found(&mut self, id: u32, route: RouteId) {
        if self.objects.get(&id).is_some_and(|object| !object.asked) {
            self.retry_move(id, route);
        }
    }

    /// When `handle_timeout` has something to do.
    pub(crate) fn poll_deadline(&self) -> Option<Time> {
        [self.undeleted.poll_deadline(), self.left.poll_deadline(), self.survey.poll_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.left.handle_timeout(now);
        self.survey.handle_timeout(now);
        self.unused.extend(self.undeleted.take_due(now));
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What takes routes from a path that does not work goes before what adds some.
    fn ask(&mut self, op: ObjectOp, id: u32) {
        if !self.queued.insert((op, id)) {
            return;
        }
        match op {
            ObjectOp::Delete | ObjectOp::Move => self.queue.push_front((op, id)),
            ObjectOp::Add => self.queue.push_back((op, id)),
        }
    }

    /// Takes what has to be asked of the kernel, additions last.
    pub(crate) fn pick(&mut self, most: usize) -> Vec<ObjectRequest> {
        let mut requests = Vec::new();
        while requests.len() < most {
            let Some((op, id)) = self.queue.pop_front() else { break };
            self.queued.remove(&(op, id));
            let Some(object) = self.objects.get_mut(&id) else { continue };
            let is_due = match op {
                ObjectOp::Delete => object.routes.is_some() && object.state == ObjectState::Present,
                ObjectOp::Move => object.state == ObjectState::Elsewhere,
                ObjectOp::Add => !matches!(object.state, ObjectState::Present | ObjectState::Elsewhere),
            };
            if is_due {
                object.asked = true;
                let mut routes = object.routes.take().unwrap_or_default();
                // Some may have been named twice.
                routes.sort_unstable();
                routes.dedup();
                requests.push(ObjectRequest { op, id, hop: object.key.hop, routes });
            }
        }
        requests
    }

    /// Takes the objects that no route needs, to be deleted. On those in use some route may hang still: they are looked at later.
    /// Of one that may be another's by now an addition tells first whose it is.
    pub(crate) fn pick_unused(&mut self, most: usize, in_use: impl Fn(u32) -> bool, now: Time) -> Vec<ObjectRequest> {
        let mut requests = Vec::new();
        while requests.len() < most
            && let Some(id) = self.unused.pop_first()
        {
            let Some(object) = self.objects.get_mut(&id) else { continue };
            let hop = object.key.hop;
            if in_use(id) {
                self.delete_later(id, now);
                continue;
            }
            if !object.may_be_there {
                self.forget(id);
                continue;
            }
            let is_ours = matches!(object.state, ObjectState::Present | ObjectState::Elsewhere);
            if self.left.has_routes(id) || (is_ours && !object.is_surveyed) {
                self.remove(id);
                self.left.set_aside(id, hop.protocol);
            } else {
                let op = if is_ours { ObjectOp::Delete } else { ObjectOp::Add };
                object.asked = true;
                requests.push(ObjectRequest { op, id, hop, routes: Vec::new() });
            }
        }
        requests
    }

    pub(crate) fn has_unused(&self) -> bool {
        !self.unused.is_empty()
    }

    /// The kernel does not have it any more, or it is another's.
    fn forget(&mut self, id: u32) {
        self.left.gone(id);
        self.remove(id);
    }

    fn remove(&mut self, id: u32) {
        if let Some(object) = self.objects.remove(&id)
            && self.ids.get(&object.key) == Some(&id)
        {
            self.ids.remove(&object.key);
        }
    }

    /// The number is another's. Gives the part whose routes are to hang on another object.
    fn give_up(&mut self, id: u32) -> Option<Part> {
        let part = self.part(id)?;
        self.taken.insert(id);
        self.forget(id);
        Some(part)
    }

    /// A listing has shown that what has this number leads another way. Where the kernel has refused to make ours, gives what `give_up`
    /// does: it may refuse that for long, and only an addition is told that the number is taken.
    pub(crate) fn misled(&mut self, id: u32) -> Option<Part> {
        matches!(self.state(id), Some(ObjectState::Refused(_))).then(|| self.give_up(id))?
    }

    /// Notes the answer to a request. Gives the part whose routes are to hang on another object, where the number is another's.
    pub(crate) fn answered(&mut self, request: &ObjectRequest, answer: ObjectAnswer, now: Time) -> Option<Part> {
        let object = self.objects.get_mut(&request.id)?;
        match (request.op, answer) {
            (ObjectOp::Add, ObjectAnswer::Done) => object.is_surveyed = true,
            (ObjectOp::Add, ObjectAnswer::WasThere) if !object.is_surveyed => {
                self.survey.want(request.id, request.hop.protocol);
            }
            _ => {}
        }
        if answer == ObjectAnswer::Done && request.op != ObjectOp::Move {
            // What was on it before has gone with it.
            self.left.gone(request.id);
        }
        let is_as_asked = object.key.hop == request.hop;
        object.may_be_there = match answer {
            ObjectAnswer::Done => request.op != ObjectOp::Delete,
            ObjectAnswer::WasThere | ObjectAnswer::Failed(RouteError::Unanswered) => true,
            ObjectAnswer::Taken | ObjectAnswer::Failed(_) => object.may_be_there,
        };
        object.state = match (request.op, answer) {
            (ObjectOp::Delete, ObjectAnswer::Done) => ObjectState::Absent,
            (ObjectOp::Delete, _) if object.state == ObjectState::Elsewhere => ObjectState::Elsewhere,
            (ObjectOp::Delete, _) => ObjectState::Doubtful { by_rival: false },
            (_, ObjectAnswer::Done | ObjectAnswer::WasThere) if is_as_asked => ObjectState::Present,
            (_, ObjectAnswer::Done | ObjectAnswer::WasThere) => ObjectState::Elsewhere,
            (ObjectOp::Move, ObjectAnswer::Failed(RouteError::System(SystemError::NO_ENTRY))) => {
                ObjectState::Doubtful { by_rival: true }
            }
            (ObjectOp::Move, _) => ObjectState::Elsewhere,
            // It may have been made, to lead where it was to lead before.
            (ObjectOp::Add, ObjectAnswer::Failed(RouteError::Unanswered)) if !is_as_asked => ObjectState::Elsewhere,
            (ObjectOp::Add, ObjectAnswer::Failed(error)) => ObjectState::Refused(error),
            (ObjectOp::Add, ObjectAnswer::Taken) => return self.give_up(request.id),
        };
        object.asked = false;
        if let Some(by_rival) = object.doubted.take() {
            object.doubt(by_rival);
        }
        if object.users == 0 {
            // With its interface the object goes.
            let is_gone = answer == ObjectAnswer::Failed(RouteError::System(SystemError::NO_DEVICE));
            match object.state {
                ObjectState::Absent => self.forget(request.id),
                ObjectState::Refused(_) if is_gone => self.forget(request.id),
                ObjectState::Present => self.unused.extend([request.id]),
                _ => self.delete_later(request.id, now),
            }
        }
        None
    }

    fn delete_later(&mut self, id: u32, now: Time) {
        if !self.unused.contains(&id) {
            self.undeleted.put([id], now);
        }
    }
}
