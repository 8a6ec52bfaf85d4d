//! A kernel that holds routes, and fails, hangs, and answers late or not at all; and a rival that changes its tables, also
//! between two requests of one message.

use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashMap;

use crate::protocol::time::Time;
use crate::routes::armed::{AffectedRoutes, Batch, Question, RouteRequest};
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, Slot, SystemError};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::planner::RoutePlanner;
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install_over_interfaces, remove};
use crate::sim::random::Random;
use crate::sim::tables::{Put, SimTables};

/// Waits before a failed operation is tried again, as `ts/installer/backoff.ts` has them.
const FIRST_RETRY_US: u64 = 100_000;
const LONGEST_RETRY_US: u64 = 10_000_000;

/// How badly the kernel works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelFaults {
    /// A message takes up to so long.
    pub latency_us: u64,
    /// Of a million messages, so many take up to thirty seconds …
    pub hang_ppm: u32,
    /// … and of a million requests so many are refused …
    pub fail_ppm: u32,
    /// … and so many lose their answer, done or not …
    pub lose_ppm: u32,
    /// … and before so many a rival changes the slot that they are about.
    pub rival_ppm: u32,
}

/// The next hop of another agent like us.
pub const RIVAL_HOP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 250));

const LONGEST_HANG_US: u64 = 30_000_000;

/// What a rival does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RivalAct {
    /// Takes our route out of it.
    Take,
    /// Puts a route of theirs in place of the first.
    Occupy,
    /// Puts a route of theirs before, or behind, what is there.
    Prepend,
    Append,
    /// Puts a route of theirs beside it, with another TOS.
    Tos,
    /// Puts a route of our own protocol number, through another next hop, in place of the first: another agent like us.
    Claim,
    /// Takes out what is theirs.
    Vacate,
}

impl RivalAct {
    pub const ALL: [Self; 7] =
        [Self::Take, Self::Occupy, Self::Prepend, Self::Append, Self::Tos, Self::Claim, Self::Vacate];
}

/// What a notification of the kernel's says.
#[derive(Clone, Debug)]
pub enum Notice {
    Gone(KernelRoute),
    /// A route was put into an empty slot, or in place of another.
    Taken(Slot),
    /// Links or addresses changed.
    AffectedRoutes(AffectedRoutes),
}

/// One message on its way through the kernel.
#[derive(Debug)]
struct Message {
    batch: Batch,
    /// None where it acts when it is answered.
    answers: Option<Answers>,
    answered_at: Time,
}

#[derive(Debug)]
struct Answers {
    deletes: Vec<RequestOutcome>,
    looks: Vec<RequestOutcome>,
    adds: Vec<RequestOutcome>,
}

/// One listing on its way: what it says of each question, where it has been taken already.
#[derive(Debug)]
struct Listing {
    questions: Vec<Question>,
    seen: Option<Vec<(bool, Occupant)>>,
    answered_at: Time,
}

#[derive(Debug)]
struct Retry {
    at: Time,
    id: RouteId,
    generation: u32,
    /// It failed because the slot of this route is somebody else's: in vain for as long as it is.
    conflict: Option<KernelRoute>,
}

#[derive(Debug)]
pub struct Kernel {
    held: Held,
    /// Messages act at any moment before they are answered, and listings take as long as messages do.
    at_any_moment: bool,
    message: Option<Message>,
    listing: Option<Listing>,
    retries: Vec<Retry>,
    failures: FxHashMap<RouteId, u32>,
}

/// The tables, and what becomes of requests for them.
#[derive(Debug)]
struct Held {
    random: Random,
    faults: KernelFaults,
    theirs: u8,
    tables: SimTables,
    notices: Vec<Notice>,
    /// How many routes of theirs our own requests took out.
    harmed: usize,
}

impl Kernel {
    /// `theirs` is the protocol number of whoever is not like us.
    #[must_use]
    pub fn new(random: Random, faults: KernelFaults, theirs: u8) -> Self {
        let held = Held { random, faults, theirs, tables: SimTables::default(), notices: Vec::new(), harmed: 0 };
        let (retries, failures) = (Vec::new(), FxHashMap::default());
        Self { held, at_any_moment: false, message: None, listing: None, retries, failures }
    }

    /// Messages act at any moment before they are answered, and listings take as long as messages do.
    #[must_use]
    pub fn at_any_moment(self) -> Self {
        Self { at_any_moment: true, ..self }
    }

