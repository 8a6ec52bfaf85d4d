//! What the planner learns from answers: of the kernel to its requests, and of listings to its questions.

use crate::protocol::time::Time;
use crate::routes::armed::{Desired, Doubt, Pending, Question, RouteRequest, Step};
use crate::routes::contention::Contention;
use crate::routes::entry::{Entry, outcome};
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError, SystemError};
use crate::routes::legs::Leg;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::planner::RoutePlanner;
use crate::routes::tables::RequestOutcome;

/// Whether a route is what the kernel leaves of another when it takes the address that is its source from the host. IPv4 routes
/// go with the address.
fn is_left_of(left: &KernelRoute, route: &KernelRoute) -> bool {
    left.excludes(route) && left.source.is_unspecified()
}

/// Whether what a look found may be another route that was ours: of an IPv6 sibling behind the first the kernel shows no source.
fn is_mistakable(entry: &Entry) -> bool {
    entry.previous_routes().any(|previous| previous.excludes(&entry.route.get()))
}

/// The kernel's answer to one request.
#[derive(Clone, Copy)]
struct Answer<'a> {
    op: RouteOp,
    request: &'a RouteRequest,
    outcome: RequestOutcome,
}

impl RoutePlanner {
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
        for (request, outcome) in requests.iter().zip(answers) {
            outcomes.extend(self.answered(Answer { op, request, outcome }, now));
        }
        outcomes
    }

    /// The questions for a listing; each is asked once.
    pub fn questions(&mut self) -> Vec<Question> {
        let ids = std::mem::take(&mut self.pending);
        ids.into_iter()
            .filter_map(|id| {
                let entry = self.routes.get(id)?;
                let (pending, ticket) = entry.pending()?;
                let (route, previous) = (entry.route.get(), entry.replaced());
                Some(Question { id, route, previous, ticket, of_slot: pending == Pending::Occupant })
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
        if pending == Pending::Presence || is_there {
            if !is_there
                && let Occupant::Ours(left) = occupant
                && is_left_of(&left, &question.route)
            {
                self.add_previous(question.id, left);
            }
            let cause = self.routes.get_mut(question.id)?.doubt.take();
            return self.seen(question.id, if is_there { Presence::Present } else { Presence::Absent }, cause, now);
        }
        if let Some(entry) = self.routes.get_mut(question.id) {
            entry.presence = Presence::Absent;
        }
        match occupant {
            Occupant::Ours(previous) if previous != question.route => {
                self.add_previous(question.id, previous);
                if let Some(rare) = self.routes.get_mut(question.id).and_then(|entry| entry.rare.as_mut()) {
                    rare.listed = Some(previous);
                }
            }
            Occupant::Foreign(protocol) => {
                return self.failed(question.id, RouteOp::Add, RouteError::Conflict(protocol), now);
            }
            Occupant::Nobody | Occupant::Ours(_) | Occupant::Unknown => {}
        }
        self.enqueue(question.id, now);
        None
    }

    /// Notes what a listing has shown in the slot of a question, before `listed`: a route of ours may hang on objects with other numbers,
    /// or on none, and on both of its legs.
    pub fn listed_beside(&mut self, question: &Question, held: &[KernelRoute], now: Time) {
        let Some(entry) = self.routes.get(question.id) else { return };
        if entry.pending().is_none_or(|(_, ticket)| ticket != question.ticket) {
            return;
        }
        let object = question.route.object;
        if held.iter().any(|held| held.is_misled(&question.route))
            && let Some(part) = self.next_hops.misled(object)
        {
            // It is another route, which may be one of ours. Under its new number this one is looked for anew.
            self.parts.routes(part).iter().for_each(|id| self.renumber(*id, object, now));
            return;
        }
        let other_leg = entry.legs.as_ref().map(|legs| legs.route(legs.other()));
        let previous = entry.previous_routes().copied();
        let ours: Vec<KernelRoute> = [entry.route.get()].into_iter().chain(other_leg).chain(previous).collect();
        let is_of =
            |held: &KernelRoute, ours: &KernelRoute| held.is_elsewhere(ours) || (ours.object != 0 && held == ours);
        for left in held.iter().filter(|held| ours.iter().any(|ours| is_of(held, ours))) {
            self.add_previous(question.id, *left);
        }
        // Without its source it is not the route.
        let is_whole = |held: &&KernelRoute| held.is_elsewhere(&question.route) && held.source == question.route.source;
        let is_there = held.iter().any(|held| *held == question.route && !held.is_misled(&question.route));
        if let Some(left) = held.iter().find(is_whole)
            && !is_there
            && let Some(entry) = self.routes.get_mut(question.id)
        {
            entry.rare().elsewhere = Some(*left);
        }
    }

    /// Notes that no listing is to be had. Whoever retries has it asked for again.
    pub fn unlisted(&mut self, question: &Question, error: RouteError, now: Time) -> Option<RouteOutcome> {
        self.take_pending(question)?;
        self.failed(question.id, RouteOp::None, error, now)
    }

    fn take_pending(&mut self, question: &Question) -> Option<Pending> {
        let rare = self.routes.get_mut(question.id)?.rare.as_mut()?;
        let (pending, _) = rare.pending.take_if(|(_, ticket)| *ticket == question.ticket)?;
        Some(pending)
    }

    fn answered(&mut self, answer: Answer<'_>, now: Time) -> Option<RouteOutcome> {
        if let Some(replaced) = answer.outcome.replaced {
            self.add_previous(answer.request.id, replaced);
        }
        if answer.op == RouteOp::Delete && answer.request.route.priority == 0 {
            self.doubt_namesakes(&answer.request.route, now);
        }
        self.settle_left(&answer);
        let entry = self.routes.get_mut(answer.request.id)?;
        (entry.asked, entry.asked_for_route) = (false, false);
        if entry.route.get() != answer.request.route {
            return self.previous_answered(answer, now);
        }
        match answer.op {
            RouteOp::None => self.looked(answer.request, answer.outcome.presence, now),
            RouteOp::Add | RouteOp::Delete => self.changed(answer, now),
        }
    }

    /// Notes what an answer means to routes that were let go.
    fn settle_left(&mut self, Answer { op, request, outcome }: &Answer<'_>) {
        // One that is replaced is in the slot until it is deleted.
        if *op == RouteOp::None || outcome.replaced.is_some() {
            return;
        }
        self.next_hops.left.slot_changed(&request.route.slot());
        // An addition that is refused says nothing of a route that was there before.
        if let (RouteOp::Add, Presence::Present) | (RouteOp::Delete, Presence::Absent) = (*op, outcome.presence) {
            self.settled(&request.route);
        }
    }

    /// A route is known to be gone, or to be that of a registration.
    pub(super) fn settled(&mut self, route: &KernelRoute) {
        self.next_hops.left.settled(route);
        self.next_hops.survey.settled(route);
    }

    /// A look at the route has its answer.
    fn looked(&mut self, request: &RouteRequest, presence: Presence, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(request.id)?;
        let is_doubted_again = entry.doubt.is_some();
        let is_open = match presence {
            Presence::Unknown => true,
            // A predecessor that ended in mid-move has left it on two objects.
            Presence::Absent | Presence::Present => entry.may_hang_elsewhere(),
        };
        if is_doubted_again || is_open {
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
    fn changed(&mut self, answer: Answer<'_>, now: Time) -> Option<RouteOutcome> {
        let Answer { op, request, outcome: RequestOutcome { result, presence, .. } } = answer;
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(request.id)?;
        // A refusal changes nothing.
        if presence != Presence::Unknown || !matches!(result, Err(RouteError::System(_))) {
            entry.presence = presence;
        }
        if result == Err(RouteError::System(SystemError::INVALID)) && op == RouteOp::Add {
            // The object may have gone without a notice.
            self.next_hops.doubt(request.route.object, false);
        }
        if result == Err(RouteError::Occupied) {
            if entry.is_present() {
                // The occupant may be one that a look does not tell apart.
                entry.forget_presence();
            }
            self.ask(request.id, Pending::Occupant);
            return None;
        }
        if matches!(result, Err(RouteError::Conflict(_)))
            && let Some(rare) = &mut entry.rare
            && !rare.previous.is_empty()
        {
            // The next attempt is in place of the next route that was ours.
            rare.previous.rotate_left(1);
            rare.takes_first = !rare.takes_first;
        }
        if result.is_ok()
            && request.replaces.is_some_and(|replaced| replaced.excludes(&request.route))
            && let Some(rare) = &mut entry.rare
        {
            // The route has taken its place.
            rare.previous.retain(|previous| !previous.excludes(&request.route));
        }
        if result.is_ok() && entry.session.conv_start == request.conv_start {
            entry.session.conv_start = None;
        }
        self.stats.answered(entry.endpoint, op, result.is_ok(), now, request.conv_start);
        self.update_installed(request.id);
        let entry = self.routes.get_mut(request.id)?;
        let is_doubted = entry.doubt.is_some();
        if is_doubted {
            entry.forget_presence();
        }
        let step = entry.step(honor_peer_passive);
        let gone = entry.leaving.is_some() && step == Step::Nothing;
        let news = outcome(op, request, entry, now, result, gone);
        // After a failure, the receiver of the outcome says when to retry.
        let is_still_wanted = match op {
            RouteOp::Add => entry.is_wanted(honor_peer_passive),
            RouteOp::Delete => entry.desired(honor_peer_passive) == Desired::Absent,
            RouteOp::None => false,
        };
        if gone {
            self.let_go(request.id);
        } else if result.is_ok() || is_doubted || !is_still_wanted {
            self.enqueue(request.id, now);
        }
        Some(news)
    }

    /// A request for a route that is another by now, or whose place was to be cleared, has its answer.
    fn previous_answered(&mut self, answer: Answer<'_>, now: Time) -> Option<RouteOutcome> {
        let Answer { op, request, outcome: RequestOutcome { result, presence, .. } } = answer;
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(request.id)?;
        if presence == Presence::Absent
            && let Some(rare) = &mut entry.rare
        {
            rare.previous.retain(|previous| *previous != request.route);
            rare.elsewhere = rare.elsewhere.filter(|elsewhere| *elsewhere != request.route);
            self.update_installed(request.id);
        }
        let entry = self.routes.get_mut(request.id)?;
        if op != RouteOp::None {
            // With the route that was on the primary, traffic leaves a path that has failed.
            let conv_start = request.conv_start.filter(|_| op == RouteOp::Delete && entry.leg() == Leg::Backup);
            self.stats.answered(entry.endpoint, op, result.is_ok(), now, conv_start);
        }
        if op == RouteOp::Delete && request.route.is_ipv6() && entry.is_present() {
            // Behind the deleted sibling the kernel did not show whether the route still has its source.
            entry.doubt = entry.doubt.max(Some(Doubt::Host));
        }
        if entry.doubt.is_some() {
            entry.forget_presence();
        }
        let failed = op == RouteOp::Delete && result.is_err();
        let gone = entry.leaving.is_some() && entry.step(honor_peer_passive) == Step::Nothing;
        let withdraws = op == RouteOp::Delete && entry.desired(honor_peer_passive) == Desired::Absent;
        let is_news = gone || failed || withdraws;
        let news = is_news.then(|| outcome(op, request, entry, now, result, gone));
        if gone {
            self.let_go(request.id);
        } else if !failed {
            self.enqueue(request.id, now);
        }
        news
    }

    /// Notes whether a route is there, and reports it where that has changed.
    pub(super) fn seen(
        &mut self,
        id: RouteId,
        presence: Presence,
        cause: Option<Doubt>,
        now: Time,
    ) -> Option<RouteOutcome> {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let entry = self.routes.get_mut(id)?;
        let was_installed = entry.counted_as_installed;
        if presence == Presence::Present && is_mistakable(entry) {
            // An addition in place of the other one makes it certain.
            entry.presence = Presence::Absent;
            self.update_installed(id);
            self.enqueue(id, now);
            return None;
        }
        entry.presence = presence;
        if presence == Presence::Present {
            let route = entry.route.get();
            self.settled(&route);
        }
        let entry = self.routes.get_mut(id)?;
        if entry.adopted && presence == Presence::Absent {
            let leg = entry.leg();
            entry.rare().missing_on.insert(leg);
        }
        if let Some(leg) = entry.adopted_elsewhere() {
            entry.move_to(leg);
            self.update_installed(id);
            self.enqueue(id, now);
            return None;
        }
        if !entry.is_there() && was_installed {
            self.lose(id, cause, now);
        } else if presence == Presence::Present {
            // What is told now ends the wait for another attempt, where its object could not be moved.
            self.next_hops.found(entry.route.object(), id);
        }
        self.update_installed(id);
        let entry = self.routes.get_mut(id)?;
        let is_news = entry.counted_as_installed != was_installed || entry.adopted;
        let gone = entry.leaving.is_some() && entry.step(honor_peer_passive) == Step::Nothing;
        let news =
            (gone || is_news).then(|| outcome(RouteOp::None, &RouteRequest::of(entry), entry, now, Ok(()), gone));
        if gone {
            self.let_go(id);
        } else {
            self.enqueue(id, now);
        }
        news
    }

    fn failed(&mut self, id: RouteId, op: RouteOp, error: RouteError, now: Time) -> Option<RouteOutcome> {
        let entry = self.routes.get_mut(id)?;
        if op != RouteOp::None {
            self.stats.answered(entry.endpoint, op, false, now, None);
        }
        let is_still_wanted = op != RouteOp::Add || entry.is_wanted(self.policy.honor_peer_passive);
        let news = outcome(op, &RouteRequest::of(entry), entry, now, Err(error), false);
        if !is_still_wanted {
            self.enqueue(id, now);
        }
        Some(news)
    }

    /// Asks a listing.
    pub(super) fn ask(&mut self, id: RouteId, what: Pending) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        if let Some(entry) = self.routes.get_mut(id) {
            entry.rare().pending = Some((what, ticket));
            self.pending.insert(id);
        }
    }

    fn add_previous(&mut self, id: RouteId, previous: KernelRoute) {
        if let Some(entry) = self.routes.get_mut(id)
            && previous != entry.route.get()
            && !entry.rare().previous.contains(&previous)
        {
            entry.rare().previous.push(previous);
        }
    }

    /// The kernel takes a deletion without a priority for one of any priority: where the route itself was gone already, it
    /// has deleted the next one that is equal.
    fn doubt_namesakes(&mut self, deleted: &KernelRoute, now: Time) {
        let slot = deleted.slot();
        let equals = |route: KernelRoute| route.priority != 0 && KernelRoute { priority: 0, ..route } == *deleted;
        let namesakes = self.routes.with_prefix(&slot).filter(|entry| equals(entry.route.get()));
        let ids: Vec<RouteId> = namesakes.map(|entry| entry.id).collect();
        for id in ids {
            self.doubt(id, Doubt::Host, now);
        }
    }

    /// Another process deleted a route that was there: it is restored at once, or after a delay where that happens again and
    /// again.
    fn lose(&mut self, id: RouteId, cause: Option<Doubt>, now: Time) {
        let honor_peer_passive = self.policy.honor_peer_passive;
        let Some(entry) = self.routes.get_mut(id) else { return };
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
}
