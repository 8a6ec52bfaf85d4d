//! What the outside is shown of sessions and counters: copies, made when somebody asks.

use std::net::Ipv4Addr;

use crate::engine::{Engine, SessionId};
use crate::lateness::Lateness;
use crate::packet::State;
use crate::route_stats::RouteCounters;
use crate::session::{DownReason, Moments};
use crate::stats::Counters;
use crate::time::Time;

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: SessionId,
    pub state: State,
    pub local_discr: u32,
    pub peer_discr: u32,
    pub last_down_reason: DownReason,
    pub moments: Moments,
    pub detect_deadline: Option<Time>,
    pub next_detect_scheduled: Option<Time>,
    pub detect_time_us: u64,
    pub tx_interval_us: u64,
    /// `None` before the first accepted packet.
    pub peer_passive: Option<bool>,
    pub peer_version: [u8; 4],
}

impl Snapshot {
    /// A session as it is now; `None` where there is none of that id.
    #[must_use]
    pub fn of(engine: &Engine, id: SessionId) -> Option<Self> {
        let (session, next_detect_scheduled) = engine.session(id)?;
        Some(Self {
            id,
            state: session.state(),
            local_discr: session.local_discr(),
            peer_discr: session.peer().discr,
            last_down_reason: session.last_down_reason(),
            moments: *session.moments(),
            detect_deadline: session.detect_deadline(),
            next_detect_scheduled,
            detect_time_us: session.detect_time_us(),
            tx_interval_us: session.tx_interval_us(),
            peer_passive: session.last_rx().map(|_| session.peer().passive),
            peer_version: session.peer().version,
        })
    }
}

#[derive(Clone, Debug)]
pub struct StatsReport {
    pub scopes: Vec<ScopeReport>,
    pub routes: Vec<RouteScopeReport>,
    pub queue_len: usize,
    pub read_errors: u64,
    pub socket_drops: u32,
    pub turns: u64,
    pub worst_lateness_us: u64,
    pub turn_lateness: Lateness,
    pub transmit_lateness: Lateness,
}

#[derive(Clone, Debug)]
pub struct ScopeReport {
    pub interface: String,
    pub local: Ipv4Addr,
    pub counters: Counters,
}

#[derive(Clone, Debug)]
pub struct RouteScopeReport {
    pub interface: String,
    pub local: Ipv4Addr,
    pub counters: RouteCounters,
}
