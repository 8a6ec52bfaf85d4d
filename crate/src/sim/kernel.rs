//! A kernel that holds routes, and fails, hangs, and answers late or not at all; and a rival that changes its tables, also
//! between two requests of one message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{Batch, Question, RouteRequest};
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, Slot, SystemError};
use crate::routes::next_hop::{ObjectAnswer, ObjectRequest};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::planner::RoutePlanner;
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install_over_interfaces, remove};
use crate::sim::random::Random;
use crate::sim::tables::{Put, SimTables};

/// The delays before a failed request is retried, as in `ts/routes/backoff.ts`.
const FIRST_RETRY_US: u64 = 100_000;
const LONGEST_RETRY_US: u64 = 10_000_000;

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
}

/// The next hop of routes that another instance of our agent adds in place of one of ours.
#[must_use]
pub const fn rival_hop(ours: &KernelRoute) -> IpAddr {
    match ours.destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 250)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 250)),
    }
}

const LONGEST_HANG_US: u64 = 30_000_000;

/// What a rival does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RivalAct {
    /// Deletes our route.
    Take,
    /// Replaces the first route by one of its own.
    Occupy,
    /// Adds a route of its own before the first.
    Prepend,
    /// Adds a route of its own behind the last.
    Append,
    /// Adds a route of its own with another TOS, and so in another slot.
    Tos,
    /// Replaces the first route by one with our protocol number and another next hop, as another instance of our agent would.
    Claim,
    /// Deletes its own routes.
    Vacate,
}

impl RivalAct {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Take, Self::Occupy, Self::Prepend, Self::Append, Self::Tos, Self::Claim, Self::Vacate];
}

/// A notification of the kernel.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A route was deleted.
    Gone(KernelRoute),
    /// A route was added to an empty slot, or replaced another.
    Taken(Slot),
    /// Links or addresses changed.
    AffectedRoutes(AffectedRoutes),
    /// A next-hop object was deleted, by another process where it says so.
    ObjectGone(u32, bool),
}

/// One message on its way through the kernel.
#[derive(Debug)]
struct Message {
    batch: Batch,
    /// `None` if the message takes effect only when it is answered.
    answers: Option<Answers>,
    answered_at: Time,
}

#[derive(Debug)]
struct Answers {
    objects: Vec<ObjectAnswer>,
    deletes: Vec<RequestOutcome>,
    looks: Vec<RequestOutcome>,
    adds: Vec<RequestOutcome>,
}

/// A listing under way.
#[derive(Debug)]
struct Listing {
    questions: Vec<Question>,
    /// For each question, whether the route is there, and the occupant of its slot; `None` if the tables are read only when the
    /// listing is answered.
    seen: Option<Vec<(bool, Occupant)>>,
    answered_at: Time,
}

#[derive(Debug)]
struct Retry {
    at: Time,
    id: RouteId,
    generation: u32,
    /// The route, if the request failed because another process occupies its slot. Retries fail until that process leaves.
    conflict: Option<KernelRoute>,
}

/// A simulated kernel.
#[derive(Debug)]
pub struct Kernel {
    held: Held,
    /// Messages take effect at any moment before they are answered, and listings take as long as messages.
    at_any_moment: bool,
    message: Option<Message>,
    listing: Option<Listing>,
    retries: Vec<Retry>,
    failures: FxHashMap<RouteId, u32>,
}

/// The tables, and the faults of requests to them.
#[derive(Debug)]
struct Held {
    random: Random,
    faults: KernelFaults,
    theirs: u8,
    tables: SimTables,
    notices: Vec<Notice>,
    /// How many routes of others our own requests deleted.
    harmed: usize,
}

impl Kernel {
    /// A kernel with empty tables. `theirs` is the protocol number of the rival.
    #[must_use]
    pub fn new(random: Random, faults: KernelFaults, theirs: u8) -> Self {
        let held = Held { random, faults, theirs, tables: SimTables::default(), notices: Vec::new(), harmed: 0 };
        let (retries, failures) = (Vec::new(), FxHashMap::default());
        Self { held, at_any_moment: false, message: None, listing: None, retries, failures }
    }

