//! Copies of sessions and counters, made on request.

use std::net::IpAddr;

use crate::driver::driven::{BfdSnapshot, Driven};
use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::stats::EndpointCounters;
use crate::engine::{Engine, SessionId};
use crate::protocol::session::{Session, Timestamps};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::stats::RouteCounters;

/// How many sessions are copied in one turn of the engine's thread, so that no session's packets are late.
pub const SNAPSHOTS_AT_ONCE: usize = 2_048;

/// Which sessions are to be shown.
#[derive(Clone, Debug)]
pub enum SnapshotRequest {
    /// The sessions of these ids.
    These(Vec<SessionId>),
    /// The next of all, `SNAPSHOTS_AT_ONCE` at most, from a slot of the engine's table on.
    From(u32),
}

/// Sessions as they are now.
#[derive(Clone, Debug)]
pub struct SnapshotPage {
    /// The sessions, in the order of the request or of the table.
    pub sessions: Vec<Snapshot>,
    /// The slot to go on from; `None` where there are no others.
    pub next: Option<u32>,
}

impl SnapshotPage {
    /// Copies the requested sessions; unknown ids are left out.
    #[must_use]
    pub fn of<P: Driven>(engine: &mut Engine<P>, wanted: &SnapshotRequest) -> Self {
        let from = match wanted {
            SnapshotRequest::These(ids) => {
                ids.iter().for_each(|id| engine.take_repeats_of(*id));
                let known = ids.iter().filter_map(|id| engine.session(*id).map(|seen| Snapshot::new(*id, seen)));
                return Self { sessions: known.collect(), next: None };
            }
            SnapshotRequest::From(slot) => *slot,
        };
        engine.take_repeats_from(from, SNAPSHOTS_AT_ONCE);
        let mut rest = engine.sessions_from(from);
        let mut sessions = Vec::with_capacity(SNAPSHOTS_AT_ONCE);
        sessions.extend(rest.by_ref().take(SNAPSHOTS_AT_ONCE).map(|(_, id, seen)| Snapshot::new(id, seen)));
        Self { sessions, next: rest.next().map(|(slot, ..)| slot) }
    }
}

/// One session as it is now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The session.
    pub id: SessionId,
    /// Its state.
    pub state: State,
    /// Our discriminator.
    pub local_discr: u32,
    /// The peer's discriminator, 0 where it is not known.
    pub peer_discr: u32,
    /// Why it was last taken Down.
    pub last_down_reason: DownReason,
    /// When its life changed.
    pub timestamps: Timestamps,
    /// When silence makes it Down.
    pub detect_deadline: Option<Time>,
    /// When its detection is checked next.
    pub next_detect_scheduled: Option<Time>,
    /// The detection time, in microseconds.
    pub detect_time_us: u64,
    /// The transmit interval that both sides have agreed on, in microseconds.
    pub tx_interval_us: u64,
    /// `None` before the first accepted packet.
    pub peer_passive: Option<bool>,
    /// Major, minor, patch, channel of the peer.
    pub peer_version: [u8; 4],
    /// The peer's detection multiplier; this and its intervals are `None` before the first accepted packet.
    pub remote_detect_mult: Option<u8>,
    /// How often the peer wants to send, in microseconds.
    pub remote_tx_min_us: Option<u32>,
    /// How often the peer wants to receive at most, in microseconds.
    pub remote_rx_min_us: Option<u32>,
    /// How often it left Up.
    pub flaps: u16,
    /// The longest time between two packets since it last came Up, in milliseconds; `None` before it was Up.
    pub worst_gap_ms: Option<u16>,
    /// What only BFD has.
    pub bfd: Option<BfdSnapshot>,
}

impl Snapshot {
    fn new<P: Driven>(id: SessionId, (session, next_detect_scheduled): (&Session<P>, Option<Time>)) -> Self {
        Self {
            id,
            state: session.state(),
            local_discr: session.local_discr(),
            peer_discr: session.peer().discr,
            last_down_reason: session.last_down_reason(),
            timestamps: *session.timestamps(),
            detect_deadline: session.detect_deadline(),
            next_detect_scheduled,
            detect_time_us: session.detect_time_us(),
            tx_interval_us: session.tx_interval_us(),
            peer_passive: session.last_rx().map(|_| session.peer_is_passive()),
            peer_version: P::peer_version(&session.peer().details),
            remote_detect_mult: session.last_rx().map(|_| session.peer().detect_mult),
            remote_tx_min_us: session.last_rx().map(|_| session.peer().tx_min_us),
            remote_rx_min_us: session.last_rx().map(|_| session.peer().rx_min_us),
            flaps: session.flaps(),
            worst_gap_ms: session.worst_gap_ms(),
            bfd: P::bfd(session.specifics()),
        }
    }
}

