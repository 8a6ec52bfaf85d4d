//! The invariants of one engine after every call, whatever its input. The checker sees every input and output and keeps its
//! own record. The simulator and the fuzzer use the same checker.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::engine::stats::TransitionCause;
use crate::engine::{Engine, Event, Path, SessionId, Transition, Transmit};
use crate::protocol::liveness::packet::ControlPacket;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::sim::violation::Violation;

/// The record of one engine's inputs and outputs.
#[derive(Debug, Default)]
pub struct InvariantChecker {
    sessions: BTreeMap<SessionId, Seen>,
    by_path: FxHashMap<Path, SessionId>,
    /// By state: sessions that entered and left it, were added to it, were removed from it.
    in_and_out: [i64; State::ALL.len()],
}

#[derive(Debug)]
struct Seen {
    path: Path,
    state: State,
    last_tx: Option<Time>,
    /// The least transmit interval that held at any time since the last transmit.
    least_interval_us: u64,
}

impl InvariantChecker {
    /// A session was added. It enters the world out of service, and its first event puts it into it.
    pub fn added(&mut self, engine: &Engine, id: SessionId, path: Path) {
        let least_interval_us = engine.session(id).map_or(0, |(session, _)| session.tx_interval_us());
        self.sessions.insert(id, Seen { path, state: State::AdminDown, last_tx: None, least_interval_us });
        self.by_path.insert(path, id);
        self.in_and_out[State::AdminDown as usize] += 1;
    }

    /// A session was removed; its events have been shown before.
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

    /// Something was done with a session: a packet handed in, or other timers.
    pub fn touched(&mut self, engine: &Engine, id: SessionId) {
        if let (Some(seen), Some((session, _))) = (self.sessions.get_mut(&id), engine.session(id)) {
            seen.least_interval_us = seen.least_interval_us.min(session.tx_interval_us());
        }
    }

    /// A datagram came out at `now`.
    ///
    /// # Errors
    /// Where it belongs to no session, is no packet of ours, or comes sooner than 0.75 × the transmit interval after
    /// the last (0.9 ×, unless the peer's detection multiplier is 1).
    pub fn transmitted(&mut self, engine: &Engine, now: Time, transmit: &Transmit) -> Result<(), Violation> {
        let id = self.by_path.get(&transmit.path);
        let seen = id.and_then(|id| self.sessions.get_mut(id));
        let (Some(id), Some(seen)) = (id, seen) else {
            return Err(Violation::new(now, "a packet of no session was sent"));
        };
        let Some((session, _)) = engine.session(*id) else {
            return Err(Violation::new(now, "a packet of a session that is gone was sent"));
        };
        let packet = ControlPacket::unmarshal(&transmit.bytes)
            .map_err(|error| Violation::new(now, format!("what was sent is no packet: {error}")))?;
        if packet.local_discr != session.local_discr() {
            return Err(Violation::new(now, format!("{id:?} sent under a discriminator that is not its own")));
        }
        let interval_us = session.tx_interval_us();
        let least_us = seen.least_interval_us.min(interval_us);
        let least_us = if session.peer().detect_mult == 1 { least_us - least_us / 4 } else { least_us - least_us / 10 };
        let gap_us = seen.last_tx.map(|last| now.since(last));
        if let Some(gap_us) = gap_us.filter(|gap_us| *gap_us < least_us && gap_us * 4 < 3 * seen.least_interval_us) {
            return Err(Violation::new(now, format!("{id:?} sent {gap_us} us after the last, {least_us} at least")));
        }
        seen.last_tx = Some(now);
        seen.least_interval_us = interval_us;
        Ok(())
    }

    /// An event came out at `now`.
    ///
    /// # Errors
    /// Where a transition does not follow from the one before, is none that the state table has, or has a cause or a
    /// reason that does not fit.
    pub fn reported(&mut self, now: Time, event: &Event) -> Result<(), Violation> {
        let Event::Transition(to) = event else { return Ok(()) };
        let Some(seen) = self.sessions.get_mut(&to.id) else {
            return Err(Violation::new(now, format!("{:?} is reported of and does not exist", to.id)));
        };
        if to.from != seen.state {
            return Err(Violation::new(
                now,
                format!("{:?} was {:?} and is reported to leave {:?}", to.id, seen.state, to.from),
            ));
        }
        if !is_in_the_state_table(to) {
            return Err(Violation::new(now, format!("no rule explains {to:?}")));
        }
        seen.state = to.to;
        self.in_and_out[to.from as usize] -= 1;
        self.in_and_out[to.to as usize] += 1;
        Ok(())
    }

    /// After all outputs were shown: the engine's counters agree with the record.
    ///
    /// # Errors
    /// Where the queue is longer than two entries per session, or a counter does not balance.
    pub fn balances(&self, engine: &Engine, now: Time) -> Result<(), Violation> {
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
            let text = format!("sessions by state are {:?}, counted {gauges:?}", self.in_and_out);
            return Err(Violation::new(now, text));
        }
        Ok(())
    }

    /// The session has the timers that its state wants.
    ///
    /// # Errors
    /// Where a detect timer or a transmit timer is lost, or one runs that should not.
    pub fn has_its_timers(&self, engine: &Engine, id: SessionId, now: Time) -> Result<(), Violation> {
        let (Some((session, scheduled)), Some(seen)) = (engine.session(id), self.sessions.get(&id)) else {
            return Ok(());
        };
        let state = session.state();
        if state != seen.state {
            return Err(Violation::new(now, format!("{id:?} is {state:?}, reported was {:?}", seen.state)));
        }
        match (session.detect_deadline(), scheduled) {
            (Some(deadline), Some(scheduled)) if scheduled <= deadline && state >= State::Init => {}
            (None, None) if state <= State::Down => {}
            // Nothing was heard: the first valid packet arms detection, and takes a session out of Down.
            lost => return Err(Violation::new(now, format!("{id:?}, {state:?}, has detect timers {lost:?}"))),
        }
        if session.next_tx().is_none() && state != State::AdminDown {
            return Err(Violation::new(now, format!("{id:?}, {state:?}, will never send again")));
        }
        Ok(())
    }

    /// `has_its_timers` for all sessions.
    ///
    /// # Errors
    /// As there.
    pub fn all_have_their_timers(&self, engine: &Engine, now: Time) -> Result<(), Violation> {
        self.sessions.keys().try_for_each(|id| self.has_its_timers(engine, *id, now))
    }
}

/// The state table of `ARCHITECTURE.md`, with what each change says of itself.
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
