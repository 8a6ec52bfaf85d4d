//! The route planner: what the kernel is to hold for each armed route, and in which order it is asked. Pure, given the time.
//! `worker` sends the planner's requests to the kernel; the simulator runs the same planner against tables of its own.
//!
//! Every command carries a generation. What is desired is decided when a request is picked, not when the route was armed,
//! and an answer is compared with what is desired by then. A route is `Present`, `Absent` or `Unknown` in the kernel. A
//! notice of another process's change, a change of a link, or a lost answer makes it unknown; a look at exactly that route
//! finds out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use crate::engine::SessionId;
use crate::engine::stats::{LinkId, LocalEndpoint};
use crate::protocol::time::Time;
use crate::routes::armed::{
    AffectedRoutes, ArmedRoute, ArmingPolicy, Batch, Contention, Desired, Doubt, Entry, HOLD_US, Pending, Question,
    Queue, RouteRequest, SessionView, Step, outcome, replace,
};
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError, Slot};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::stats::RouteStats;
use crate::routes::tables::RequestOutcome;

/// The most requests picked at once for deletions. The answers to a thousand do not fit into a socket's buffer and are lost.
pub const MOST_DELETES: usize = 128;

/// The most other requests picked at once: a deletion that comes meanwhile waits for them.
const MOST_OTHERS: usize = 32;

/// All armed routes, and the requests that wait. Deletes go before looks, and looks before adds.
#[derive(Debug)]
pub struct RoutePlanner {
    policy: ArmingPolicy,
    routes: FxHashMap<RouteId, Entry>,
    /// Most sessions have one route: no list for each.
    by_session: BTreeSet<(SessionId, RouteId)>,
    by_slot: BTreeMap<Slot, RouteId>,
    /// When holds and delays end.
    timers: BTreeSet<(Time, RouteId)>,
    /// What only a listing can find out.
    pending: BTreeSet<RouteId>,
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
            routes: FxHashMap::default(),
            by_session: BTreeSet::new(),
            by_slot: BTreeMap::new(),
            timers: BTreeSet::new(),
            pending: BTreeSet::new(),
            deletes: VecDeque::new(),
            looks: VecDeque::new(),
            adds: VecDeque::new(),
            last_ticket: 0,
            stats: RouteStats::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &RouteStats {
        &self.stats
    }

