//! Counters per (interface, local IP), in plain memory: counting is an addition, reading is a copy.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashMap;

use crate::engine::histogram::{HANDLE_RX_BOUNDS_NS, Histogram};
use crate::protocol::diagnostic::{Diagnostic, Diagnostics};
use crate::protocol::drop_reason::DropReason;
use crate::protocol::state::State;

/// Names an interface inside the engine. The driver knows which interface that is; an interface that is removed
/// and made again under its name keeps its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl LinkId {
    /// Any interface that no session uses.
    pub const OTHER: LinkId = LinkId(0);
}

/// Stands for all addresses without a session.
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What the counters are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalEndpoint {
    /// The interface.
    pub link: LinkId,
    /// The address.
    pub local: IpAddr,
}

impl LocalEndpoint {
    /// What belongs to no session.
    pub const OTHER: LocalEndpoint = LocalEndpoint { link: LinkId::OTHER, local: ANY };
}

/// An index into `Stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointId(u32);

/// Why a session changed its state: the `reason` label of the transition counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TransitionCause {
    /// The session was registered, or put back in service.
    RegisterRoute,
    /// A packet was received.
    HandleRx,
    /// The detection time is over.
    DetectTimeout,
    /// The session was taken out of service.
    AdminDown,
}

impl TransitionCause {
    /// How many causes there are.
    pub const COUNT: usize = 4;
    /// All causes, in the order of their numbers.
    pub const ALL: [TransitionCause; Self::COUNT] = [
        TransitionCause::RegisterRoute,
        TransitionCause::HandleRx,
        TransitionCause::DetectTimeout,
        TransitionCause::AdminDown,
    ];

    /// The value of the `reason` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TransitionCause::RegisterRoute => "register_route",
            TransitionCause::HandleRx => "handle_rx",
            TransitionCause::DetectTimeout => "detect_timeout",
            TransitionCause::AdminDown => "admin_down",
        }
    }
}

/// What is counted for one local endpoint.
#[derive(Clone, Debug)]
pub struct EndpointCounters {
    /// Sessions by state, now.
    pub sessions: [u64; State::ALL.len()],
    /// Of them those in service that were never Up.
    pub never_up: u64,
    /// Entries in the queue, now: at most two per session.
    pub queued: u64,
    /// Packets that the socket took.
    pub tx: u64,
    /// Packets that were handed to sessions.
    pub rx: u64,
    /// Packets that were dropped, by reason.
    pub rx_invalid: [u64; DropReason::COUNT],
    /// Well-formed packets that belong to no session.
    pub unknown_peer: u64,
    /// Packets that the system refused, and attempts that found the send buffer full.
    pub write_errors: u64,
    /// Transmits that were given up on, since the socket took nothing for too long.
    pub dropped: u64,
    /// Sessions that went Down after the detection time.
    pub timeouts: u64,
    /// Those of them whose silence may have been this process's fault: their detection time had been extended.
    pub local_timeouts: u64,
    /// Sessions that went Down since their peer said so: it heard nothing, or has restarted.
    pub remote_downs: u64,
    /// Those of them that may be this process's fault: it was late by more than a quarter of the peer's detection time.
    pub local_remote_downs: u64,
    /// Detection timeouts put off because the silence may have been our own fault.
    pub extensions: u64,
    /// Sessions that began, in Down: they had no state before.
    pub registered: u64,
    /// By old state, new state and cause.
    pub transitions: [[[u64; TransitionCause::COUNT]; State::ALL.len()]; State::ALL.len()],
    /// How often a session went Down or AdminDown with each diagnostic sent, by its number.
    pub local_diagnostics: [u64; Diagnostic::DEFINED.len()],
    /// How often a session went Down or AdminDown with each diagnostic received, by its number.
    pub remote_diagnostics: [u64; Diagnostic::DEFINED.len()],
    /// How long the handling of a received packet took. Whoever has a clock observes it.
    pub handle_rx: Histogram,
}