    /// Makes messages take effect at any moment before they are answered, and listings take as long as messages.
    #[must_use]
    pub fn at_any_moment(self) -> Self {
        Self { at_any_moment: true, ..self }
    }

    /// How many routes of others our own requests deleted. A correct planner deletes none.
    #[must_use]
    pub fn harmed(&self) -> usize {
        self.held.harmed
    }

    /// The rivals delete all of their routes.
    pub fn remove_rivals(&mut self) {
        let theirs = self.held.theirs;
        let gone = self.held.tables.take(|route| route.protocol == theirs || route.next_hop == rival_hop(route));
        self.held.notices.extend(gone.into_iter().map(Notice::Gone));
    }

    /// Adds a route of ours that a previous process left.
    pub fn leave(&mut self, route: &KernelRoute) {
        // In an occupied slot the previous process had no route.
        let _ = self.held.tables.put(route, Put::Exclusive);
    }

    /// Sets the faults.
    pub fn set_faults(&mut self, faults: KernelFaults) {
        self.held.faults = faults;
    }

    /// A rival changes the slot of a route of ours.
    pub fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        self.held.act(ours, act);
    }

    /// A link or an address goes away and comes back: the kernel drops routes and does not report which.
    pub fn flush(&mut self, affected: AffectedRoutes) {
        let gone = self.held.tables.flush(&affected);
        self.held.notices.extend(gone.into_iter().map(|object| Notice::ObjectGone(object, false)));
        self.held.notices.push(Notice::AffectedRoutes(affected));
    }

    /// A rival deletes one of the next-hop objects, and the kernel all routes on it.
    pub fn delete_object(&mut self, at: usize) {
        let object = self.held.tables.objects().nth(at);
        if let Some(object) = object
            && self.held.tables.delete_object(object)
        {
            self.held.notices.push(Notice::ObjectGone(object, true));
        }
    }

    /// The notices since the previous call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.held.notices)
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &SimTables {
        &self.held.tables
    }

    /// The process ended: its requests, listings and retries are dropped. The routes that it added stay.
    pub fn abandon(&mut self) {
        (self.message, self.listing) = (None, None);
        self.retries.clear();
        self.failures.clear();
    }

    /// Deletes the routes that a previous process left.
    pub fn sweep(&mut self, protocol: u8) {
        self.held.tables.sweep(protocol);
    }

    /// When `run` has something to do next, by the host's clock.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let answered_at = self.message.as_ref().map(|message| message.answered_at);
        let listed_at = self.listing.as_ref().map(|listing| listing.answered_at);
        self.retries.iter().map(|retry| retry.at).chain(answered_at).chain(listed_at).min()
    }

    /// Whether no request, listing or question waits, and every retry is bound to fail.
    #[must_use]
    pub fn is_settled(&self, planner: &RoutePlanner) -> bool {
        self.message.is_none()
            && self.listing.is_none()
            && !planner.has_work()
            && !planner.has_questions()
            && self.retries.iter().all(|retry| self.is_in_vain(retry))
    }

    fn is_in_vain(&self, retry: &Retry) -> bool {
        let occupant = retry.conflict.map(|route| self.held.tables.occupant(&route));
        matches!(occupant, Some(Occupant::Foreign(_)))
    }

    /// Answers what is due at `now`, and takes the next message from the planner. Returns the outcomes.
    pub fn run(&mut self, planner: &mut RoutePlanner, now: Time) -> Vec<RouteOutcome> {
        self.retries.retain(|&Retry { at, id, generation, .. }| {
            if at <= now {
                planner.retry(id, generation, now);
            }
            at > now
        });
        let mut outcomes = Vec::new();
        if let Some(listing) = self.listing.take_if(|listing| listing.answered_at <= now) {
            outcomes.extend(self.answer_listing(planner, listing, now));
        }
        if let Some(message) = self.message.take_if(|message| message.answered_at <= now) {
            outcomes.extend(self.answer(planner, message, now));
        }
        while self.message.is_none() && planner.has_work() {
            let mut batch = planner.pick(now);
            self.tried(&batch.idle, &[], now);
            outcomes.append(&mut batch.idle);
            if !batch.objects.is_empty()
                || !batch.deletes.is_empty()
                || !batch.adds.is_empty()
                || !batch.looks.is_empty()
            {
                self.message = Some(self.ask(batch, now));
            }
        }
        outcomes
    }

    /// The work of the monitor: answers the planner's questions by a listing.
    pub fn list(&mut self, planner: &mut RoutePlanner, now: Time) -> Vec<RouteOutcome> {
        if self.listing.is_some() {
            return Vec::new();
        }
        let questions = planner.questions();
        if !self.at_any_moment {
            return self.answer_listing(planner, Listing { questions, seen: None, answered_at: now }, now);
        }
        if !questions.is_empty() {
            let seen = self.held.random.chance(500_000).then(|| self.held.list(&questions));
            self.listing = Some(Listing { questions, seen, answered_at: self.answered_at(now) });
        }
        Vec::new()
    }

    fn answer_listing(&mut self, planner: &mut RoutePlanner, listing: Listing, now: Time) -> Vec<RouteOutcome> {
        let Listing { questions, seen, .. } = listing;
        let seen = seen.unwrap_or_else(|| self.held.list(&questions));
        let mut outcomes = Vec::new();
        for (question, (is_there, occupant)) in questions.iter().zip(seen) {
            let failed = self.held.random.chance(self.held.faults.fail_ppm);
            let outcome = if failed {
                planner.unlisted(question, RouteError::Unanswered, now)
            } else {
                planner.listed(question, is_there, occupant, now)
            };
            let told: Vec<RouteOutcome> = outcome.into_iter().collect();
            self.tried(&told, &[(question.id, question.route)], now);
            outcomes.extend(told);
        }
        outcomes
    }

    fn ask(&mut self, batch: Batch, now: Time) -> Message {
        let answered_at = self.answered_at(now);
        let acts_late = self.at_any_moment && self.held.random.chance(500_000);
        let held = &mut self.held;
        let answers = (!acts_late).then(|| Answers {
            objects: held.change_objects(&batch.objects),
            deletes: held.delete_all(&batch.deletes),
            looks: held.look_for(&batch.looks),
            adds: held.install(&batch.adds),
        });
        Message { batch, answers, answered_at }
    }

    fn answered_at(&mut self, now: Time) -> Time {
        let KernelFaults { latency_us, hang_ppm, .. } = self.held.faults;
        let random = &mut self.held.random;
        let hang_us = if random.chance(hang_ppm) { random.up_to(LONGEST_HANG_US) } else { 0 };
        now.plus(random.up_to(latency_us) + hang_us)
    }

    /// As the route worker: the answers to one kind of request are reported before the next kind is requested.
    fn answer(&mut self, planner: &mut RoutePlanner, message: Message, now: Time) -> Vec<RouteOutcome> {
        let Message { batch: Batch { objects, deletes, looks, adds, .. }, answers, .. } = message;
        let (changed, deleted, seen, added) = match answers {
            Some(answers) => (Some(answers.objects), Some(answers.deletes), Some(answers.looks), Some(answers.adds)),
            None => (None, None, None, None),
        };
        let mut outcomes = self.answer_objects(planner, &objects, changed, now);
        let answers = deleted.unwrap_or_else(|| self.held.delete_all(&deletes));
        outcomes.extend(self.report(planner, RouteOp::Delete, &deletes, answers, now));
        let answers = seen.unwrap_or_else(|| self.held.look_for(&looks));
        outcomes.extend(self.report(planner, RouteOp::None, &looks, answers, now));
        let answers = added.unwrap_or_else(|| self.held.install(&adds));
        outcomes.extend(self.report(planner, RouteOp::Add, &adds, answers, now));
        outcomes
    }

    fn answer_objects(
        &mut self,
        planner: &mut RoutePlanner,
        requests: &[ObjectRequest],
        answers: Option<Vec<ObjectAnswer>>,
        now: Time,
    ) -> Vec<RouteOutcome> {
        let answers = answers.unwrap_or_else(|| self.held.change_objects(requests));
        let mut outcomes = Vec::new();
        for (request, answer) in requests.iter().zip(answers) {
            let concerned = planner.object_answered(request, answer, now);
            for some in concerned.portions(2) {
                outcomes.extend(planner.object_routes_answered(request, answer, some, now));
            }
        }
        self.tried(&outcomes, &[], now);
        outcomes
    }

    fn report(
        &mut self,
        planner: &mut RoutePlanner,
        op: RouteOp,
        requests: &[RouteRequest],
        answers: Vec<RequestOutcome>,
        now: Time,
    ) -> Vec<RouteOutcome> {
        let outcomes = planner.report(op, requests, answers, now);
        let routes: Vec<(RouteId, KernelRoute)> = requests.iter().map(|request| (request.id, request.route)).collect();
        self.tried(&outcomes, &routes, now);
        outcomes
    }

    /// As the installer: each route has at most one retry, and any outcome replaces it.
    fn tried(&mut self, outcomes: &[RouteOutcome], routes: &[(RouteId, KernelRoute)], now: Time) {
        for &RouteOutcome { id, generation, result, .. } in outcomes {
            self.retries.retain(|retry| retry.id != id);
            if result.is_ok() {
                self.failures.remove(&id);
                continue;
            }
            let failures = self.failures.entry(id).or_default();
            let wait_us = (FIRST_RETRY_US << (*failures).min(10)).min(LONGEST_RETRY_US);
            *failures += 1;
            let route = routes.iter().find(|(of, _)| *of == id).map(|(_, route)| *route);
            let conflict = route.filter(|_| matches!(result, Err(RouteError::Conflict(_))));
            self.retries.push(Retry { at: now.plus(wait_us), id, generation, conflict });
        }
    }
}

