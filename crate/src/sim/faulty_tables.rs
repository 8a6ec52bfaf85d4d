//! Tables whose requests fail, get no answer, or meet a rival.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{Question, RouteRequest};
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, SystemError};
use crate::routes::object_request::{NextHop, ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::object_sweep::{ListedObject, ObjectTable};
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install_over_interfaces, remove};
use crate::sim::notice::Notice;
use crate::sim::random::Random;
use crate::sim::rival::{ObjectAct, RivalAct, rival_hop};
use crate::sim::tables::{Put, SimTables};

/// How the kernel fails. Parts per million are probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFaults {
    /// The longest time that a message takes, in microseconds.
    pub latency_us: u64,
    /// A message takes up to thirty seconds longer.
    pub hang_ppm: u32,
    /// A request is refused.
    pub fail_ppm: u32,
    /// The answer to a request is lost, whether the request was carried out or not.
    pub lose_ppm: u32,
    /// A rival changes the slot of a request before the request is carried out.
    pub rival_ppm: u32,
    /// A request is answered as if it were carried out, and is not. No kernel does that: a check that never fails checks nothing.
    pub lie_ppm: u32,
}

/// What the objects of a rival lead over.
const RIVAL_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 250);

/// What a listing shows for a question.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) is_there: bool,
    pub(super) occupant: Occupant,
    /// The routes in its slot that have our protocol number.
    pub(super) beside: Vec<KernelRoute>,
}

/// The tables, and the faults of requests to them.
#[derive(Debug)]
pub(super) struct FaultyTables {
    pub(super) random: Random,
    pub(super) faults: KernelFaults,
    pub(super) theirs: u8,
    pub(super) tables: SimTables,
    pub(super) notices: Vec<Notice>,
    /// How many routes and objects of others our own requests deleted or changed.
    pub(super) harmed: usize,
    /// The numbers of the objects that our own process has made or taken over.
    pub(super) made: BTreeSet<u32>,
    /// The numbers of interfaces that were removed.
    pub(super) removed: BTreeSet<u32>,
    /// How many of our objects we have deleted with routes on them, and made to lead elsewhere with routes on them.
    pub(super) objects_dropped: u64,
    pub(super) objects_moved: u64,
    /// Objects that a rival has made its own, of which our process has not heard yet: until then it may take them for its own.
    pub(super) untold: BTreeSet<u32>,
}

impl FaultyTables {
    pub(super) fn new(random: Random, faults: KernelFaults, theirs: u8) -> Self {
        Self {
            random,
            faults,
            theirs,
            tables: SimTables::default(),
            notices: Vec::new(),
            harmed: 0,
            made: BTreeSet::new(),
            removed: BTreeSet::new(),
            objects_dropped: 0,
            objects_moved: 0,
            untold: BTreeSet::new(),
        }
    }

    pub(super) fn remove_rivals(&mut self) {
        let objects: Vec<u32> = self.tables.objects().collect();
        objects.into_iter().for_each(|object| self.act_on_object(object, ObjectAct::Vacate));
        let theirs = self.theirs;
        let gone = self.tables.take(|route| route.protocol == theirs || route.next_hop == rival_hop(route));
        self.notices.extend(gone.into_iter().map(Notice::Gone));
    }

    pub(super) fn flush(&mut self, affected: AffectedRoutes) {
        let gone = self.tables.flush(&affected);
        self.notices.extend(gone.into_iter().map(|object| Notice::ObjectGone(object, false)));
        self.notices.push(Notice::AffectedRoutes(affected));
    }

    pub(super) fn made_objects(&self) -> impl Iterator<Item = u32> {
        let is_ours = |id: &u32| self.tables.object(*id).is_some_and(|hop| hop.protocol != self.theirs);
        self.made.iter().copied().filter(is_ours)
    }

    pub(super) fn delete_all(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        remove(self, &routes_of(requests))
    }

    pub(super) fn look_for(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        self.look(&routes_of(requests)).into_iter().map(RequestOutcome::seen).collect()
    }

    pub(super) fn install(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        let wanted: Vec<DesiredRoute> = requests.iter().map(RouteRequest::desired_route).collect();
        install_over_interfaces(self, &wanted, false)
    }

    pub(super) fn list(&self, questions: &[Question]) -> Vec<Seen> {
        let see = |question: &Question| {
            let ours = question.previous.filter(|previous| self.tables.holds(previous));
            let first = self.tables.slot(&question.route.slot()).first().copied();
            let excluding = first.filter(|first| first.excludes(&question.route));
            let occupant = excluding.or(ours).or_else(|| self.tables.elsewhere(&question.route));
            let occupant = occupant.or_else(|| self.tables.elsewhere(&question.previous?));
            let occupant = occupant.map_or_else(|| self.tables.occupant(&question.route), Occupant::Ours);
            let slot = self.tables.slot(&question.route.slot());
            let beside: Vec<KernelRoute> =
                slot.iter().filter(|held| held.protocol == question.route.protocol).copied().collect();
            // On its object, which leads another way, it is not.
            let is_misled = beside.iter().any(|held| held.is_misled(&question.route));
            Seen { is_there: self.tables.holds(&question.route) && !is_misled, occupant, beside }
        };
        questions.iter().map(see).collect()
    }