impl Default for EndpointCounters {
    fn default() -> Self {
        Self {
            sessions: Default::default(),
            never_up: 0,
            queued: 0,
            tx: 0,
            rx: 0,
            rx_invalid: Default::default(),
            unknown_peer: 0,
            write_errors: 0,
            dropped: 0,
            timeouts: 0,
            local_timeouts: 0,
            remote_downs: 0,
            local_remote_downs: 0,
            extensions: 0,
            registered: 0,
            transitions: Default::default(),
            local_diagnostics: Default::default(),
            remote_diagnostics: Default::default(),
            handle_rx: Histogram::new(HANDLE_RX_BOUNDS_NS),
        }
    }
}

impl EndpointCounters {
    /// Counts a session that went Down. A reserved code is counted nowhere.
    pub(crate) fn count_diagnostics(&mut self, diagnostics: Diagnostics) {
        if let Some(count) = self.local_diagnostics.get_mut(diagnostics.local as usize) {
            *count += 1;
        }
        if let Some(count) = self.remote_diagnostics.get_mut(diagnostics.remote as usize) {
            *count += 1;
        }
    }
}

/// The most endpoints without a session that are kept, for sessions that are added again. The counts of others are kept as one sum.
const MOST_IDLE: usize = 1_024;

/// All counters. The sums over all endpoints never decrease.
#[derive(Debug, Default)]
pub struct Stats {
    ids: FxHashMap<LocalEndpoint, EndpointId>,
    endpoints: Vec<(LocalEndpoint, EndpointCounters)>,
    /// For each endpoint, whether it is in use.
    uses: Vec<Use>,
    free: Vec<EndpointId>,
    /// Endpoints whose last session was removed, each once, the earliest first.
    idle: VecDeque<EndpointId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Used,
    Idle,
    Free,
}

impl Stats {
    /// The endpoint of a session, created if it is new.
    pub fn endpoint(&mut self, endpoint: LocalEndpoint) -> EndpointId {
        if let Some(id) = self.ids.get(&endpoint) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.endpoints.push((endpoint, EndpointCounters::default()));
            self.uses.push(Use::Used);
            EndpointId(u32::try_from(self.endpoints.len() - 1).expect("fewer endpoints than addresses"))
        });
        self.endpoints[id.0 as usize].0 = endpoint;
        self.uses[id.0 as usize] = Use::Used;
        self.ids.insert(endpoint, id);
        id
    }

    /// The endpoint that counts a packet which belongs to no session. Destination addresses without a session
    /// share one endpoint per link, so that their senders cannot make the table grow.
    pub fn endpoint_of_unknown_peer(&mut self, endpoint: LocalEndpoint) -> EndpointId {
        match self.ids.get(&endpoint) {
            Some(id) => *id,
            None => self.endpoint(LocalEndpoint { local: ANY, ..endpoint }),
        }
    }

    /// The counters of an endpoint.
    pub fn at(&mut self, id: EndpointId) -> &mut EndpointCounters {
        &mut self.endpoints[id.0 as usize].1
    }

    /// All endpoints with their counters.
    pub fn iter(&self) -> impl Iterator<Item = &(LocalEndpoint, EndpointCounters)> {
        self.endpoints.iter().zip(&self.uses).filter(|(_, usage)| **usage != Use::Free).map(|(endpoint, _)| endpoint)
    }

    /// A session was removed from an endpoint. If too many endpoints have no session, adds the counts of the earliest of them to
    /// the sum of the others, and returns the link that no endpoint refers to any more.
    pub fn left(&mut self, id: EndpointId) -> Option<LinkId> {
        if self.has_sessions(id) || self.uses[id.0 as usize] != Use::Used {
            return None;
        }
        self.uses[id.0 as usize] = Use::Idle;
        self.idle.push_back(id);
        if self.idle.len() <= MOST_IDLE {
            return None;
        }
        let oldest = self.idle.pop_front()?;
        self.uses[oldest.0 as usize] = Use::Used;
        if self.has_sessions(oldest) {
            return None;
        }
        let link = self.endpoints[oldest.0 as usize].0.link;
        self.sum_up(oldest);
        let mut others = self.iter().map(|(endpoint, _)| *endpoint).filter(|endpoint| endpoint.link == link);
        let first_two = [others.next(), others.next()];
        drop(others);
        match first_two {
            [None, _] => {}
            // What comes by that link is no peer's.
            [Some(last), None] if last.local.is_unspecified() => {
                let last = self.ids[&last];
                self.sum_up(last);
            }
            _ => return None,
        }
        (link != LinkId::OTHER).then_some(link)
    }

    fn has_sessions(&self, id: EndpointId) -> bool {
        self.endpoints[id.0 as usize].1.sessions.iter().any(|count| *count > 0)
    }

    fn sum_up(&mut self, id: EndpointId) {
        let endpoint = self.endpoints[id.0 as usize].0;
        if endpoint == LocalEndpoint::OTHER {
            return;
        }
        self.ids.remove(&endpoint);
        self.uses[id.0 as usize] = Use::Free;
        let counters = std::mem::take(&mut self.endpoints[id.0 as usize].1);
        let other = self.endpoint(LocalEndpoint::OTHER);
        self.at(other).add(&counters);
        self.free.push(id);
    }
}

