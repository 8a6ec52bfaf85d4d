//! What an engine tells of its sessions, and its counters.

use std::net::IpAddr;

use crate::engine::Engine;
use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::io::SessionId;
use crate::engine::stats::{LocalEndpoint, Stats};
use crate::protocol::Protocol;
use crate::protocol::session::Session;
use crate::protocol::specifics::Specifics as _;
use crate::protocol::time::Time;

impl<P: Protocol> Engine<P> {
    /// A session, and when its detection is looked at next.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<(&Session<P>, Option<Time>)> {
        let slot = self.sessions.get(self.sessions.of_id(id)?);
        Some((&slot.session, slot.detect_scheduled))
    }

    /// What a session is counted in.
    #[must_use]
    pub fn endpoint(&self, id: SessionId) -> Option<LocalEndpoint> {
        let path = self.sessions.path(self.sessions.get(self.sessions.of_id(id)?).path);
        Some(LocalEndpoint { link: path.link, local: path.local })
    }

    /// The address and the port that a session's packets leave from.
    #[must_use]
    pub fn source(&self, id: SessionId) -> Option<(IpAddr, u16)> {
        let slot = self.sessions.get(self.sessions.of_id(id)?);
        Some((self.sessions.path(slot.path).local, slot.session.specifics().source_port()))
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many sessions there may be.
    #[must_use]
    pub fn most_sessions(&self) -> usize {
        self.sessions.most()
    }

    /// The ids of all sessions, in no order.
    pub fn session_ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.iter_from(0).map(|(_, slot)| slot.id)
    }

    /// All sessions from a slot of the table on, in its order: each with its slot, its id, and as `session` gives it.
    pub fn sessions_from(&self, slot: u32) -> impl Iterator<Item = (u32, SessionId, (&Session<P>, Option<Time>))> + '_ {
        self.sessions.iter_from(slot).map(|(index, slot)| (index, slot.id, (&slot.session, slot.detect_scheduled)))
    }

    /// The addresses of all peers, in no order, one for each session.
    pub fn peers(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.sessions.iter_from(0).map(|(_, slot)| self.sessions.path(slot.path).peer)
    }

    /// The least TTL of packets of all sessions that do not say otherwise.
    #[must_use]
    pub fn min_ttl(&self) -> u8 {
        self.policy.min_ttl
    }

    /// The least TTL that any peer's packets may have.
    #[must_use]
    pub fn lowest_min_ttl(&self) -> u8 {
        self.sessions.iter_from(0).map(|(_, slot)| slot.min_ttl).min().unwrap_or(self.policy.min_ttl)
    }

    /// Entries in the queue: at most two per session.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The counters, for what the driver counts itself.
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// The worst scheduling delay so far, in microseconds.
    #[must_use]
    pub fn worst_delay_us(&self) -> u64 {
        self.recent_delays.worst()
    }

    /// How late the caller's turns were.
    #[must_use]
    pub fn turn_delays(&self) -> &DelayHistogram {
        &self.turn_delays
    }

    /// How much later than due packets were handed out; early ones count as punctual.
    #[must_use]
    pub fn transmit_delays(&self) -> &DelayHistogram {
        &self.transmit_delays
    }
}
