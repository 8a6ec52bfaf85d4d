//! What the kernel is to hold for each armed route, and in which order it is asked for: pure, given the time. `arming`
//! has a thread work these orders off; the simulator works the same orders off against a kernel of its own.
//!
//! Every order carries a generation. What is wanted is judged when a request is picked, not when it was ordered, and an
//! answer is compared with what is wanted by then.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::engine::SessionId;
use crate::mailbox::{RouteOp, RouteOutcome};
use crate::route_stats::RouteStats;
use crate::routes::{KernelRoute, MOST_REQUESTS, Result, RouteError, Slot};
use crate::stats::Scope;
use crate::time::Time;

/// So long an adopted route stays although its session is not Up: as long as Init may last, enough for a session that
/// begins anew.
pub const ADOPTION_HOLD_US: u64 = 3_300_000;

/// Names an armed route. The caller picks the number and uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// A route to be kept in step with its session.
#[derive(Clone, Copy, Debug)]
pub struct ArmedRoute {
    pub id: RouteId,
    pub session: SessionId,
    pub generation: u32,
    pub route: KernelRoute,
    /// Never deleted by us.
    pub no_uninstall: bool,
    pub admin_down: bool,
    /// A predecessor has left it in the kernel: it counts as installed, and is held while its session begins anew.
    pub adopted: bool,
}

/// What an armed route needs to know of its session.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionView {
    pub up: bool,
    pub peer_passive: bool,
    /// When the change that led here began to show; `None` where that is of no interest any more.
    pub conv_start: Option<Time>,
}

/// Rules that hold for all armed routes of a manager.
#[derive(Clone, Copy, Debug)]
pub struct ArmingPolicy {
    /// Replace whatever occupies a slot.
    pub take_over: bool,
    /// A session whose peer is passive keeps its route when it goes Down.
    pub honor_peer_passive: bool,
}

/// What is in care, and what is to be looked at. Deletes go before adds.
#[derive(Debug)]
pub struct Orders {
    policy: ArmingPolicy,
    routes: FxHashMap<RouteId, Care>,
    /// Most sessions have one route: no list for each.
    by_session: BTreeSet<(SessionId, RouteId)>,
    by_slot: FxHashMap<Slot, RouteId>,
    /// When the first of the adopted routes has been held for long enough, at the earliest.
    next_hold_end: Option<Time>,
    deletes: VecDeque<RouteId>,
    adds: VecDeque<RouteId>,
    stats: RouteStats,
}

/// One request to the kernel, as it was decided.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub id: RouteId,
    pub route: KernelRoute,
    wanted_at: Time,
    conv_start: Option<Time>,
}

/// Up to one message full of work, and what can be told without asking the kernel.
#[derive(Debug, Default)]
pub struct Batch {
    pub deletes: Vec<Job>,
    pub adds: Vec<Job>,
    pub idle: Vec<RouteOutcome>,
}

#[derive(Debug)]
struct Care {
    spec: ArmedRoute,
    /// What it is counted in.
    scope: Scope,
    session: SessionView,
    /// Set by a disarm: delete first, or not.
    leaving: Option<bool>,
    installed: bool,
    queued: bool,
    /// A request is on its way to the kernel, or its answer from there …
    asked: bool,
    /// … and meanwhile somebody took the route: whether before or after that request, nobody knows.
    doubtful: bool,
    wanted_at: Time,
    /// The kernel's last answer.
    answered_at: Option<Time>,
    /// Until when an adopted route waits for its session.
    held_until: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Installed,
    Absent,
    AsItIs,
}

impl Care {
    /// Judged when it matters, not when the route was armed.
    fn wish(&self, honor_peer_passive: bool) -> Wish {
        let withdrawn = if self.spec.no_uninstall { Wish::AsItIs } else { Wish::Absent };
        match self.leaving {
            Some(true) => withdrawn,
            Some(false) => Wish::AsItIs,
            None if self.spec.admin_down => withdrawn,
            None if self.session.up => Wish::Installed,
            None if self.held_until.is_some() => Wish::AsItIs,
            None if honor_peer_passive && self.session.peer_passive => Wish::AsItIs,
            None => withdrawn,
        }
    }

