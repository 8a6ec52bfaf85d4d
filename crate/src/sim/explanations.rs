//! Explains every Down: by silence in the arrival times of the kernel, or by a packet that said so.

use std::collections::VecDeque;

use crate::engine::stats::TransitionCause;
use crate::engine::{Engine, Path, Transition};
use crate::protocol::rules::MAX_PEER_INTERVAL_US;
use crate::protocol::session::Session;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::protocol::{Header, Protocol};
use crate::sim::network::Waiting;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

/// The turn in which a session changed its state.
pub(super) struct Turn<'a> {
    pub lateness_us: u64,
    pub read: &'a [Waiting],
    pub unread: &'a VecDeque<Waiting>,
    /// When the filter of the kernel took a repeat of the session in, the last time.
    pub repeated: Option<Time>,
    /// A session that is Up accepts only packets that name its discriminator.
    pub strict: bool,
}

/// Checks the cause of a transition against the datagrams that the turn read, and those that it left unread.
///
/// # Errors
/// The datagrams do not confirm the cause.
pub(super) fn explain<P: SimulatedProtocol>(
    engine: &Engine<P>,
    path: Path,
    change: &Transition,
    turn: &Turn<'_>,
) -> Result<(), Violation> {
    let Some((session, _)) = engine.session(change.id) else { return Ok(()) };
    if change.to != State::Down || change.from == State::AdminDown {
        return Ok(());
    }
    match change.cause {
        TransitionCause::DetectTimeout => was_silent(session, path, change, turn),
        TransitionCause::HandleRx => peer_said_so(session, path, change, turn),
        TransitionCause::RegisterRoute | TransitionCause::AdminDown => Ok(()),
    }
}

fn was_silent<P: SimulatedProtocol>(
    session: &Session<P>,
    path: Path,
    change: &Transition,
    turn: &Turn<'_>,
) -> Result<(), Violation> {
    let Turn { lateness_us, unread, .. } = *turn;
    let objection =
        |text: String| Err(Violation::new(change.at, format!("{:?} timed out {text}: {change:?}", change.id)));
    let Some(last_rx) = change.last_rx else { return objection("without a received packet".into()) };
    let detect_time_us = session.detect_time_us();
    let deadline = last_rx.plus(detect_time_us);
    if change.at < deadline {
        return objection(format!("before {} us", deadline.micros()));
    }
    let good = |waiting: &&Waiting| {
        let counts = |packet: P::Packet| {
            let is_plain = P::is_plain(&packet);
            let packet = P::header(&packet);
            is_plain
                && packet.peer_discr == session.local_discr()
                && packet.state >= State::Init
                && packet.desired_min_tx_us <= MAX_PEER_INTERVAL_US
        };
        waiting.flight.path == path && waiting.arrival <= deadline && readable::<P>(waiting).is_some_and(counts)
    };
    if let Some(repeated) = turn.repeated.filter(|repeated| *repeated > last_rx) {
        return objection(format!("although a repeat was taken in at {} us", repeated.micros()));
    }
    if let Some(waiting) = unread.iter().find(good) {
        return objection(format!("while a packet that arrived at {} us was unread", waiting.arrival.micros()));
    }
    // With a Poll, the detection time was another one before the Down.
    if !P::POLLS && lateness_us > detect_time_us / 4 && change.at < deadline.plus(session.tx_interval_us()) {
        return objection(format!("in a turn that was {lateness_us} us late, without an extension"));
    }
    if lateness_us >= 1_000 && change.local_stall_us < lateness_us {
        return objection(format!("without reporting that the turn was {lateness_us} us late"));
    }
    Ok(())
}

fn peer_said_so<P: SimulatedProtocol>(
    session: &Session<P>,
    path: Path,
    change: &Transition,
    turn: &Turn<'_>,
) -> Result<(), Violation> {
    let said = if change.reason == DownReason::RemoteAdmin { State::AdminDown } else { State::Down };
    let may_name_nobody = !(turn.strict && change.from == State::Up);
    let names_us =
        |packet: &Header| packet.peer_discr == session.local_discr() || (may_name_nobody && packet.peer_discr == 0);
    let told = turn.read.iter().any(|waiting| {
        waiting.flight.path == path
            && waiting.arrival == change.at
            && readable::<P>(waiting).is_some_and(|packet| {
                let header = P::header(&packet);
                header.state == said && names_us(&header)
            })
    });
    if told {
        return Ok(());
    }
    Err(Violation::new(change.at, format!("no packet took {:?} Down: {change:?}", change.id)))
}

fn readable<P: Protocol>(waiting: &Waiting) -> Option<P::Packet> {
    let bytes = &waiting.flight.bytes[..usize::from(waiting.flight.length)];
    P::decode(bytes).ok()
}