/// All counters of an engine.
#[derive(Clone, Debug)]
pub struct StatsReport {
    /// Counters of sessions by local endpoint.
    pub endpoints: Vec<EndpointReport>,
    /// Counters of routes by local endpoint.
    pub routes: Vec<RouteEndpointReport>,
    /// Entries in the deadline queue.
    pub queue_len: usize,
    /// Reads of the socket that failed.
    pub read_errors: u64,
    /// Datagrams that the kernel dropped at the socket.
    pub socket_drops: u32,
    /// Repeats that the filter in the kernel took in.
    pub repeats: u64,
    /// The size of the send buffer.
    pub send_buffer_bytes: usize,
    /// How often the send buffer had no room.
    pub send_buffer_full: u64,
    /// Turns of the thread.
    pub turns: u64,
    /// The worst scheduling delay so far, in microseconds.
    pub worst_delay_us: u64,
    /// How late the thread's turns were.
    pub turn_delays: DelayHistogram,
    /// How late packets were handed out.
    pub transmit_delays: DelayHistogram,
}

/// The counters of one local endpoint.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// The name of the interface; empty for packets that belong to no session's.
    pub interface: String,
    /// The address.
    pub local: IpAddr,
    /// What was counted.
    pub counters: EndpointCounters,
}

/// The route counters of one local endpoint.
#[derive(Clone, Debug)]
pub struct RouteEndpointReport {
    /// The name of the interface.
    pub interface: String,
    /// The address.
    pub local: IpAddr,
    /// What was counted.
    pub counters: RouteCounters,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::LinkId;
    use crate::engine::{Path, SessionSpec};
    use crate::protocol::policy::Policy;
    use crate::protocol::rules::ROBUST;
    use crate::protocol::timers::Timers;

    #[test]
    fn a_snapshot_of_thousands_of_sessions_has_each_session_once() {
        let policy = Policy {
            rules: &ROBUST,
            min_tx_floor_us: 50_000,
            max_tx_ceil_us: 1_000_000,
            backoff_max_us: 1_000_000,
            require_discriminator: false,
            min_ttl: 0,
            identity: None,
        };
        let mut engine = Engine::new(policy, 10_000, 1);
        let timers = Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 };
        for number in 1..=5_000 {
            let path = Path { link: LinkId(1), local: [127, 0, 0, 1].into(), peer: u32::to_be_bytes(number).into() };
            let spec = SessionSpec { id: SessionId(number), path, peer_port: 1, timers, min_ttl: None };
            let discr = engine.draw_discriminator();
            engine.add_session(Time::from_micros(1), spec, discr).unwrap();
        }
        // The table has gaps.
        for number in (1..=5_000).filter(|number| number % 7 == 0) {
            engine.remove_session(SessionId(number));
        }
        let (mut shown, mut sizes, mut next) = (Vec::new(), Vec::new(), Some(0));
        while let Some(slot) = next {
            let portion = SnapshotPage::of(&mut engine, &SnapshotRequest::From(slot));
            sizes.push(portion.sessions.len());
            shown.extend(portion.sessions.iter().map(|session| session.id.0));
            next = portion.next;
        }
        shown.sort_unstable();
        assert_eq!(shown, (1..=5_000).filter(|number| number % 7 != 0).collect::<Vec<_>>());
        assert_eq!(sizes, [SNAPSHOTS_AT_ONCE, SNAPSHOTS_AT_ONCE, 4_286 - 2 * SNAPSHOTS_AT_ONCE]);
        let some =
            SnapshotPage::of(&mut engine, &SnapshotRequest::These(vec![SessionId(8), SessionId(7), SessionId(1)]));
        assert_eq!(
            some.sessions.iter().map(|session| session.id.0).collect::<Vec<_>>(),
            [8, 1],
            "7 is not there any more"
        );
    }
}
