//! What waits for JavaScript: at most one record per session and one outcome per route, and one doorbell. While the
//! JavaScript event loop is blocked, the mailbox does not grow, and the final state of each session is kept.

use rustc_hash::FxHashMap;

use crate::engine::{Event, SessionId, Transition};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::outcome::{RouteId, RouteOutcome};
use crate::routes::shared_planner::OutcomeSink;
use crate::system::doorbell::{Bell, Doorbell};
use crate::system::problem::Problem;
use crate::system::sync::Mutex;

/// The changes of one session since the last delivery: the newest transition, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// `None` where the session did not change its state.
    pub newest: Option<Transition>,
    /// The session.
    pub id: SessionId,
    /// The state before the first of the transitions.
    pub from: State,
    /// How many transitions the record stands for.
    pub count: u32,
    /// The newest transition from Init or Up to Down.
    pub last_down: Option<LastDown>,
    /// Whether the peer only observes; `None` where no packet said so.
    pub peer_passive: Option<bool>,
    /// The round trip that is longer than the detection time, in microseconds, at least.
    pub long_round_trip_us: Option<u64>,
}

impl SessionRecord {
    fn about(id: SessionId) -> Self {
        Self {
            newest: None,
            id,
            from: State::Down,
            count: 0,
            last_down: None,
            peer_passive: None,
            long_round_trip_us: None,
        }
    }
}

/// A transition to Down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDown {
    /// When it happened.
    pub at: Time,
    /// Why.
    pub reason: DownReason,
    /// The worst scheduling delay of this process since the session's last packet, in microseconds.
    pub local_stall_us: u64,
}

/// What was taken from the mailbox. Records are in the order in which their sessions and routes first changed.
#[derive(Debug, Default)]
pub struct Delivery {
    /// One record per session.
    pub sessions: Vec<SessionRecord>,
    /// One outcome per route.
    pub routes: Vec<RouteOutcome>,
    /// What works less well than asked for.
    pub warnings: Vec<Problem>,
    /// Why a thread has stopped; nothing follows.
    pub fatal: Option<Problem>,
}

#[derive(Default)]
struct Pending {
    delivery: Delivery,
    /// There are events of which nobody was told.
    is_unannounced: bool,
    sessions: FxHashMap<SessionId, usize>,
    routes: FxHashMap<RouteId, usize>,
}

/// What waits for JavaScript.
pub struct Mailbox {
    pending: Mutex<Pending>,
    doorbell: Doorbell,
}

impl Mailbox {
    /// An empty mailbox that rings this bell.
    #[must_use]
    pub fn new(bell: Bell) -> Self {
        Self { pending: Mutex::new(Pending::default()), doorbell: Doorbell::new(bell) }
    }

    /// Puts in the events of an engine, and does not ring: that is left to `announce`, or to whoever puts in something else.
    pub fn leave_events(&self, events: impl IntoIterator<Item = Event>) {
        let mut pending = self.pending.lock().expect("no holder of this lock panics");
        for event in events {
            pending.event(event);
            pending.is_unannounced = true;
        }
    }

    /// Rings, where events were left without.
    pub fn announce(&self) {
        let is_unannounced = {
            let mut pending = self.pending.lock().expect("no holder of this lock panics");
            std::mem::take(&mut pending.is_unannounced)
        };
        if is_unannounced {
            self.doorbell.ring();
        }
    }

    /// Puts in what works less well than asked for.
    pub fn put_warning(&self, warning: Problem) {
        self.put(|pending| pending.delivery.warnings.push(warning));
    }

    /// Takes everything. The flag is cleared before, so that what comes in meanwhile rings again.
    pub fn drain(&self) -> Delivery {
        self.doorbell.answer();
        let mut pending = self.pending.lock().expect("no holder of this lock panics");
        // The indices go too: a burst of all sessions must not keep room for all of them.
        std::mem::take(&mut *pending).delivery
    }

    fn put(&self, change: impl FnOnce(&mut Pending)) {
        {
            let mut pending = self.pending.lock().expect("no holder of this lock panics");
            change(&mut pending);
            pending.is_unannounced = false;
        }
        self.doorbell.ring();
    }
}

impl OutcomeSink for Mailbox {
    fn put_outcomes(&self, outcomes: Vec<RouteOutcome>) {
        if outcomes.is_empty() {
            return;
        }
        self.put(|pending| {
            for outcome in outcomes {
                pending.outcome(outcome);
            }
        });
    }

