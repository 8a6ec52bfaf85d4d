//! The invariants of one engine, which hold after every call with any input. The checker sees every input and output and
//! keeps a record of its own. The simulator and the fuzzer use the same checker.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::engine::stats::TransitionCause;
use crate::engine::{Engine, Event, Path, SessionId, Transition, Transmit};
use crate::protocol::Protocol;
use crate::protocol::specifics::Sending;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

/// The record of one engine's inputs and outputs.
#[derive(Debug, Default)]
pub struct InvariantChecker {
    sessions: BTreeMap<SessionId, Seen>,
    by_path: FxHashMap<Path, SessionId>,
    /// For each state: the sessions that entered it or were added in it, less those that left it or were removed in it.
    in_and_out: [i64; State::ALL.len()],
}

#[derive(Debug)]
struct Seen {
    path: Path,
    /// It goes on after a restart: its first event reports any state.
    goes_on: bool,
    state: State,
    last_tx: Option<Time>,
    /// The least transmit interval that held at any time since the last transmit.
    least_interval_us: u64,
    /// The transmit interval when the session was looked at last.
    noted_interval_us: u64,
}

impl InvariantChecker {
    /// A session was added. It counts as AdminDown until its first event, which reports Down.
    pub fn added<P: Protocol>(&mut self, engine: &Engine<P>, id: SessionId, path: Path) {
        self.insert(engine, id, path, false);
    }

    /// A session goes on after a restart. It counts as AdminDown until its first event, which reports its state.
    pub fn resumed<P: Protocol>(&mut self, engine: &Engine<P>, id: SessionId, path: Path) {
        self.insert(engine, id, path, true);
    }

    fn insert<P: Protocol>(&mut self, engine: &Engine<P>, id: SessionId, path: Path, goes_on: bool) {
        let least_interval_us = engine.session(id).map_or(0, |(session, _)| session.tx_interval_us());
        let noted_interval_us = least_interval_us;
        let state = State::AdminDown;
        self.sessions.insert(id, Seen { path, goes_on, state, last_tx: None, least_interval_us, noted_interval_us });
        self.by_path.insert(path, id);
        self.in_and_out[State::AdminDown as usize] += 1;
    }

    /// A session was removed, after all of its events were passed to `reported`.
    pub fn removed(&mut self, id: SessionId) {
        let Some(seen) = self.sessions.remove(&id) else { return };
        self.by_path.remove(&seen.path);
        self.in_and_out[seen.state as usize] -= 1;
    }

    /// The session of a path.
    #[must_use]
    pub fn session_of(&self, path: &Path) -> Option<SessionId> {
        self.by_path.get(path).copied()
    }

    /// A session received a packet or got other timers.
    pub fn touched<P: Protocol>(&mut self, engine: &Engine<P>, id: SessionId) {
        if let (Some(seen), Some((session, _))) = (self.sessions.get_mut(&id), engine.session(id)) {
            seen.noted_interval_us = session.tx_interval_us();
            seen.least_interval_us = seen.least_interval_us.min(seen.noted_interval_us);
        }
    }

    /// The engine sent a datagram at `now`.
    ///
    /// # Errors
    /// The datagram belongs to no session, is not a packet of the session, or leaves sooner after the previous one than the
    /// jitter of the transmit interval allows. Answers to a Poll leave at any time.
    pub fn transmitted<P: SimulatedProtocol>(
        &mut self,
        engine: &Engine<P>,
        now: Time,
        transmit: &Transmit<P>,
    ) -> Result<(), Violation> {
        let id = self.by_path.get(&transmit.path);
        let seen = id.and_then(|id| self.sessions.get_mut(id));
        let (Some(id), Some(seen)) = (id, seen) else {
            return Err(Violation::new(now, "the engine sent a packet of an unknown session"));
        };
        let Some((session, _)) = engine.session(*id) else {
            return Err(Violation::new(now, "the engine sent a packet of a removed session"));
        };
        let packet = P::decode(transmit.bytes.as_ref())
            .map_err(|reason| Violation::new(now, format!("the engine sent an invalid packet: {reason:?}")))?;
        let header = P::header(&packet);
        if header.local_discr != session.local_discr() {
            return Err(Violation::new(now, format!("{id:?} sent a packet with the discriminator of another session")));
        }
        if P::is_answer(&packet) {
            return Ok(());
        }
        let interval_us = session.tx_interval_us();
        let least_us = seen.least_interval_us.min(interval_us);
        let (least_us, _) = P::jitter_bounds_us(least_us, header.detect_mult, session.peer().detect_mult);
        let gap_us = seen.last_tx.map(|last| now.since(last));
        if let Some(gap_us) = gap_us.filter(|gap_us| *gap_us < least_us && gap_us * 4 < 3 * seen.least_interval_us) {
            return Err(Violation::new(
                now,
                format!("{id:?} sent a packet {gap_us} us after the previous one; expected at least {least_us} us"),
            ));
        }
        seen.last_tx = Some(now);
        // The session may have changed its state since it scheduled the next packet.
        seen.least_interval_us = interval_us.min(seen.noted_interval_us);
        seen.noted_interval_us = interval_us;
        Ok(())
    }