impl Held {
    fn delete_all(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        remove(self, &routes_of(requests))
    }

    fn look_for(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        self.look(&routes_of(requests)).into_iter().map(RequestOutcome::seen).collect()
    }

    fn install(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        let wanted: Vec<DesiredRoute> = requests.iter().map(RouteRequest::desired_route).collect();
        install_over_interfaces(self, &wanted, false)
    }

    fn list(&self, questions: &[Question]) -> Vec<(bool, Occupant)> {
        let tell = |question: &Question| {
            let ours = question.previous.filter(|previous| self.tables.holds(previous));
            let first = self.tables.slot(&question.route.slot()).first().copied();
            let excluding = first.filter(|first| first.excludes(&question.route));
            let occupant = excluding.or(ours).or_else(|| self.tables.elsewhere(&question.route));
            let occupant = occupant.or_else(|| self.tables.elsewhere(&question.previous?));
            let occupant = occupant.map_or_else(|| self.tables.occupant(&question.route), Occupant::Ours);
            (self.tables.holds(&question.route), occupant)
        };
        questions.iter().map(tell).collect()
    }

    fn change_object(&mut self, request: &ObjectRequest) -> ObjectAnswer {
        if self.random.chance(self.faults.fail_ppm) {
            return ObjectAnswer::Failed(RouteError::System(SystemError(1)));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return ObjectAnswer::Failed(RouteError::Unanswered);
        }
        let answer = self.tables.change_object(request);
        if lost { ObjectAnswer::Failed(RouteError::Unanswered) } else { answer }
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
        let before = self.tables.count(self.theirs);
        let answer = request(&mut self.tables);
        self.harmed += before - self.tables.count(self.theirs);
        if lost { Err(RouteError::Unanswered) } else { answer }
    }

    fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        let theirs = KernelRoute { protocol: self.theirs, ..*ours };
        let rival = KernelRoute { next_hop: rival_hop(ours), ..*ours };
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
}

impl Tables for Held {
    fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        routes.iter().map(|route| self.request(route, |tables| tables.put(route, Put::Exclusive))).collect()
    }

    fn append(&mut self, route: &KernelRoute) -> Result<()> {
        self.request(route, |tables| tables.put(route, Put::Append))
    }

    fn replace(&mut self, route: &KernelRoute) -> Result<()> {
        self.request(route, |tables| tables.put(route, Put::Replace))
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

fn routes_of(requests: &[RouteRequest]) -> Vec<KernelRoute> {
    requests.iter().map(|request| request.route).collect()
}
