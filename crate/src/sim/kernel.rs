//! A kernel that holds routes, and fails, hangs, and answers late or not at all; and a rival that changes its tables, also
//! between two requests of one message.

use rustc_hash::FxHashMap;

use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{Batch, Question, RouteRequest};
use crate::routes::kernel_route::{KernelRoute, Occupant, RouteError};
use crate::routes::object_request::{ObjectAnswer, ObjectRequest};
use crate::routes::object_sweep::delete_unused;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::planner::RoutePlanner;
use crate::routes::tables::{RequestOutcome, Tables as _};
use crate::sim::faulty_tables::{FaultyTables, KernelFaults, Seen};
use crate::sim::notice::Notice;
use crate::sim::random::Random;
use crate::sim::rival::{ObjectAct, RivalAct};
use crate::sim::tables::{Put, SimTables};

/// The delays before a failed request is retried, as in `ts/routes/backoff.ts`.
const FIRST_RETRY_US: u64 = 100_000;
const LONGEST_RETRY_US: u64 = 10_000_000;

const LONGEST_HANG_US: u64 = 30_000_000;

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
    /// For each question, what the listing shows; `None` if the tables are read only when the listing is answered.
    seen: Option<Vec<Seen>>,
    answered_at: Time,
}

#[derive(Debug)]
struct Retry {
    at: Time,
    id: RouteId,
    generation: u32,
    /// The route, if the request failed because another process occupies its slot, or because there is no interface. Retries
    /// fail until that process leaves, and until there is one.
    hopeless: Option<KernelRoute>,
}

/// A simulated kernel.
#[derive(Debug)]
pub struct Kernel {
    held: FaultyTables,
    /// Messages take effect at any moment before they are answered, and listings take as long as messages.
    at_any_moment: bool,
    message: Option<Message>,
    listing: Option<Listing>,
    retries: Vec<Retry>,
    failures: FxHashMap<RouteId, u32>,
}

impl Kernel {
    /// A kernel with empty tables. `theirs` is the protocol number of the rival.
    #[must_use]
    pub fn new(random: Random, faults: KernelFaults, theirs: u8) -> Self {
        let held = FaultyTables::new(random, faults, theirs);
        let (retries, failures) = (Vec::new(), FxHashMap::default());
        Self { held, at_any_moment: false, message: None, listing: None, retries, failures }
    }

    /// Makes messages take effect at any moment before they are answered, and listings take as long as messages.
    #[must_use]
    pub fn at_any_moment(self) -> Self {
        Self { at_any_moment: true, ..self }
    }

    /// How many routes and next-hop objects of others our own requests deleted or changed. A correct planner does that to none.
    #[must_use]
    pub fn harmed(&self) -> usize {
        self.held.harmed
    }

    /// The rivals delete all of their routes and objects.
    pub fn remove_rivals(&mut self) {
        self.held.remove_rivals();
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
        self.held.flush(affected);
    }

    /// A rival deletes one of the next-hop objects, and the kernel all routes on it.
    pub fn delete_object(&mut self, at: usize) {
        let object = self.held.tables.objects().nth(at);
        if let Some(object) = object {
            self.held.act_on_object(object, ObjectAct::Delete);
        }
    }

    /// A rival does something to the next-hop object of a number.
    pub fn act_on_object(&mut self, object: u32, act: ObjectAct) {
        self.held.act_on_object(object, act);
    }

    /// The process has heard of what a rival has done to an object.
    pub(super) fn object_told(&mut self, object: u32) {
        self.held.untold.remove(&object);
    }

    /// The next-hop objects that this process has made, or has taken over, and that are there.
    pub(super) fn made_objects(&self) -> impl Iterator<Item = u32> {
        self.held.made_objects()
    }

    /// An interface is removed: its number comes back no more.
    pub(super) fn remove_interface(&mut self, interface: u32) {
        self.held.removed.insert(interface);
        self.held.flush(AffectedRoutes { interfaces: vec![interface], ..AffectedRoutes::default() });
    }

    /// How many of our next-hop objects we have deleted, and made to lead elsewhere, with routes on them.
    pub(super) fn objects_dropped_and_moved(&self) -> [u64; 2] {
        [self.held.objects_dropped, self.held.objects_moved]
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
        self.held.made.clear();
        self.held.untold.clear();
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
        let has_interface = |route: &KernelRoute| route.interface != 0;
        let occupant = retry.hopeless.filter(has_interface).map(|route| self.held.tables.occupant(&route));
        matches!(occupant, Some(Occupant::Foreign(_))) || retry.hopeless.is_some_and(|route| !has_interface(&route))
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

    /// The work of the monitor: answers the planner's questions by a listing, lists what is on objects of a predecessor, and
    /// sweeps those that were left.
    pub fn list(&mut self, planner: &mut RoutePlanner, now: Time) -> Vec<RouteOutcome> {
        let inherited = planner.inherited_objects();
        if !inherited.is_empty() {
            let listed = self.held.routes_on(&inherited).map(|routes| planner.inherited_routes_listed(&routes));
            planner.inherited_objects_listed(&inherited, listed, now);
        }
        let left = planner.left_objects();
        if !left.is_empty() {
            let stay = delete_unused(&mut self.held, &left);
            planner.left_objects_swept(&left, stay, now);
        }
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
        for (question, Seen { is_there, occupant, beside }) in questions.iter().zip(seen) {
            let failed = self.held.random.chance(self.held.faults.fail_ppm);
            let outcome = if failed {
                planner.unlisted(question, RouteError::Unanswered, now)
            } else {
                planner.listed_beside(question, &beside, now);
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
            // A listing that failed is tried again.
            let is_hopeless = |route: &KernelRoute| match result {
                Err(RouteError::Conflict(_)) => true,
                Err(RouteError::Unanswered) => false,
                _ => route.interface == 0,
            };
            let hopeless = route.filter(is_hopeless);
            self.retries.push(Retry { at: now.plus(wait_us), id, generation, hopeless });
        }
    }
}
