//! A kernel that holds routes, and fails, hangs, and answers late or not at all; and a rival that changes its tables, also
//! between two requests of one message.

use nix::errno::Errno;
use rustc_hash::FxHashMap;

use crate::armed::{Batch, Job, RouteId, Suspicion};
use crate::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, Slot};
use crate::mailbox::{RouteOp, RouteOutcome};
use crate::orders::Orders;
use crate::sim::random::Random;
use crate::sim::tables::{Put, SimTables};
use crate::tables::{Settled, Tables, Wanted, install, remove};
use crate::time::Time;

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

const RIVAL_ACTS: [RivalAct; 7] = [
    RivalAct::Take,
    RivalAct::Occupy,
    RivalAct::Prepend,
    RivalAct::Append,
    RivalAct::Tos,
    RivalAct::Claim,
    RivalAct::Vacate,
];

/// What a notification of the kernel's says.
#[derive(Clone, Debug)]
pub enum Notice {
    Gone(KernelRoute),
    /// A route was put into an empty slot, or in place of another.
    Taken(Slot),
    /// Links or addresses changed.
    Suspicion(Suspicion),
}

/// One message on its way through the kernel.
#[derive(Debug)]
struct Message {
    batch: Batch,
    deletes: Vec<Settled>,
    looks: Vec<Settled>,
    adds: Vec<Settled>,
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
    message: Option<Message>,
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
}

impl Kernel {
    /// `theirs` is the protocol number of whoever is not like us.
    #[must_use]
    pub fn new(random: Random, faults: KernelFaults, theirs: u8) -> Self {
        let held = Held { random, faults, theirs, tables: SimTables::default(), notices: Vec::new() };
        Self { held, message: None, retries: Vec::new(), failures: FxHashMap::default() }
    }

    pub fn set_faults(&mut self, faults: KernelFaults) {
        self.held.faults = faults;
    }

    /// Somebody else does something with the slot of a route of ours.
    pub fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        self.held.act(ours, act);
    }

    /// A link or an address goes for a moment: the kernel drops routes and does not say which.
    pub fn flush(&mut self, suspicion: Suspicion) {
        self.held.tables.flush(&suspicion);
        self.held.notices.push(Notice::Suspicion(suspicion));
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
        self.message = None;
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
        self.retries.iter().map(|retry| retry.at).chain(answered_at).min()
    }

    /// Nothing is asked, answered, or tried again with any hope.
    #[must_use]
    pub fn is_settled(&self, orders: &Orders) -> bool {
        self.message.is_none()
            && !orders.has_work()
            && !orders.has_questions()
            && self.retries.iter().all(|retry| self.is_in_vain(retry))
    }

    fn is_in_vain(&self, retry: &Retry) -> bool {
        let occupant = retry.conflict.map(|route| self.held.tables.occupant(&route));
        matches!(occupant, Some(Occupant::Foreign(_)))
    }

    /// Works on what is due at `now`, and takes the next message.
    pub fn run(&mut self, orders: &mut Orders, now: Time) {
        self.retries.retain(|&Retry { at, id, generation, .. }| {
            if at <= now {
                orders.retry(id, generation, now);
            }
            at > now
        });
        if self.message.as_ref().is_some_and(|message| message.answered_at <= now)
            && let Some(Message { batch, deletes, looks, adds, .. }) = self.message.take()
        {
            self.answer(orders, RouteOp::Delete, &batch.deletes, deletes, now);
            self.answer(orders, RouteOp::None, &batch.looks, looks, now);
            self.answer(orders, RouteOp::Add, &batch.adds, adds, now);
        }
        while self.message.is_none() && orders.has_work() {
            let batch = orders.pick(now);
            if !batch.deletes.is_empty() || !batch.adds.is_empty() || !batch.looks.is_empty() {
                self.message = Some(self.ask(batch, now));
            }
        }
    }

    /// What the keeper does: answers by a listing what only that can tell.
    pub fn list(&mut self, orders: &mut Orders, now: Time) {
        for question in orders.questions() {
            let failed = self.held.random.chance(self.held.faults.fail_ppm);
            let outcome = if failed {
                orders.unlisted(&question, RouteError::Unanswered, now)
            } else {
                let tables = &self.held.tables;
                orders.listed(&question, tables.holds(&question.route), tables.occupant(&question.route), now)
            };
            self.tried(outcome.into_iter().collect(), &[(question.id, question.route)], now);
        }
    }

    fn ask(&mut self, batch: Batch, now: Time) -> Message {
        let held = &mut self.held;
        let KernelFaults { latency_us, hang_ppm, .. } = held.faults;
        let hang_us = if held.random.chance(hang_ppm) { held.random.up_to(LONGEST_HANG_US) } else { 0 };
        let answered_at = now.plus(held.random.up_to(latency_us) + hang_us);
        let routes = |jobs: &[Job]| jobs.iter().map(|job| job.route).collect::<Vec<_>>();
        let deletes = remove(held, &routes(&batch.deletes));
        let looks = held.look(&routes(&batch.looks)).into_iter().map(Settled::seen).collect();
        let wanted: Vec<Wanted> = batch.adds.iter().map(Job::wanted).collect();
        let adds = install(held, &wanted, false);
        Message { batch, deletes, looks, adds, answered_at }
    }

    fn answer(&mut self, orders: &mut Orders, op: RouteOp, jobs: &[Job], answers: Vec<Settled>, now: Time) {
        let outcomes = orders.report(op, jobs, answers, now);
        let routes: Vec<(RouteId, KernelRoute)> = jobs.iter().map(|job| (job.id, job.route)).collect();
        self.tried(outcomes, &routes, now);
    }

    /// As the installer does: one retry at a time, which any answer replaces.
    fn tried(&mut self, outcomes: Vec<RouteOutcome>, routes: &[(RouteId, KernelRoute)], now: Time) {
        for RouteOutcome { id, generation, result, .. } in outcomes {
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
    fn request(&mut self, route: &KernelRoute, request: impl FnOnce(&mut SimTables) -> Result<()>) -> Result<()> {
        if self.random.chance(self.faults.rival_ppm) {
            let act = RIVAL_ACTS[self.random.up_to(RIVAL_ACTS.len() as u64 - 1) as usize];
            self.act(route, act);
        }
        if self.random.chance(self.faults.fail_ppm) {
            return Err(RouteError::System(Errno::EPERM));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return Err(RouteError::Unanswered);
        }
        let answer = request(&mut self.tables);
        if lost { Err(RouteError::Unanswered) } else { answer }
    }

    fn act(&mut self, ours: &KernelRoute, act: RivalAct) {
        let theirs = KernelRoute { protocol: self.theirs, ..*ours };
        let rival = KernelRoute { next_hop: std::net::Ipv4Addr::new(10, 0, 0, 250), ..*ours };
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
                self.notices
                    .extend([&theirs, &rival].into_iter().filter_map(|it| tables.delete(it).ok()).map(Notice::Gone));
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