impl EndpointCounters {
    /// Adds what was counted elsewhere.
    fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], counts: &[u64]| sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        add(&mut self.rx_invalid, &other.rx_invalid);
        add(&mut self.local_diagnostics, &other.local_diagnostics);
        add(&mut self.remote_diagnostics, &other.remote_diagnostics);
        add(self.transitions.as_flattened_mut().as_flattened_mut(), other.transitions.as_flattened().as_flattened());
        self.handle_rx.add(&other.handle_rx);
        for (sum, count) in [
            (&mut self.tx, other.tx),
            (&mut self.rx, other.rx),
            (&mut self.unknown_peer, other.unknown_peer),
            (&mut self.write_errors, other.write_errors),
            (&mut self.dropped, other.dropped),
            (&mut self.timeouts, other.timeouts),
            (&mut self.local_timeouts, other.local_timeouts),
            (&mut self.remote_downs, other.remote_downs),
            (&mut self.local_remote_downs, other.local_remote_downs),
            (&mut self.extensions, other.extensions),
        ] {
            *sum += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(number: u32) -> LocalEndpoint {
        LocalEndpoint { link: LinkId(number), local: Ipv4Addr::from(number).into() }
    }

    #[test]
    fn endpoints_without_sessions_are_freed_and_their_counts_are_kept() {
        let mut stats = Stats::default();
        let stays = stats.endpoint(endpoint(1));
        stats.at(stays).sessions[0] = 1;
        let mut freed = Vec::new();
        for number in 2..=10_001 {
            let id = stats.endpoint(endpoint(number));
            stats.at(id).tx += 1;
            stats.at(id).transitions[1][2][1] += 1;
            let stranger = stats
                .endpoint_of_unknown_peer(LocalEndpoint { link: LinkId(number), local: Ipv4Addr::BROADCAST.into() });
            stats.at(stranger).unknown_peer += 1;
            freed.extend(stats.left(id));
        }
        let kept = 10_000 - freed.len();
        assert_eq!(kept, MOST_IDLE);
        assert_eq!(freed, (2..=10_001 - MOST_IDLE as u32).map(LinkId).collect::<Vec<_>>(), "the oldest first");
        assert!(stats.endpoints.len() < 2 * MOST_IDLE + 10, "{} rooms", stats.endpoints.len());
        assert_eq!(stats.iter().count(), 2 * MOST_IDLE + 2, "two for each link, the one in use, and the sum");
        let sum = |count: fn(&EndpointCounters) -> u64| stats.iter().map(|(_, counters)| count(counters)).sum::<u64>();
        assert_eq!(sum(|counters| counters.tx), 10_000);
        assert_eq!(sum(|counters| counters.unknown_peer), 10_000);
        assert_eq!(sum(|counters| counters.transitions[1][2][1]), 10_000);
        assert!(stats.iter().any(|(known, _)| *known == endpoint(1)));
    }

    #[test]
    fn an_endpoint_that_a_session_came_back_to_stays() {
        let mut stats = Stats::default();
        let first = stats.endpoint(endpoint(1));
        stats.left(first);
        stats.at(first).sessions[0] = 1;
        for number in 2..=5_000 {
            let id = stats.endpoint(endpoint(number));
            stats.left(id);
        }
        assert_eq!(stats.endpoint(endpoint(1)), first);
        assert_eq!(stats.at(first).sessions[0], 1);
    }
}