    fn announce(&self) {
        Mailbox::announce(self);
    }

    fn put_warning(&self, warning: Problem) {
        Mailbox::put_warning(self, warning);
    }

    fn put_fatal(&self, fatal: Problem) {
        self.put(|pending| pending.delivery.fatal = Some(fatal));
    }
}

impl Pending {
    fn event(&mut self, event: Event) {
        let (id, newest) = match event {
            Event::Transition(transition) => (transition.id, Some(transition)),
            Event::PeerPassive { id, .. } | Event::LongRoundTrip { id, .. } => (id, None),
        };
        let at = *self.sessions.entry(id).or_insert_with(|| {
            self.delivery.sessions.push(SessionRecord::about(id));
            self.delivery.sessions.len() - 1
        });
        let record = &mut self.delivery.sessions[at];
        match event {
            Event::Transition(transition) => record.peer_passive = Some(transition.peer_passive),
            Event::PeerPassive { passive, .. } => record.peer_passive = Some(passive),
            Event::LongRoundTrip { at_least_us, .. } => record.long_round_trip_us = Some(at_least_us),
        }
        let Some(transition) = newest else { return };
        if record.count == 0 {
            record.from = transition.from;
        }
        record.count += 1;
        if transition.to == State::Down && transition.from > State::Down {
            record.last_down = Some(LastDown {
                at: transition.at,
                reason: transition.reason,
                local_stall_us: transition.local_stall_us,
            });
        }
        record.newest = Some(transition);
    }