    /// Whether there is something to `pick`.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.deletes.is_empty() || !self.looks.is_empty() || !self.adds.is_empty()
    }

    /// Whether there are `questions`.
    #[must_use]
    pub fn has_questions(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When `handle_timeout` has something to do.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Until when a route that others take away again and again is not put back.
    #[must_use]
    pub fn restore_at(&self, id: RouteId) -> Option<Time> {
        self.routes.get(&id)?.restore_at()
    }

    /// Arms a route, or replaces what is known of it: an older generation changes nothing. Where the route itself is
    /// another than before, that one goes when the new one is there, or when none is to be.
    pub fn arm(&mut self, spec: ArmedRoute, endpoint: LocalEndpoint, session: SessionView, now: Time) {
        let known = self.routes.get(&spec.id);
        if known.is_some_and(|entry| entry.spec.generation >= spec.generation) {
            return;
        }
        let mut entry = self.detach(spec.id).unwrap_or(Entry {
            spec,
            endpoint,
            session,
            leaving: None,
            presence: Presence::Absent,
            doubt: None,
            counted_as_installed: false,
            reported_as_installed: false,
            queued: None,
            asked: false,
            asked_for_route: false,
            desired_at: now,
            rare: None,
        });
        let (previous, was_adopted) = (entry.spec.route, entry.spec.adopted);
        (entry.spec, entry.endpoint, entry.session, entry.leaving) = (spec, endpoint, session, None);
        // Whoever adopted it before still waits for an outcome.
        entry.spec.adopted |= was_adopted;
        if previous != spec.route {
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
        }
        if (session.up || spec.admin_down)
            && let Some(rare) = &mut entry.rare
        {
            rare.held_until = None;
        }
        self.attach(entry);
        self.enqueue(spec.id, now);
    }

    /// Forgets a route, after its deletion where `remove` says so.
    pub fn disarm(&mut self, id: RouteId, generation: u32, remove: bool, now: Time) {
        let Some(entry) = self.routes.get_mut(&id) else { return };
        if generation <= entry.spec.generation {
            return;
        }
        entry.spec.generation = generation;
        entry.leaving = Some(remove);
        self.enqueue(id, now);
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub fn retry(&mut self, id: RouteId, generation: u32, now: Time) {
        if self.routes.get(&id).is_some_and(|entry| entry.spec.generation == generation) {
            self.enqueue(id, now);
        }
    }

    /// Notes that a session changed: its routes are installed or withdrawn accordingly.
    pub fn session_changed(&mut self, session: SessionId, view: SessionView, now: Time) {
        let of_session = (session, RouteId(0))..=(session, RouteId(u32::MAX));
        let ids: Vec<RouteId> = self.by_session.range(of_session).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(entry) = self.routes.get_mut(&id) {
                entry.session = view;
                if view.up {
                    self.end_hold(id);
                }
            }
            self.enqueue(id, now);
        }
    }

    /// Notes that the interface of a link has another index now, or, with 0, that there is none. What was installed over
    /// the previous one is deleted if it is still there.
    pub fn link_changed(&mut self, link: LinkId, interface: u32, now: Time) {
        let differs = |entry: &Entry| entry.endpoint.link == link && entry.spec.route.interface != interface;
        let ids: Vec<RouteId> = self.routes.iter().filter(|(_, entry)| differs(entry)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(entry) = self.routes.get_mut(&id) {
                let previous = entry.spec.route;
                entry.spec.route.interface = interface;
                replace(entry, previous);
                self.update_installed(id);
                self.enqueue(id, now);
            }
        }
    }

    /// Notes that another process deleted a route. The notice may be older than what is known, so the route is looked at
    /// again. A previous route that may be there stays one.
    pub fn lost(&mut self, route: &KernelRoute, now: Time) {
        let Some(id) = self.by_slot.get(&route.slot()).copied() else { return };
        if self.routes.get(&id).is_some_and(|entry| entry.spec.route == *route) {
            self.doubt(id, Doubt::Rival, now);
        }
    }

    /// Notes that another process put a route into a slot, where it may have replaced ours.
    pub fn taken(&mut self, slot: &Slot, now: Time) {
        if let Some(id) = self.by_slot.get(slot).copied() {
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
        let some: Vec<(SessionId, RouteId)> = self.by_session.range(from..).take(most + 1).copied().collect();
        for (_, id) in some.iter().take(most) {
            if self.routes.get(id).is_some_and(|entry| affected.includes(&entry.spec.route)) {
                self.doubt(*id, Doubt::Host, now);
            }
        }
        some.get(most).copied()
    }

    /// Ends the holds and the delays that are over.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            if let Some(rare) = self.routes.get_mut(&id).and_then(|entry| entry.rare.as_mut()) {
                rare.held_until = rare.held_until.filter(|until| *until > now);
                if let Some(contention) = &mut rare.contention {
                    contention.restore_at = contention.restore_at.filter(|at| *at > now);
                }
            }
            self.enqueue(id, now);
        }
    }

    /// Takes up to one message of each kind of what has to be asked of the kernel.
    pub fn pick(&mut self, now: Time) -> Batch {
        let mut batch = Batch::default();
        while batch.deletes.len() < MOST_DELETES && batch.looks.len() + batch.adds.len() < MOST_OTHERS {
            let Some(id) = self.next() else { break };
            let Some(entry) = self.routes.get_mut(&id) else { continue };
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
            let route = if let Step::Delete(route) = step { route } else { entry.spec.route };
            let replaces = entry.previous().filter(|_| step == Step::Add);
            let cause = if step == Step::Look { entry.doubt.take() } else { None };
            let request =
                RouteRequest { route, replaces, conv_start: entry.conv_start(op), cause, ..RouteRequest::of(entry) };
            match step {
                Step::Add => batch.adds.push(request),
                Step::Delete(_) => batch.deletes.push(request),
                Step::Look => batch.looks.push(request),
                Step::Nothing if entry.leaving.is_some() => {
                    let gone = outcome(RouteOp::None, &request, entry, now, Ok(()), true);
                    self.detach(id);
                    batch.idle.push(gone);
                }
                Step::Nothing | Step::Wait if entry.owes_outcome() => {
                    batch.idle.push(outcome(RouteOp::None, &request, entry, now, Ok(()), false));
                    continue;
                }
                Step::Nothing | Step::Wait => continue,
            }
            if let Some(entry) = self.routes.get_mut(&id) {
                entry.asked = true;
                entry.asked_for_route = request.route == entry.spec.route;
                // Nothing that was noticed before is of interest after it, nor a listing from before.
                entry.doubt = None;
                if let Some(rare) = &mut entry.rare {
                    rare.pending = None;
                }
            }
        }
        batch
    }

    /// Notes the kernel's answers to requests of one kind. A route of which something else is wanted by now is in the queue
    /// again.
    pub fn report(
        &mut self,
        op: RouteOp,
        requests: &[RouteRequest],
        answers: impl IntoIterator<Item = RequestOutcome>,
        now: Time,
    ) -> Vec<RouteOutcome> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for (request, answer) in requests.iter().zip(answers) {
            outcomes.extend(self.answered(op, request, answer, now));
        }
        outcomes
    }

    /// The questions for a listing; each is asked once.
    pub fn questions(&mut self) -> Vec<Question> {
        let ids = std::mem::take(&mut self.pending);
        ids.into_iter()
            .filter_map(|id| {
                let entry = self.routes.get(&id)?;
                let (pending, ticket) = entry.pending()?;
                Some(Question { id, route: entry.spec.route, ticket, of_slot: pending == Pending::Occupant })
            })
            .collect()
    }

    /// Notes what a listing said that was begun after the question was taken: whether the route is there, and who occupies
    /// its slot.
    pub fn listed(
        &mut self,
        question: &Question,
        is_there: bool,
        occupant: Occupant,
        now: Time,
    ) -> Option<RouteOutcome> {
        let pending = self.take_pending(question)?;
        if pending == Pending::Presence {
            let cause = self.routes.get_mut(&question.id)?.doubt.take();
            return self.seen(question.id, if is_there { Presence::Present } else { Presence::Absent }, cause, now);
        }
        match occupant {
            Occupant::Ours(previous) if previous != question.route => self.add_previous(question.id, previous),
            Occupant::Foreign(protocol) => {
                return self.failed(question.id, RouteOp::Add, RouteError::Conflict(protocol), now);
            }
            Occupant::Nobody | Occupant::Ours(_) | Occupant::Unknown => {}
        }
        self.enqueue(question.id, now);
        None
    }

    /// Notes that no listing is to be had. Whoever retries has it asked for again.
    pub fn unlisted(&mut self, question: &Question, error: RouteError, now: Time) -> Option<RouteOutcome> {
        self.take_pending(question)?;
        self.failed(question.id, RouteOp::None, error, now)
    }

    fn take_pending(&mut self, question: &Question) -> Option<Pending> {
        let rare = self.routes.get_mut(&question.id)?.rare.as_mut()?;
        let (pending, _) = rare.pending.take_if(|(_, ticket)| *ticket == question.ticket)?;
        Some(pending)
    }

    fn answered(
        &mut self,
        op: RouteOp,
        request: &RouteRequest,
        answer: RequestOutcome,
        now: Time,
    ) -> Option<RouteOutcome> {
        if let Some(replaced) = answer.replaced {
            self.add_previous(request.id, replaced);
        }
        if op == RouteOp::Delete && request.route.priority == 0 {
            self.doubt_namesakes(&request.route, now);
        }
        let entry = self.routes.get_mut(&request.id)?;
        (entry.asked, entry.asked_for_route) = (false, false);
        if entry.spec.route != request.route {
            return self.previous_answered(op, request, answer, now);
        }
        match op {
            RouteOp::None => self.looked(request, answer.presence, now),
            RouteOp::Add | RouteOp::Delete => self.changed(op, request, answer, now),
        }
    }

    /// A look at the route has its answer.
    fn looked(&mut self, request: &RouteRequest, presence: Presence, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(&request.id)?;
        let is_doubted_again = entry.doubt.is_some();
        if is_doubted_again || presence == Presence::Unknown {
            entry.doubt = entry.doubt.max(request.cause);
            if !is_doubted_again {
                self.ask(request.id, Pending::Presence);
            }
            self.enqueue(request.id, now);
            return None;
        }
        self.seen(request.id, presence, request.cause, now)
    }

    /// An addition or a deletion of the route has its answer.
    fn changed(
        &mut self,
        op: RouteOp,
        request: &RouteRequest,
        answer: RequestOutcome,
        now: Time,
    ) -> Option<RouteOutcome> {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(&request.id)?;
        // A refusal changes nothing.
        if answer.presence != Presence::Unknown || !matches!(answer.result, Err(RouteError::System(_))) {
            entry.presence = answer.presence;
        }
        if answer.result == Err(RouteError::Occupied) {
            self.ask(request.id, Pending::Occupant);
            return None;
        }
        if answer.result.is_ok() && entry.session.conv_start == request.conv_start {
            entry.session.conv_start = None;
        }
        self.stats.answered(entry.endpoint, op, answer.result.is_ok(), now, request.conv_start);
        self.update_installed(request.id);
        let entry = self.routes.get_mut(&request.id)?;
        let is_doubted = entry.doubt.is_some();
        if is_doubted {
            entry.forget_presence();
        }
        let step = entry.step(honor_peer_passive);
        let gone = entry.leaving.is_some() && step == Step::Nothing;
        let news = outcome(op, request, entry, now, answer.result, gone);
        // After a failure, the receiver of the outcome says when to retry.
        let is_still_wanted = matches!(
            (entry.desired(honor_peer_passive), op),
            (Desired::Installed, RouteOp::Add) | (Desired::Absent, RouteOp::Delete)
        );
        if gone {
            self.detach(request.id);
        } else if answer.result.is_ok() || is_doubted || !is_still_wanted {
            self.enqueue(request.id, now);
        }
        Some(news)
    }

    /// A request for a route that is another by now, or whose place was to be cleared, has its answer.
    fn previous_answered(
        &mut self,
        op: RouteOp,
        request: &RouteRequest,
        answer: RequestOutcome,
        now: Time,
    ) -> Option<RouteOutcome> {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(&request.id)?;
        if answer.presence == Presence::Absent
            && let Some(rare) = &mut entry.rare
        {
            rare.previous.retain(|previous| *previous != request.route);
        }
        if op != RouteOp::None {
            self.stats.answered(entry.endpoint, op, answer.result.is_ok(), now, None);
        }
        if entry.doubt.is_some() {
            entry.forget_presence();
        }
        let failed = op == RouteOp::Delete && answer.result.is_err();
        let gone = entry.leaving.is_some() && entry.step(honor_peer_passive) == Step::Nothing;
        let withdraws = op == RouteOp::Delete && entry.desired(honor_peer_passive) == Desired::Absent;
        let is_news = gone || failed || withdraws;
        let news = is_news.then(|| outcome(op, request, entry, now, answer.result, gone));
        if gone {
            self.detach(request.id);
        } else if !failed {
            self.enqueue(request.id, now);
        }
        news
    }

    /// Notes whether a route is there, and reports it where that has changed.
    fn seen(&mut self, id: RouteId, presence: Presence, cause: Option<Doubt>, now: Time) -> Option<RouteOutcome> {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(&id)?;
        let was_installed = entry.counted_as_installed;
        entry.presence = presence;
        if presence == Presence::Absent && was_installed {
            self.lose(id, cause, now);
        }
        self.update_installed(id);
        let entry = self.routes.get_mut(&id)?;
        let is_news = entry.counted_as_installed != was_installed || entry.spec.adopted;
        let gone = entry.leaving.is_some() && entry.step(honor_peer_passive) == Step::Nothing;
        let news =
            (gone || is_news).then(|| outcome(RouteOp::None, &RouteRequest::of(entry), entry, now, Ok(()), gone));
        if gone {
            self.detach(id);
        } else {
            self.enqueue(id, now);
        }
        news
    }

    fn failed(&mut self, id: RouteId, op: RouteOp, error: RouteError, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(&id)?;
        if op != RouteOp::None {
            self.stats.answered(entry.endpoint, op, false, now, None);
        }
        Some(outcome(op, &RouteRequest::of(entry), entry, now, Err(error), false))
    }

    /// Asks a listing.
    fn ask(&mut self, id: RouteId, what: Pending) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if let Some(entry) = self.routes.get_mut(&id) {
            entry.rare().pending = Some((what, ticket));
            self.pending.insert(id);
        }
    }

    fn add_previous(&mut self, id: RouteId, previous: KernelRoute) {
        if let Some(entry) = self.routes.get_mut(&id)
            && previous != entry.spec.route
            && !entry.rare().previous.contains(&previous)
        {
            entry.rare().previous.push(previous);
        }
    }

    /// The kernel takes a deletion without a priority for one of any priority: where the route itself was gone already, it
    /// has deleted the next one that is equal.
    fn doubt_namesakes(&mut self, deleted: &KernelRoute, now: Time) {
        let slots = Slot { priority: 1, ..deleted.slot() }..=Slot { priority: u32::MAX, ..deleted.slot() };
        let equals = |id: &RouteId| {
            let route = self.routes.get(id).map(|entry| entry.spec.route);
            route.is_some_and(|route| KernelRoute { priority: 0, ..route } == *deleted)
        };
        let ids: Vec<RouteId> = self.by_slot.range(slots).map(|(_, id)| *id).filter(equals).collect();
        for id in ids {
            self.doubt(id, Doubt::Host, now);
        }
    }

    /// What is known of a route is not certain any more.
    fn doubt(&mut self, id: RouteId, doubt: Doubt, now: Time) {
        let Some(entry) = self.routes.get_mut(&id) else { return };
        if !entry.asked && entry.presence == Presence::Absent {
            return;
        }
        entry.doubt = entry.doubt.max(Some(doubt));
        if !entry.asked {
            entry.forget_presence();
            // A listing that was asked for before may be older than this.
            if let Some(rare) = &mut entry.rare {
                rare.pending = None;
            }
            self.enqueue(id, now);
        }
    }

    /// Another process deleted a route that was there: it is restored at once, or after a delay where that happens again and
    /// again.
    fn lose(&mut self, id: RouteId, cause: Option<Doubt>, now: Time) {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let Some(entry) = self.routes.get_mut(&id) else { return };
        let restores = entry.desired(honor_peer_passive) == Desired::Installed;
        let endpoint = entry.endpoint;
        let mut delay_us = 0;
        if restores && cause == Some(Doubt::Rival) {
            let start = Contention { losses: 0, lost_at: now, restore_at: None };
            let contention = entry.rare().contention.get_or_insert(start);
            delay_us = contention.lose(now);
            if let Some(at) = contention.restore_at {
                self.timers.insert((at, id));
            }
        }
        self.stats.lost(endpoint, restores, delay_us > 0);
    }

    fn end_hold(&mut self, id: RouteId) {
        let Some(rare) = self.routes.get_mut(&id).and_then(|entry| entry.rare.as_mut()) else { return };
        if let Some(until) = rare.held_until.take() {
            self.timers.remove(&(until, id));
        }
    }

    fn update_installed(&mut self, id: RouteId) {
        let Some(entry) = self.routes.get_mut(&id) else { return };
        let is_present = entry.is_present();
        self.stats.installed(entry.endpoint, entry.counted_as_installed, is_present);
        entry.counted_as_installed = is_present;
    }

    fn enqueue(&mut self, id: RouteId, now: Time) {
        let Some(entry) = self.routes.get_mut(&id) else { return };
        if entry.asked {
            return;
        }
        let queue = match entry.step(self.policy.honor_peer_passive) {
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
        let id = entry.spec.id;
        self.by_session.insert((entry.spec.session, id));
        self.by_slot.insert(entry.spec.route.slot(), id);
        self.timers.extend(entry.held_until().map(|until| (until, id)));
        self.timers.extend(entry.restore_at().map(|at| (at, id)));
        if entry.pending().is_some() {
            self.pending.insert(id);
        }
        self.stats.installed(entry.endpoint, false, entry.counted_as_installed);
        self.routes.insert(id, entry);
    }

    fn detach(&mut self, id: RouteId) -> Option<Entry> {
        let entry = self.routes.remove(&id)?;
        let slot = entry.spec.route.slot();
        if self.by_slot.get(&slot) == Some(&id) {
            self.by_slot.remove(&slot);
        }
        self.by_session.remove(&(entry.spec.session, id));
        for at in [entry.held_until(), entry.restore_at()].into_iter().flatten() {
            self.timers.remove(&(at, id));
        }
        self.pending.remove(&id);
        self.stats.installed(entry.endpoint, entry.counted_as_installed, false);
        Some(entry)
    }
}