    fn change_object(&mut self, request: &ObjectRequest) -> ObjectAnswer {
        if self.random.chance(self.faults.fail_ppm) {
            return ObjectAnswer::Failed(RouteError::System(SystemError(1)));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return ObjectAnswer::Failed(RouteError::Unanswered);
        }
        let before = self.belongings();
        let is_untold = self.untold.contains(&request.id);
        if self.random.chance(self.faults.lie_ppm) {
            return ObjectAnswer::Done;
        }
        if request.op != ObjectOp::Delete && self.removed.contains(&request.hop.interface) {
            return ObjectAnswer::Failed(RouteError::System(SystemError::NO_DEVICE));
        }
        let is_in_use = self.tables.routes().any(|route| route.object == request.id);
        let answer = self.tables.change_object(request);
        if !is_untold {
            self.harmed += before.saturating_sub(self.belongings());
        }
        let is_done = matches!(answer, ObjectAnswer::Done | ObjectAnswer::WasThere);
        if request.op == ObjectOp::Delete {
            self.made.remove(&request.id);
            self.objects_dropped += u64::from(is_in_use);
        } else if is_done {
            self.made.insert(request.id);
            self.objects_moved += u64::from(is_in_use && request.op == ObjectOp::Move);
        }
        if lost { ObjectAnswer::Failed(RouteError::Unanswered) } else { answer }
    }

    fn put(&mut self, route: &KernelRoute, how: Put) -> Result<()> {
        let has_no_device = self.removed.contains(&route.interface);
        self.request(route, |tables| match has_no_device {
            true => Err(RouteError::System(SystemError::NO_DEVICE)),
            false => tables.put(route, how),
        })
    }

    /// A listing of the routes on some objects.
    pub(super) fn routes_on(&mut self, objects: &BTreeMap<u32, u8>) -> Result<Vec<KernelRoute>> {
        let is_on = |route: &&KernelRoute| objects.get(&route.object) == Some(&route.protocol);
        self.sweep_request(|held| Ok(held.tables.routes().filter(is_on).copied().collect()))
    }

    /// A request of a sweep of objects fails, or its answer is lost.
    fn sweep_request<T>(&mut self, request: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.random.chance(self.faults.fail_ppm) {
            return Err(RouteError::System(SystemError(1)));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return Err(RouteError::Unanswered);
        }
        let before = self.belongings();
        let answer = request(self);
        self.harmed += before.saturating_sub(self.belongings());
        if lost { Err(RouteError::Unanswered) } else { answer }
    }

    /// How many routes and objects the rival has.
    fn belongings(&self) -> usize {
        let is_theirs = |id: &u32| self.tables.object(*id).is_some_and(|hop| hop.protocol == self.theirs);
        self.tables.count(self.theirs) + self.tables.objects().filter(is_theirs).count()
    }

    fn request(&mut self, route: &KernelRoute, request: impl FnOnce(&mut SimTables) -> Result<()>) -> Result<()> {
        if self.random.chance(self.faults.rival_ppm) {
            let act = RivalAct::ALL[self.random.up_to(RivalAct::ALL.len() as u64 - 1) as usize];
            self.act(route, act);
        }
        if self.random.chance(self.faults.fail_ppm) {
            return Err(RouteError::System(SystemError(1)));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return Err(RouteError::Unanswered);
        }
        if self.random.chance(self.faults.lie_ppm) {
            return Ok(());
        }
        let before = self.belongings();
        let answer = request(&mut self.tables);
        self.harmed += before.saturating_sub(self.belongings());
        if lost { Err(RouteError::Unanswered) } else { answer }
    }