    fn op(&self, honor_peer_passive: bool) -> RouteOp {
        match (self.wish(honor_peer_passive), self.installed) {
            (Wish::Installed, false) => RouteOp::Add,
            (Wish::Absent, true) => RouteOp::Delete,
            _ => RouteOp::None,
        }
    }

    /// When the session's change began to show, if that is what asks for the operation.
    fn conv_start(&self, op: RouteOp) -> Option<Time> {
        let follows = self.leaving.is_none() && !self.spec.admin_down && self.session.up == (op == RouteOp::Add);
        self.session.conv_start.filter(|_| follows)
    }
}

impl Orders {
    #[must_use]
    pub fn new(policy: ArmingPolicy) -> Self {
        Self {
            policy,
            routes: FxHashMap::default(),
            by_session: BTreeSet::new(),
            by_slot: FxHashMap::default(),
            next_hold_end: None,
            deletes: VecDeque::new(),
            adds: VecDeque::new(),
            stats: RouteStats::default(),
        }
    }

    #[must_use]
    pub fn policy(&self) -> ArmingPolicy {
        self.policy
    }

    #[must_use]
    pub fn stats(&self) -> &RouteStats {
        &self.stats
    }

    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.deletes.is_empty() || !self.adds.is_empty()
    }

    /// Takes a route into care, or replaces what is known of it.
    pub fn arm(&mut self, spec: ArmedRoute, scope: Scope, session: SessionView, now: Time) {
        let known = self.routes.get(&spec.id);
        if known.is_some_and(|care| care.spec.generation >= spec.generation) {
            return;
        }
        let installed = spec.adopted || known.is_some_and(|care| care.installed);
        let queued = known.is_some_and(|care| care.queued);
        let (asked, doubtful) = known.map_or((false, false), |care| (care.asked, care.doubtful));
        let answered_at = known.and_then(|care| care.answered_at);
        let held_until = (spec.adopted && !session.up).then(|| now.plus(ADOPTION_HOLD_US));
        // It may belong to another session than before.
        self.forget(spec.id);
        self.by_session.insert((spec.session, spec.id));
        self.stats.installed(scope, false, installed);
        let (leaving, wanted_at) = (None, now);
        let care = Care {
            spec,
            scope,
            session,
            leaving,
            installed,
            queued,
            asked,
            doubtful,
            wanted_at,
            answered_at,
            held_until,
        };
        self.routes.insert(spec.id, care);
        self.by_slot.insert(spec.route.slot(), spec.id);
        self.next_hold_end = [self.next_hold_end, held_until].into_iter().flatten().min();
        self.enqueue(spec.id, now);
    }

    /// Lets a route go, after its deletion where `remove` says so.
    pub fn disarm(&mut self, id: RouteId, generation: u32, remove: bool, now: Time) {
        let Some(care) = self.routes.get_mut(&id) else { return };
        if generation <= care.spec.generation {
            return;
        }
        care.spec.generation = generation;
        care.leaving = Some(remove);
        self.enqueue(id, now);
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub fn retry(&mut self, id: RouteId, generation: u32, now: Time) {
        if self.routes.get(&id).is_some_and(|care| care.spec.generation == generation) {
            self.enqueue(id, now);
        }
    }

    pub fn session_changed(&mut self, session: SessionId, view: SessionView, now: Time) {
        let of_session = (session, RouteId(0))..=(session, RouteId(u32::MAX));
        let ids: Vec<RouteId> = self.by_session.range(of_session).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(care) = self.routes.get_mut(&id) {
                care.session = view;
                care.held_until = care.held_until.filter(|_| !view.up);
            }
            self.enqueue(id, now);
        }
    }

    /// Notes that somebody else took a route out of the kernel.
    pub fn lost(&mut self, route: &KernelRoute, now: Time) {
        let Some(id) = self.by_slot.get(&route.slot()).copied() else { return };
        if self.routes.get(&id).is_some_and(|care| care.spec.route.is_same(route)) {
            self.lose(id, now);
        }
    }

    /// Notes that somebody else put a route into a slot, and which one if it is of our kind: one that is not ours has
    /// replaced ours.
    pub fn taken(&mut self, slot: &Slot, route: Option<&KernelRoute>, now: Time) {
        let Some(id) = self.by_slot.get(slot).copied() else { return };
        let is_ours = |care: &Care| route.is_some_and(|route| care.spec.route.is_same(route));
        if !self.routes.get(&id).is_some_and(is_ours) {
            self.lose(id, now);
        }
    }

    /// Compares with what the kernel held at `listed_at`: what is gone is put right, and what failed is tried again.
    pub fn reconcile(&mut self, held: &FxHashSet<KernelRoute>, listed_at: Time, now: Time) {
        let held: FxHashMap<Slot, &KernelRoute> = held.iter().map(|route| (route.slot(), route)).collect();
        let ids: Vec<RouteId> = self.routes.keys().copied().collect();
        for id in ids {
            let care = &self.routes[&id];
            let route = &care.spec.route;
            let is_gone = held.get(&route.slot()).is_none_or(|listed| !listed.is_same(route));
            // What the kernel answered meanwhile is newer than the list.
            if is_gone && care.answered_at.is_none_or(|at| at < listed_at) {
                self.lose(id, now);
            } else if care.op(self.policy.honor_peer_passive) != RouteOp::None {
                self.enqueue(id, now);
            }
        }
    }

    /// The protocol numbers of the routes in care.
    #[must_use]
    pub fn protocols(&self) -> Vec<u8> {
        let mut protocols: Vec<u8> = self.routes.values().map(|care| care.spec.route.protocol).collect();
        protocols.sort_unstable();
        protocols.dedup();
        protocols
    }

    /// When `release` has something to do, at the earliest.
    #[must_use]
    pub fn next_hold_end(&self) -> Option<Time> {
        self.next_hold_end
    }

    /// Lets go of adopted routes whose sessions had their time.
    pub fn release(&mut self, now: Time) {
        if self.next_hold_end.is_none_or(|end| end > now) {
            return;
        }
        let is_over = |care: &Care| care.held_until.is_some_and(|end| end <= now);
        let over: Vec<RouteId> = self.routes.iter().filter(|(_, care)| is_over(care)).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(care) = self.routes.get_mut(&id) {
                care.held_until = None;
            }
            self.enqueue(id, now);
        }
        self.next_hold_end = self.routes.values().filter_map(|care| care.held_until).min();
    }

    /// Takes up to one message full of what has to be asked of the kernel.
    pub fn pick(&mut self, now: Time) -> Batch {
        let mut batch = Batch::default();
        while batch.deletes.len() + batch.adds.len() < MOST_REQUESTS {
            let Some(id) = self.next() else { break };
            let Some(care) = self.routes.get_mut(&id) else { continue };
            care.queued = false;
            let op = care.op(self.policy.honor_peer_passive);
            care.asked = op != RouteOp::None;
            let job = Job { id, route: care.spec.route, wanted_at: care.wanted_at, conv_start: care.conv_start(op) };
            match op {
                RouteOp::Add => batch.adds.push(job),
                RouteOp::Delete => batch.deletes.push(job),
                RouteOp::None => {
                    if care.leaving.is_some() {
                        let generation = care.spec.generation;
                        self.forget(id);
                        batch.idle.push(outcome(RouteOp::None, &job, generation, now, Ok(()), true));
                    }
                }
            }
        }
        batch
    }

    /// Notes the kernel's answers, each with whether the route is in the kernel by it. A route of which something else
    /// is wanted by now is in the queue again.
    pub fn report(
        &mut self,
        op: RouteOp,
        jobs: &[Job],
        answers: impl IntoIterator<Item = (Result<()>, bool)>,
        now: Time,
    ) -> Vec<RouteOutcome> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for (job, (answer, installed)) in jobs.iter().zip(answers) {
            let Some(care) = self.routes.get_mut(&job.id) else { continue };
            self.stats.installed(care.scope, care.installed, installed);
            care.installed = installed;
            care.answered_at = Some(now);
            care.asked = false;
            let doubtful = std::mem::take(&mut care.doubtful);
            if answer.is_ok() && care.session.conv_start == job.conv_start {
                care.session.conv_start = None;
            }
            let gone = care.leaving.is_some() && care.op(self.policy.honor_peer_passive) == RouteOp::None;
            self.stats.answered(care.scope, op, answer.is_ok(), now, job.conv_start);
            outcomes.push(outcome(op, job, care.spec.generation, now, answer, gone));
            if gone {
                self.forget(job.id);
            } else if doubtful {
                // An add too many changes nothing.
                self.lose(job.id, now);
            }
        }
        outcomes
    }

    fn lose(&mut self, id: RouteId, now: Time) {
        let Some(care) = self.routes.get_mut(&id) else { return };
        care.doubtful = care.asked;
        if care.asked || !care.installed {
            return;
        }
        care.installed = false;
        let restores = care.wish(self.policy.honor_peer_passive) == Wish::Installed;
        self.stats.installed(care.scope, true, false);
        self.stats.lost(care.scope, restores);
        self.enqueue(id, now);
    }

    fn enqueue(&mut self, id: RouteId, now: Time) {
        let Some(care) = self.routes.get_mut(&id) else { return };
        if care.queued {
            return;
        }
        care.queued = true;
        care.wanted_at = now;
        // A hint for the order only: what is done is decided when the route is picked.
        if care.session.up && care.leaving.is_none() { &mut self.adds } else { &mut self.deletes }.push_back(id);
    }

    fn next(&mut self) -> Option<RouteId> {
        self.deletes.pop_front().or_else(|| self.adds.pop_front())
    }

    fn forget(&mut self, id: RouteId) {
        let Some(care) = self.routes.remove(&id) else { return };
        let slot = care.spec.route.slot();
        if self.by_slot.get(&slot) == Some(&id) {
            self.by_slot.remove(&slot);
        }
        self.stats.installed(care.scope, care.installed, false);
        self.by_session.remove(&(care.spec.session, id));
    }
}