    /// How many routes of theirs our own requests took out: none, if all is well.
    #[must_use]
    pub fn harmed(&self) -> usize {
        self.held.harmed
    }

    /// Whoever is not us takes out all that is theirs.
    pub fn leave_us(&mut self) {
        let theirs = self.held.theirs;
        let gone = self.held.tables.take(|route| route.protocol == theirs || route.next_hop == RIVAL_HOP);
        self.held.notices.extend(gone.into_iter().map(Notice::Gone));
    }

    /// Puts a route of ours there that nobody here has asked for: a predecessor's.
    pub fn leave(&mut self, route: &KernelRoute) {
        // Where somebody was before, there is none.
        let _ = self.held.tables.put(route, Put::Exclusive);
    }

    pub fn set_faults(&mut self, faults: KernelFaults) {
        self.held.faults = faults;
    }

    /// Somebody else does something with the slot of a route of ours.
    pub fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        self.held.act(ours, act);
    }

    /// A link or an address goes for a moment: the kernel drops routes and does not say which.
    pub fn flush(&mut self, affected: AffectedRoutes) {
        self.held.tables.flush(&affected);
        self.held.notices.push(Notice::AffectedRoutes(affected));
    }

    /// What happened in the tables since the last time, as the kernel tells it.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.held.notices)
    }

    #[must_use]
    pub fn tables(&self) -> &SimTables {
        &self.held.tables
    }

    /// The process that asked is gone: its answers find nobody, its retries come no more. What it installed stays.
    pub fn abandon(&mut self) {
        (self.message, self.listing) = (None, None);
        self.retries.clear();
        self.failures.clear();
    }

    /// Takes away what a predecessor left.
    pub fn sweep(&mut self, protocol: u8) {
        self.held.tables.sweep(protocol);
    }

    /// When something happens here next. All times are the host's own.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        let answered_at = self.message.as_ref().map(|message| message.answered_at);
        let listed_at = self.listing.as_ref().map(|listing| listing.answered_at);
        self.retries.iter().map(|retry| retry.at).chain(answered_at).chain(listed_at).min()
    }

    /// Nothing is asked, answered, or tried again with any hope.
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

    /// Works on what is due at `now`, and takes the next message. Gives what there is to tell of the routes.
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
            outcomes.append(&mut batch.idle);
            if !batch.deletes.is_empty() || !batch.adds.is_empty() || !batch.looks.is_empty() {
                self.message = Some(self.ask(batch, now));
            }
        }
        outcomes
    }

    /// What the keeper does: answers by a listing what only that can tell.
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

    /// As the thread does: each kind is reported before the next is asked for.
    fn answer(&mut self, planner: &mut RoutePlanner, message: Message, now: Time) -> Vec<RouteOutcome> {
        let Message { batch: Batch { deletes, looks, adds, .. }, answers, .. } = message;
        let (deleted, seen, added) = match answers {
            Some(answers) => (Some(answers.deletes), Some(answers.looks), Some(answers.adds)),
            None => (None, None, None),
        };
        let answers = deleted.unwrap_or_else(|| self.held.delete_all(&deletes));
        let mut outcomes = self.report(planner, RouteOp::Delete, &deletes, answers, now);
        let answers = seen.unwrap_or_else(|| self.held.look_for(&looks));
        outcomes.extend(self.report(planner, RouteOp::None, &looks, answers, now));
        let answers = added.unwrap_or_else(|| self.held.install(&adds));
        outcomes.extend(self.report(planner, RouteOp::Add, &adds, answers, now));
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

    /// As the installer does: one retry at a time, which any answer replaces.
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
        let tell = |question: &Question| (self.tables.holds(&question.route), self.tables.occupant(&question.route));
        questions.iter().map(tell).collect()
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
        let rival = KernelRoute { next_hop: RIVAL_HOP, ..*ours };
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
            // Another slot, whatever else is equal.
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
            // A next hop that cannot be reached now: only a listing can tell.
            if seen.is_err() || self.random.chance(self.faults.fail_ppm) { Presence::Unknown } else { presence }
        };
        routes.iter().map(see).collect()
    }

    fn occupant(&mut self, route: &KernelRoute) -> Occupant {
        if self.random.chance(250_000) { Occupant::Unknown } else { self.tables.occupant(route) }
    }
}

fn routes_of(requests: &[RouteRequest]) -> Vec<KernelRoute> {
    requests.iter().map(|request| request.route).collect()
}
