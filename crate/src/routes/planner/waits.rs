//! What routes wait for: the end of a hold, and of a suppression.

use crate::protocol::time::Time;
use crate::routes::armed::SessionView;
use crate::routes::outcome::RouteId;
use crate::routes::planner::RoutePlanner;

impl RoutePlanner {
    /// Ends the holds and the delays that are over.
    pub fn handle_timeout(&mut self, now: Time) {
        self.next_hops.handle_timeout(now);
        let mut ended = Vec::new();
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            if let Some(rare) = self.routes.get_mut(id).and_then(|entry| entry.rare.as_mut()) {
                rare.held_until = rare.held_until.filter(|until| *until > now);
                rare.suppressed_until = rare.suppressed_until.filter(|until| *until > now);
                if let Some(contention) = &mut rare.contention {
                    contention.restore_at = contention.restore_at.filter(|at| *at > now);
                }
            }
            ended.push(id);
        }
        if self.policy.objects.is_none() {
            ended.into_iter().for_each(|id| self.enqueue(id, now));
            return;
        }
        // What waited together goes and moves together.
        for session in self.routes.sessions_of(&ended) {
            let ids = self.whole_sessions(&self.routes_of(session));
            self.settle(&ids, now);
        }
    }

    /// The route stays as it is until then, unless its session comes Up before, or it waits for longer already.
    pub(super) fn hold_until(&mut self, id: RouteId, until: Time) {
        let Some(entry) = self.routes.get_mut(id) else { return };
        if entry.session.up || entry.held_until().is_some_and(|held| held >= until) {
            return;
        }
        if let Some(sooner) = entry.rare().held_until.replace(until) {
            self.timers.remove(&(sooner, id));
        }
        self.timers.insert((until, id));
    }

    pub(super) fn end_hold(&mut self, id: RouteId) {
        let Some(rare) = self.routes.get_mut(id).and_then(|entry| entry.rare.as_mut()) else { return };
        if let Some(until) = rare.held_until.take() {
            self.timers.remove(&(until, id));
        }
    }

    /// Notes what the change of its session means to a route whose session flaps.
    pub(super) fn damp(&mut self, id: RouteId, was_up: bool, now: Time) {
        let Some(entry) = self.routes.get_mut(id) else { return };
        let SessionView { up: is_up, flapped, .. } = entry.session;
        let Some(damping) = entry.damping.as_deref().copied().filter(|_| was_up != is_up) else { return };
        let rare = entry.rare();
        if let Some(until) = rare.suppressed_until.take() {
            self.timers.remove(&(until, id));
        }
        if is_up {
            rare.suppressed_until = rare.flaps.up(&damping, flapped, now);
            self.timers.extend(rare.suppressed_until.map(|until| (until, id)));
        } else {
            rare.flaps.down(&damping, now);
        }
    }
}