/// An answer to an operation, and whether the route is in the kernel by it. Where the answer was lost the kernel is asked.
pub fn settle(op: RouteOp, answer: Result<()>, holds: impl FnOnce() -> Result<bool>) -> (Result<()>, bool) {
    let before = op == RouteOp::Delete;
    match answer {
        Ok(()) => (Ok(()), !before),
        Err(RouteError::Unanswered) => match holds() {
            Ok(holds) if holds != before => (Ok(()), holds),
            Ok(holds) => (Err(RouteError::Unanswered), holds),
            Err(error) => (Err(error), before),
        },
        Err(error) => (Err(error), before),
    }
}

fn outcome(op: RouteOp, job: &Job, generation: u32, at: Time, result: Result<()>, gone: bool) -> RouteOutcome {
    RouteOutcome { id: job.id, generation, op, at, duration_us: at.since(job.wanted_at), gone, result }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::stats::LinkId;

    const NOW: Time = Time::from_micros(1);
    const UP: SessionView = SessionView { up: true, peer_passive: false, conv_start: None };
    const DOWN: SessionView = SessionView { up: false, peer_passive: false, conv_start: None };
    const DOWN_PASSIVE: SessionView = SessionView { up: false, peer_passive: true, conv_start: None };

    const SCOPE: Scope = Scope { link: LinkId(1), local: Ipv4Addr::new(10, 0, 0, 1) };

    fn armed(id: u32, generation: u32) -> ArmedRoute {
        ArmedRoute {
            id: RouteId(id),
            session: SessionId(1),
            generation,
            route: KernelRoute {
                table: 254,
                destination: Ipv4Addr::new(10, 9, 0, 7),
                prefix_length: 32,
                source: Ipv4Addr::new(10, 0, 0, 1),
                next_hop: Ipv4Addr::new(10, 0, 0, 2),
                protocol: 186,
                priority: 0,
            },
            no_uninstall: false,
            admin_down: false,
            adopted: false,
        }
    }

    fn care(session: SessionView, installed: bool) -> Care {
        Care {
            spec: armed(1, 1),
            scope: SCOPE,
            session,
            leaving: None,
            installed,
            queued: false,
            asked: false,
            doubtful: false,
            wanted_at: NOW,
            answered_at: None,
            held_until: None,
        }
    }

    fn orders() -> Orders {
        Orders::new(ArmingPolicy { take_over: false, honor_peer_passive: true })
    }

    #[test]
    fn what_is_done_follows_from_session_and_route_at_that_moment() {
        let op = |care: &Care| care.op(false);
        assert_eq!(op(&care(UP, false)), RouteOp::Add);
        assert_eq!(op(&care(UP, true)), RouteOp::None);
        assert_eq!(op(&care(DOWN, true)), RouteOp::Delete);
        assert_eq!(op(&care(DOWN, false)), RouteOp::None);

        let admin_down = |session, installed| {
            let mut care = care(session, installed);
            care.spec.admin_down = true;
            op(&care)
        };
        assert_eq!(admin_down(UP, true), RouteOp::Delete);
        assert_eq!(admin_down(UP, false), RouteOp::None);
    }

    #[test]
    fn a_route_that_must_stay_is_added_and_never_deleted() {
        for (session, leaving, admin_down) in [(DOWN, None, false), (UP, None, true), (DOWN, Some(true), false)] {
            let mut care = care(session, true);
            care.spec.no_uninstall = true;
            care.spec.admin_down = admin_down;
            care.leaving = leaving;
            assert_eq!(care.op(false), RouteOp::None);
        }
        let mut care = care(UP, false);
        care.spec.no_uninstall = true;
        assert_eq!(care.op(false), RouteOp::Add);
    }

    #[test]
    fn a_passive_peer_keeps_its_route_only_where_that_is_honoured_and_only_if_it_had_it() {
        assert_eq!(care(DOWN_PASSIVE, true).op(true), RouteOp::None);
        assert_eq!(care(DOWN_PASSIVE, false).op(true), RouteOp::None);
        assert_eq!(care(DOWN_PASSIVE, true).op(false), RouteOp::Delete);
        assert_eq!(care(DOWN, true).op(true), RouteOp::Delete, "the flag cleared");
        let mut withdrawn = care(DOWN_PASSIVE, true);
        withdrawn.leaving = Some(true);
        assert_eq!(withdrawn.op(true), RouteOp::Delete, "a withdrawal is a withdrawal");
    }

    #[test]
    fn deletes_go_before_adds() {
        let mut orders = orders();
        orders.arm(armed(1, 1), SCOPE, UP, NOW);
        orders.arm(armed(2, 1), SCOPE, DOWN, NOW);
        orders.arm(armed(3, 1), SCOPE, UP, NOW);
        let order: Vec<RouteId> = std::iter::from_fn(|| orders.next()).collect();
        assert_eq!(order, [RouteId(2), RouteId(1), RouteId(3)]);
    }

    #[test]
    fn an_order_of_an_older_generation_changes_nothing() {
        let mut orders = orders();
        orders.arm(armed(1, 5), SCOPE, UP, NOW);
        orders.arm(ArmedRoute { admin_down: true, ..armed(1, 4) }, SCOPE, DOWN, NOW);
        orders.disarm(RouteId(1), 5, true, NOW);
        let care = &orders.routes[&RouteId(1)];
        assert!(care.session.up && !care.spec.admin_down && care.leaving.is_none());
        orders.disarm(RouteId(1), 6, true, NOW);
        orders.arm(armed(1, 7), SCOPE, UP, NOW);
        assert!(orders.routes[&RouteId(1)].leaving.is_none(), "armed again while it was leaving, it stays");
    }

    #[test]
    fn a_route_that_is_armed_again_for_another_session_follows_that_one() {
        let mut orders = orders();
        orders.arm(armed(1, 1), SCOPE, UP, NOW);
        orders.arm(ArmedRoute { session: SessionId(2), ..armed(1, 2) }, SCOPE, DOWN, NOW);
        orders.session_changed(SessionId(1), DOWN, NOW);
        orders.session_changed(SessionId(2), UP, NOW);
        assert!(orders.routes[&RouteId(1)].session.up);
        assert_eq!(orders.adds.len() + orders.deletes.len(), 1, "and is looked at once");
    }

    #[test]
    fn a_session_that_changes_moves_all_of_its_routes_until_they_are_forgotten() {
        let mut orders = orders();
        for id in [1, 2] {
            orders.arm(armed(id, 1), SCOPE, UP, NOW);
        }
        orders.session_changed(SessionId(1), DOWN, NOW);
        assert!(orders.routes.values().all(|care| !care.session.up));
        orders.forget(RouteId(1));
        orders.forget(RouteId(2));
        assert!(orders.by_session.is_empty() && orders.routes.is_empty());
    }

    #[test]
    fn only_a_change_of_the_session_has_a_convergence_time() {
        let since = |up| SessionView { conv_start: Some(NOW), up, ..DOWN };
        assert_eq!(care(since(true), false).conv_start(RouteOp::Add), Some(NOW));
        assert_eq!(care(since(false), true).conv_start(RouteOp::Delete), Some(NOW));
        let mut withdrawn = care(since(true), true);
        withdrawn.leaving = Some(true);
        assert_eq!(withdrawn.conv_start(RouteOp::Delete), None);
        let mut out_of_service = care(since(true), true);
        out_of_service.spec.admin_down = true;
        assert_eq!(out_of_service.conv_start(RouteOp::Delete), None);
    }

    #[test]
    fn the_gauge_of_installed_routes_follows_those_in_care() {
        let mut orders = orders();
        let installed = |orders: &Orders| orders.stats.iter().map(|(_, counters)| counters.installed).sum::<u64>();
        orders.arm(armed(1, 1), SCOPE, UP, NOW);
        orders.routes.get_mut(&RouteId(1)).unwrap().installed = true;
        orders.stats.installed(SCOPE, false, true);
        orders.arm(armed(1, 2), SCOPE, UP, NOW);
        assert_eq!(installed(&orders), 1, "armed again, it is counted once");
        orders.forget(RouteId(1));
        assert_eq!(installed(&orders), 0);
    }

    /// What is picked now, as (deletes, adds).
    fn picked(orders: &mut Orders, now: Time) -> (usize, usize) {
        let batch = orders.pick(now);
        let done = |jobs: &[Job], installed| vec![(Ok(()), installed); jobs.len()];
        orders.report(RouteOp::Delete, &batch.deletes, done(&batch.deletes, false), now);
        orders.report(RouteOp::Add, &batch.adds, done(&batch.adds, true), now);
        (batch.deletes.len(), batch.adds.len())
    }

    #[test]
    fn a_route_that_somebody_else_deleted_is_put_back_while_its_session_is_up() {
        for (view, restored) in [(UP, 1), (DOWN, 0)] {
            let mut orders = orders();
            orders.arm(armed(1, 1), SCOPE, UP, NOW);
            assert_eq!(picked(&mut orders, NOW), (0, 1));
            orders.session_changed(SessionId(1), view, NOW);
            orders.lost(&armed(1, 1).route, NOW);
            assert_eq!(picked(&mut orders, NOW), (0, restored), "and what is gone need not be deleted");
            let stats = orders.stats.iter().next().unwrap().1;
            assert_eq!((stats.restored, stats.installed), (restored as u64, restored as u64));
        }
    }

    #[test]
    fn a_route_that_is_taken_before_the_answer_to_its_installation_was_noted_is_put_back_too() {
        for is_replaced in [false, true] {
            let ours = armed(1, 1).route;
            let mut orders = orders();
            orders.arm(armed(1, 1), SCOPE, UP, NOW);
            let batch = orders.pick(NOW);
            if is_replaced {
                orders.taken(&ours.slot(), Some(&KernelRoute { protocol: 42, ..ours }), NOW);
            } else {
                orders.lost(&ours, NOW);
            }
            assert!(!orders.has_work(), "nothing is asked twice at once");
            orders.report(RouteOp::Add, &batch.adds, [(Ok(()), true)], NOW);
            assert_eq!(picked(&mut orders, NOW), (0, 1));
            assert_eq!(orders.stats.iter().next().unwrap().1.restored, 1);
            assert_eq!(picked(&mut orders, NOW), (0, 0), "the next answer is beyond doubt");
        }
    }

    #[test]
    fn the_loss_of_a_route_that_is_not_quite_ours_is_none_of_ours() {
        let mut orders = orders();
        orders.arm(armed(1, 1), SCOPE, UP, NOW);
        picked(&mut orders, NOW);
        let ours = armed(1, 1).route;
        orders.lost(&KernelRoute { protocol: 42, ..ours }, NOW);
        orders.lost(&KernelRoute { next_hop: Ipv4Addr::new(10, 0, 0, 9), ..ours }, NOW);
        orders.lost(&KernelRoute { priority: 7, ..ours }, NOW);
        assert!(!orders.has_work());
    }

    #[test]
    fn a_route_that_was_replaced_in_its_slot_is_lost_and_one_that_was_only_confirmed_is_not() {
        let ours = armed(1, 1).route;
        for (route, is_lost) in [(Some(ours), false), (Some(KernelRoute { protocol: 42, ..ours }), true), (None, true)]
        {
            let mut orders = orders();
            orders.arm(armed(1, 1), SCOPE, UP, NOW);
            picked(&mut orders, NOW);
            orders.taken(&ours.slot(), route.as_ref(), NOW);
            assert_eq!(orders.has_work(), is_lost, "{route:?}");
        }
    }

    #[test]
    fn a_list_older_than_the_kernels_answer_proves_nothing_and_a_newer_one_does() {
        let mut orders = orders();
        orders.arm(armed(1, 1), SCOPE, UP, NOW);
        picked(&mut orders, NOW.plus(10));
        orders.reconcile(&FxHashSet::default(), NOW.plus(5), NOW.plus(20));
        assert!(!orders.has_work());
        orders.reconcile(&FxHashSet::from_iter([armed(1, 1).route]), NOW.plus(15), NOW.plus(20));
        assert!(!orders.has_work(), "it is there");
        orders.reconcile(&FxHashSet::default(), NOW.plus(15), NOW.plus(20));
        assert_eq!(picked(&mut orders, NOW.plus(20)), (0, 1));
    }

    #[test]
    fn an_adopted_route_waits_for_its_session_and_goes_where_that_does_not_come() {
        let adopted = ArmedRoute { adopted: true, ..armed(1, 1) };
        let mut orders = orders();
        orders.arm(adopted, SCOPE, DOWN, NOW);
        let end = orders.next_hold_end().unwrap();
        orders.release(end.minus(1));
        assert_eq!(picked(&mut orders, end.minus(1)), (0, 0));
        orders.release(end);
        assert_eq!(picked(&mut orders, end), (1, 0));

        let mut orders = Orders::new(orders.policy());
        orders.arm(adopted, SCOPE, DOWN, NOW);
        orders.session_changed(SessionId(1), UP, NOW);
        orders.release(end);
        assert_eq!(picked(&mut orders, end), (0, 0), "its session came Up: it is as if we had installed it");
        orders.session_changed(SessionId(1), DOWN, end);
        assert_eq!(picked(&mut orders, end), (1, 0), "and is not held a second time");
    }
}
