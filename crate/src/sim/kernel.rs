//! A kernel that holds routes, and fails, hangs, and answers late or not at all.

use rustc_hash::FxHashMap;

use nix::errno::Errno;

use crate::mailbox::{RouteOp, RouteOutcome};
use crate::orders::{Batch, Job, Orders, RouteId, settle};
use crate::routes::{KernelRoute, Result, RouteError};
use crate::sim::random::Random;
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
    /// … and so many lose their answer, done or not.
    pub lose_ppm: u32,
}

const LONGEST_HANG_US: u64 = 30_000_000;

type Slot = (u32, std::net::Ipv4Addr, u8, u32);

/// One message on its way through the kernel.
#[derive(Debug)]
struct Message {
    batch: Batch,
    deletes: Vec<Result<()>>,
    adds: Vec<Result<()>>,
    answered_at: Time,
}

#[derive(Debug)]
struct Retry {
    at: Time,
    id: RouteId,
    generation: u32,
    /// It failed because this slot is somebody else's: in vain for as long as it is.
    conflict: Option<Slot>,
}

#[derive(Debug)]
pub struct Kernel {
    random: Random,
    pub faults: KernelFaults,
    /// What we mark our routes with.
    protocol: u8,
    slots: FxHashMap<Slot, KernelRoute>,
    message: Option<Message>,
    retries: Vec<Retry>,
    failures: FxHashMap<RouteId, u32>,
}

impl Kernel {
    #[must_use]
    pub fn new(random: Random, faults: KernelFaults, protocol: u8) -> Self {
        Self {
            random,
            faults,
            protocol,
            slots: FxHashMap::default(),
            message: None,
            retries: Vec::new(),
            failures: FxHashMap::default(),
        }
    }

    /// Somebody else puts a route there, whatever its slot holds.
    pub fn occupy(&mut self, route: KernelRoute) {
        self.slots.insert(slot_of(&route), route);
    }

    /// Somebody else takes exactly this route away. Tells whether it was there.
    pub fn take(&mut self, route: &KernelRoute) -> bool {
        let holds = self.holds(route);
        if holds {
            self.slots.remove(&slot_of(route));
        }
        holds
    }

    /// Whether exactly this route is there.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.slots.get(&slot_of(route)) == Some(route)
    }

    /// The process that asked is gone: its answers find nobody, its retries come no more. What it installed stays.
    pub fn abandon(&mut self) {
        self.message = None;
        self.retries.clear();
        self.failures.clear();
    }

    /// Takes away what a predecessor left.
    pub fn sweep(&mut self, protocol: u8) {
        self.slots.retain(|_, route| route.protocol != protocol);
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
        self.message.is_none() && !orders.has_work() && self.retries.iter().all(|retry| self.is_in_vain(retry))
    }

    fn is_in_vain(&self, retry: &Retry) -> bool {
        let occupant = retry.conflict.and_then(|slot| self.slots.get(&slot));
        occupant.is_some_and(|occupant| occupant.protocol != self.protocol)
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
            && let Some(Message { batch, deletes, adds, .. }) = self.message.take()
        {
            self.answer(orders, RouteOp::Delete, &batch.deletes, deletes, now);
            self.answer(orders, RouteOp::Add, &batch.adds, adds, now);
        }
        while self.message.is_none() && orders.has_work() {
            let batch = orders.pick(now);
            if !batch.deletes.is_empty() || !batch.adds.is_empty() {
                self.message = Some(self.ask(batch, now));
            }
        }
    }

    fn ask(&mut self, batch: Batch, now: Time) -> Message {
        let KernelFaults { latency_us, hang_ppm, .. } = self.faults;
        let hang_us = if self.random.chance(hang_ppm) { self.random.up_to(LONGEST_HANG_US) } else { 0 };
        let answered_at = now.plus(self.random.up_to(latency_us) + hang_us);
        let deletes = batch.deletes.iter().map(|job| self.request(RouteOp::Delete, &job.route)).collect();
        let adds = batch.adds.iter().map(|job| self.request(RouteOp::Add, &job.route)).collect();
        Message { batch, deletes, adds, answered_at }
    }

    fn request(&mut self, op: RouteOp, route: &KernelRoute) -> Result<()> {
        if self.random.chance(self.faults.fail_ppm) {
            return Err(RouteError::System(Errno::EPERM));
        }
        let lost = self.random.chance(self.faults.lose_ppm);
        if lost && self.random.chance(500_000) {
            return Err(RouteError::Unanswered);
        }
        let answer = self.apply(op, route);
        if lost { Err(RouteError::Unanswered) } else { answer }
    }

    /// The rules for slots, as `RouteSocket` keeps them without taking over.
    fn apply(&mut self, op: RouteOp, route: &KernelRoute) -> Result<()> {
        let slot = slot_of(route);
        match (op, self.slots.get(&slot)) {
            (RouteOp::Add, Some(occupant)) if occupant.protocol != route.protocol => {
                return Err(RouteError::Conflict(occupant.protocol));
            }
            (RouteOp::Add, _) => {
                self.slots.insert(slot, *route);
            }
            (RouteOp::Delete, Some(occupant)) if occupant == route => {
                self.slots.remove(&slot);
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, orders: &mut Orders, op: RouteOp, jobs: &[Job], answers: Vec<Result<()>>, now: Time) {
        let settled: Vec<(Result<()>, bool)> =
            jobs.iter().zip(answers).map(|(job, answer)| settle(op, answer, || Ok(self.holds(&job.route)))).collect();
        for RouteOutcome { id, generation, result, .. } in orders.report(op, jobs, settled, now) {
            // As the installer does: one retry at a time, which any answer replaces.
            self.retries.retain(|retry| retry.id != id);
            if result.is_ok() {
                self.failures.remove(&id);
                continue;
            }
            let failures = self.failures.entry(id).or_default();
            let wait_us = (FIRST_RETRY_US << (*failures).min(10)).min(LONGEST_RETRY_US);
            *failures += 1;
            let slot = jobs.iter().find(|job| job.id == id).map(|job| slot_of(&job.route));
            let conflict = slot.filter(|_| matches!(result, Err(RouteError::Conflict(_))));
            self.retries.push(Retry { at: now.plus(wait_us), id, generation, conflict });
        }
    }
}

fn slot_of(route: &KernelRoute) -> Slot {
    (route.table, route.destination, route.prefix_length, route.priority)
}