    fn outcome(&mut self, outcome: RouteOutcome) {
        match self.routes.get(&outcome.id) {
            Some(&at) => {
                let pending = &mut self.delivery.routes[at];
                *pending = outcome.after(pending);
            }
            None => {
                self.routes.insert(outcome.id, self.delivery.routes.len());
                self.delivery.routes.push(outcome);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::stats::TransitionCause;
    use crate::routes::kernel_route::RouteError;
    use crate::routes::legs::Leg;
    use crate::routes::outcome::RouteOp;

    fn mailbox() -> (Mailbox, Arc<AtomicUsize>) {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let ring = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        (Mailbox::new(Box::new(ring)), rings)
    }

    fn change(id: u32, from: State, to: State, at: u64) -> Event {
        Event::Transition(Transition {
            id: SessionId(id),
            from,
            to,
            reason: if to == State::Down { DownReason::Timeout } else { DownReason::None },
            cause: TransitionCause::HandleRx,
            at: Time::from_micros(at),
            local_stall_us: at,
            peer_passive: false,
            ever_up: true,
            conv_start: None,
            last_rx: None,
            diagnostics: None,
        })
    }

    fn answer(id: u32, op: RouteOp, result: Result<(), RouteError>) -> RouteOutcome {
        RouteOutcome {
            id: RouteId(id),
            generation: 1,
            op,
            result,
            at: Time::from_micros(1),
            duration_us: 1,
            gone: false,
            installed: op == RouteOp::Add,
            restore_at: None,
            suppressed_until: None,
            leg: Leg::Primary,
        }
    }

    fn put_events<const COUNT: usize>(mailbox: &Mailbox, events: [Event; COUNT]) {
        mailbox.leave_events(events);
        mailbox.announce();
    }

    #[test]
    fn a_change_of_a_route_is_told_although_an_outcome_without_a_change_follows_before_it_is_read() {
        let (mailbox, _) = mailbox();
        mailbox.put_outcomes(vec![answer(7, RouteOp::Delete, Ok(()))]);
        let ended = RouteOutcome { generation: 2, gone: true, ..answer(7, RouteOp::None, Ok(())) };
        mailbox.put_outcomes(vec![ended.clone()]);
        let told = RouteOutcome { op: RouteOp::Delete, ..ended.clone() };
        assert_eq!(mailbox.drain().routes, [told]);
        // A failure is replaced: what follows it says that there is nothing to try again.
        mailbox.put_outcomes(vec![answer(7, RouteOp::Delete, Err(RouteError::Unanswered))]);
        mailbox.put_outcomes(vec![ended.clone()]);
        assert_eq!(mailbox.drain().routes, [ended]);
    }

    #[test]
    fn a_slow_reader_finds_one_record_per_session_with_the_newest_state_and_the_count() {
        let (mailbox, rings) = mailbox();
        for round in 0..1_000 {
            put_events(
                &mailbox,
                [
                    change(1, State::Up, State::Down, 3 * round + 1),
                    change(2, State::Init, State::Up, 3 * round + 2),
                    change(1, State::Down, State::Up, 3 * round + 3),
                ],
            );
        }
        assert_eq!(rings.load(Ordering::SeqCst), 1, "one ring until somebody comes");
        let delivery = mailbox.drain();
        assert_eq!(delivery.sessions.len(), 2);
        let first = &delivery.sessions[0];
        assert_eq!((first.id, first.from, first.count), (SessionId(1), State::Up, 2_000));
        assert_eq!(first.newest.unwrap().to, State::Up);
        let last_down = first.last_down.unwrap();
        assert_eq!((last_down.at.micros(), last_down.reason), (2_998, DownReason::Timeout));
        assert!(mailbox.drain().sessions.is_empty(), "what was taken is gone");
    }

    #[test]
    fn an_event_after_a_drain_rings_again() {
        let (mailbox, rings) = mailbox();
        put_events(&mailbox, [change(1, State::Down, State::Init, 1)]);
        mailbox.drain();
        put_events(&mailbox, [change(1, State::Init, State::Up, 2)]);
        put_events(&mailbox, []);
        assert_eq!(rings.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn events_that_are_left_ring_when_they_are_announced_or_something_else_comes_and_once() {
        let (mailbox, rings) = mailbox();
        let rung = || rings.load(Ordering::SeqCst);
        mailbox.announce();
        mailbox.leave_events([change(1, State::Down, State::Init, 1)]);
        assert_eq!(rung(), 0);
        mailbox.announce();
        mailbox.announce();
        assert_eq!(rung(), 1);
        assert_eq!(mailbox.drain().sessions.len(), 1);

        mailbox.leave_events([change(1, State::Init, State::Up, 2)]);
        mailbox.put_warning(Problem { code: "ERR_MASS_DOWN".into(), message: "something else".into() });
        assert_eq!(rung(), 2);
        assert_eq!(mailbox.drain().sessions.len(), 1);
        mailbox.announce();
        assert_eq!(rung(), 2, "what was taken needs no ring");
    }

    #[test]
    fn a_passive_flag_travels_with_or_without_a_transition() {
        let (mailbox, _) = mailbox();
        put_events(&mailbox, [Event::PeerPassive { id: SessionId(1), passive: true }]);
        let record = mailbox.drain().sessions.remove(0);
        assert_eq!((record.count, record.peer_passive, record.newest), (0, Some(true), None));
        put_events(
            &mailbox,
            [Event::PeerPassive { id: SessionId(1), passive: true }, change(1, State::Up, State::Down, 5)],
        );
        let record = mailbox.drain().sessions.remove(0);
        assert_eq!(
            (record.count, record.from, record.peer_passive),
            (1, State::Up, Some(false)),
            "the newest word counts"
        );
    }

    #[test]
    fn a_slow_reader_finds_the_newest_answer_per_route() {
        let (mailbox, _) = mailbox();
        let refused = Err(RouteError::Conflict(4));
        mailbox.put_outcomes(vec![
            answer(7, RouteOp::Add, refused),
            answer(7, RouteOp::Add, Ok(())),
            answer(8, RouteOp::None, Ok(())),
            answer(7, RouteOp::Delete, Ok(())),
        ]);
        let routes = mailbox.drain().routes;
        assert_eq!(routes.len(), 2);
        assert_eq!((routes[0].id, routes[0].op), (RouteId(7), RouteOp::Delete));
    }
}

#[cfg(all(test, loom))]
mod every_order {
    use std::sync::Arc;

    use loom::thread;

    use super::*;

    #[test]
    fn every_warning_is_delivered_in_every_order_of_the_threads() {
        loom::model(|| {
            let rung = Arc::new(Mutex::new(false));
            let bell = Arc::clone(&rung);
            let mailbox = Arc::new(Mailbox::new(Box::new(move || *bell.lock().unwrap() = true)));
            let writers = [1, 2].map(|number| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || {
                    mailbox.put_warning(Problem { code: format!("{number}"), message: String::new() });
                })
            });
            let deliver = || {
                let is_rung = std::mem::take(&mut *rung.lock().unwrap());
                if is_rung { mailbox.drain().warnings.len() } else { 0 }
            };
            let meanwhile = deliver();
            for writer in writers {
                writer.join().unwrap();
            }
            assert_eq!(meanwhile + deliver(), 2, "what a ring did not deliver, the next one does");
            assert!(mailbox.drain().warnings.is_empty());
        });
    }
}