    pub(super) fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        let theirs = KernelRoute { protocol: self.theirs, object: 0, ..*ours };
        let rival = KernelRoute { next_hop: rival_hop(ours), object: 0, ..*ours };
        let put = |tables: &mut SimTables, route: &KernelRoute, how: Put| {
            let was_empty = tables.slot(&route.slot()).is_empty();
            let done = tables.put(route, how).is_ok();
            (done && (was_empty || how == Put::Replace)).then(|| Notice::Taken(route.slot()))
        };
        let tables = &mut self.tables;
        let notice = match act {
            RivalAct::Take if tables.holds(ours) => tables.delete(ours).ok().map(Notice::Gone),
            RivalAct::Take => None,
            RivalAct::Occupy => put(tables, &theirs, Put::Replace),
            RivalAct::Prepend => put(tables, &theirs, Put::Prepend),
            RivalAct::Append => put(tables, &theirs, Put::Append),
            RivalAct::Claim => put(tables, &rival, Put::Replace),
            // With another TOS it is another slot.
            RivalAct::Tos => {
                let _ = tables.put_tos(&theirs, 4, Put::Prepend);
                None
            }
            RivalAct::Vacate => {
                self.notices.extend(
                    [&theirs, &rival].into_iter().filter_map(|route| tables.delete(route).ok()).map(Notice::Gone),
                );
                None
            }
        };
        self.notices.extend(notice);
    }

    pub(super) fn act_on_object(&mut self, object: u32, act: ObjectAct) {
        let hop = self.tables.object(object);
        let is_theirs = hop.is_some_and(|hop| hop.protocol == self.theirs);
        let done = match act {
            ObjectAct::Delete => self.tables.delete_object(object),
            ObjectAct::Vacate => is_theirs && self.tables.delete_object(object),
            ObjectAct::Replace => hop.is_some_and(|hop| self.replace_object(object, hop)),
            ObjectAct::Occupy => hop.is_none() && self.occupy_object(object),
        };
        if done {
            self.notices.push(Notice::ObjectGone(object, true));
        }
    }

    fn replace_object(&mut self, object: u32, hop: NextHop) -> bool {
        self.untold.insert(object);
        let protocol = self.theirs;
        self.tables.set_object(object, NextHop { address: RIVAL_GATEWAY.into(), protocol, ..hop });
        true
    }

    fn occupy_object(&mut self, object: u32) -> bool {
        self.untold.insert(object);
        let protocol = self.theirs;
        self.tables.set_object(object, NextHop { address: RIVAL_GATEWAY.into(), interface: 1, protocol });
        let [.., high, low] = object.to_be_bytes();
        let route = KernelRoute {
            table: 254,
            destination: Ipv4Addr::new(10, 77, high, low).into(),
            prefix_length: 32,
            source: Ipv4Addr::UNSPECIFIED.into(),
            next_hop: RIVAL_GATEWAY.into(),
            interface: 1,
            protocol: self.theirs,
            priority: 0,
            object,
        };
        // It has one there already, if nobody has deleted that.
        let _ = self.tables.put(&route, Put::Exclusive);
        true
    }
}

impl Tables for FaultyTables {
    fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        routes.iter().map(|route| self.put(route, Put::Exclusive)).collect()
    }

    fn append(&mut self, route: &KernelRoute) -> Result<()> {
        self.put(route, Put::Append)
    }

    fn replace(&mut self, route: &KernelRoute) -> Result<()> {
        self.put(route, Put::Replace)
    }

    fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        routes.iter().map(|route| self.request(route, |tables| tables.delete(route).map(drop))).collect()
    }

    fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence> {
        let see = |route: &KernelRoute| {
            let (mut seen, mut presence) = (Ok(()), Presence::Unknown);
            seen = self.request(route, |tables| {
                presence = tables.look(route);
                seen
            });
            // The next hop cannot be reached now: the answer to a look proves nothing.
            if seen.is_err() || self.random.chance(self.faults.fail_ppm) { Presence::Unknown } else { presence }
        };
        routes.iter().map(see).collect()
    }

    fn change_objects(&mut self, requests: &[ObjectRequest]) -> Vec<ObjectAnswer> {
        requests.iter().map(|request| self.change_object(request)).collect()
    }

    fn occupant(&mut self, route: &KernelRoute) -> Occupant {
        if self.random.chance(250_000) { Occupant::Unknown } else { self.tables.occupant(route) }
    }
}

impl ObjectTable for FaultyTables {
    fn list(&mut self) -> Result<Vec<ListedObject>> {
        self.sweep_request(|held| Ok(held.tables.list_objects()))
    }

    fn retire(&mut self, id: u32, gateway: IpAddr, protocol: u8) -> Result<()> {
        self.sweep_request(|held| held.tables.retire_object(id, gateway, protocol))
    }

    fn put_back(&mut self, id: u32, hop: NextHop) -> Result<()> {
        self.sweep_request(|held| {
            held.tables.set_object(id, hop);
            Ok(())
        })
    }

    /// A sweep takes no route along, of whomever.
    fn delete(&mut self, id: u32) -> Result<()> {
        self.sweep_request(|held| {
            held.harmed += held.tables.routes().filter(|route| route.object == id).count();
            held.tables.delete_object(id);
            Ok(())
        })
    }
}

fn routes_of(requests: &[RouteRequest]) -> Vec<KernelRoute> {
    requests.iter().map(|request| request.route).collect()
}