    /// The engine reported an event at `now`.
    ///
    /// # Errors
    /// A transition leaves another state than the previous one entered, is not in the state table, or has a cause or a reason
    /// that the state table does not give it.
    pub fn reported(&mut self, now: Time, event: &Event) -> Result<(), Violation> {
        let Event::Transition(to) = event else { return Ok(()) };
        let Some(seen) = self.sessions.get_mut(&to.id) else {
            return Err(Violation::new(
                now,
                format!("the engine reported a transition of {:?}, which does not exist", to.id),
            ));
        };
        if to.from != seen.state {
            return Err(Violation::new(
                now,
                format!("{:?} was {:?}, but the reported transition leaves {:?}", to.id, seen.state, to.from),
            ));
        }
        let goes_on = std::mem::take(&mut seen.goes_on)
            && (to.from, to.cause) == (State::AdminDown, TransitionCause::RegisterRoute);
        if !goes_on && !is_in_the_state_table(to) {
            return Err(Violation::new(now, format!("the state table does not have {to:?}")));
        }
        seen.state = to.to;
        self.in_and_out[to.from as usize] -= 1;
        self.in_and_out[to.to as usize] += 1;
        Ok(())
    }

    /// Compares the engine's counters with the record. All outputs were passed to the checker before.
    ///
    /// # Errors
    /// The queue has more than two entries for each session, or a counter differs from the record.
    pub fn balances<P: Protocol>(&self, engine: &Engine<P>, now: Time) -> Result<(), Violation> {
        if engine.queue_len() > 2 * self.sessions.len() {
            let text = format!("{} entries in the queue for {} sessions", engine.queue_len(), self.sessions.len());
            return Err(Violation::new(now, text));
        }
        let mut gauges = [0i64; State::ALL.len()];
        for (_, counters) in engine.stats().iter() {
            for (gauge, counted) in gauges.iter_mut().zip(counters.sessions) {
                *gauge += i64::try_from(counted).unwrap_or(i64::MIN);
            }
        }
        if gauges != self.in_and_out {
            let text = format!("the record has {:?} sessions by state, the counters {gauges:?}", self.in_and_out);
            return Err(Violation::new(now, text));
        }
        Ok(())
    }

    /// Checks the timers of a session.
    ///
    /// # Errors
    /// A detect timer or a transmit timer that the session's state requires is missing, or one runs that its state excludes.
    pub fn has_its_timers<P: Protocol>(&self, engine: &Engine<P>, id: SessionId, now: Time) -> Result<(), Violation> {
        let (Some((session, scheduled)), Some(seen)) = (engine.session(id), self.sessions.get(&id)) else {
            return Ok(());
        };
        let state = session.state();
        if state != seen.state {
            return Err(Violation::new(
                now,
                format!("{id:?} is {state:?}, but the last reported state is {:?}", seen.state),
            ));
        }
        match (session.detect_deadline(), scheduled) {
            (Some(deadline), Some(scheduled)) if scheduled <= deadline && state >= State::Init => {}
            (None, None) if state <= State::Down => {}
            // In Down no packet was accepted: the first one starts detection, and the session leaves Down.
            lost => return Err(Violation::new(now, format!("{id:?}, {state:?}, has detect timers {lost:?}"))),
        }
        if session.next_tx().is_none() && state != State::AdminDown && session.sending() == Sending::Periodic {
            return Err(Violation::new(now, format!("{id:?}, {state:?}, has no transmit timer")));
        }
        Ok(())
    }

    /// Checks everything that an engine has left to send and to report, and then the engine itself.
    ///
    /// # Errors
    /// The first violation.
    pub fn drain<P: SimulatedProtocol>(&mut self, engine: &mut Engine<P>, now: Time) -> Result<(), Violation> {
        while let Some(transmit) = engine.poll_transmit() {
            self.transmitted(engine, now, &transmit)?;
        }
        while let Some(event) = engine.poll_event() {
            self.reported(now, &event)?;
        }
        self.balances(engine, now)?;
        self.all_have_their_timers(engine, now)
    }

    /// Checks the timers of all sessions.
    ///
    /// # Errors
    /// As `has_its_timers`.
    pub fn all_have_their_timers<P: Protocol>(&self, engine: &Engine<P>, now: Time) -> Result<(), Violation> {
        self.sessions.keys().try_for_each(|id| self.has_its_timers(engine, *id, now))
    }
}

/// Whether the state table has this transition, with this cause and this reason.
fn is_in_the_state_table(change: &Transition) -> bool {
    let Transition { from, to, reason, cause, .. } = change;
    match (from, to, cause) {
        (State::AdminDown, State::Down, TransitionCause::RegisterRoute) => true,
        (State::Down | State::Init | State::Up, State::AdminDown, TransitionCause::AdminDown) => {
            *reason == DownReason::LocalAdmin
        }
        (State::Init | State::Up, State::Down, TransitionCause::DetectTimeout) => *reason == DownReason::Timeout,
        (State::Init | State::Up, State::Down, TransitionCause::HandleRx) => {
            matches!(reason, DownReason::RemoteDown | DownReason::RemoteAdmin)
        }
        (State::Down, State::Init | State::Up, TransitionCause::HandleRx)
        | (State::Init, State::Up, TransitionCause::HandleRx) => true,
        _ => false,
    }
}
